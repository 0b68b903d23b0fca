//! All processes of this machine, as `/proc` or `ps` tells them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A process. Another one that gets its id later has begun later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::lock) struct Process {
    pub(in crate::lock) pid: i32,
    /// When it began, as the system says it.
    pub(in crate::lock) began: String,
}

/// A process that has not ended.
pub(super) struct Entry {
    pub(super) process: Process,
    pub(super) parent: i32,
    /// Whether the mark is in its environment.
    pub(super) marked: bool,
}

impl Process {
    /// The process that has this id now, even if it has ended and nobody has asked for its code.
    pub(in crate::lock) fn of(pid: i32) -> Self {
        let row = if has_proc() {
            Row::of_proc(pid)
        } else {
            ps(&["-p", &pid.to_string()]).into_iter().next()
        };
        let began = row.map(|row| row.began).unwrap_or_default();
        Self { pid, began }
    }

    pub(super) fn is_alive(&self) -> bool {
        let row = if has_proc() {
            Row::of_proc(self.pid)
        } else {
            ps(&["-p", &self.pid.to_string()]).into_iter().next()
        };
        row.is_some_and(|row| !row.ended && row.began == self.began)
    }
}

/// All processes but this one.
pub(super) fn all(mark: &str) -> Vec<Entry> {
    let rows = if has_proc() { proc() } else { ps_of_all() };
    let own = std::process::id();
    let others = rows.into_iter();
    let others = others.filter(|row| !row.ended && u32::try_from(row.pid) != Ok(own));
    others
        .map(|row| Entry {
            marked: row.has(mark),
            parent: row.parent,
            process: Process {
                pid: row.pid,
                began: row.began,
            },
        })
        .collect()
}

/// What the system tells of a process.
struct Row {
    pid: i32,
    parent: i32,
    began: String,
    /// Only its exit code is left.
    ended: bool,
    environment: Environment,
}

enum Environment {
    In(PathBuf),
    /// Beside the arguments.
    Text(String),
}

impl Row {
    fn of_proc(pid: i32) -> Option<Self> {
        let folder = PathBuf::from(format!("/proc/{pid}"));
        // After the name in parentheses, which may have any characters: proc_pid_stat(5).
        let stat = fs::read(folder.join("stat")).ok()?;
        let stat = String::from_utf8_lossy(&stat);
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?;
        let parent = fields.next()?.parse().ok()?;
        let began = fields.nth(17)?.to_owned();
        Some(Self {
            pid,
            parent,
            began,
            ended: matches!(state, "Z" | "X"),
            environment: Environment::In(folder.join("environ")),
        })
    }

    fn of_ps(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let pid = words.next()?.parse().ok()?;
        let parent = words.next()?.parse().ok()?;
        let ended = words.next()?.starts_with('Z');
        let began: Vec<&str> = words.by_ref().take(5).collect();
        Some(Self {
            pid,
            parent,
            began: began.join(" "),
            ended,
            environment: Environment::Text(words.collect::<Vec<&str>>().join(" ")),
        })
    }

    fn has(&self, mark: &str) -> bool {
        match &self.environment {
            // That of another user's process cannot be read.
            Environment::In(file) => fs::read(file).is_ok_and(|environment| {
                let mut parts = environment.windows(mark.len());
                parts.any(|part| part == mark.as_bytes())
            }),
            Environment::Text(text) => text.contains(mark),
        }
    }
}

fn has_proc() -> bool {
    Path::new("/proc/self/environ").exists()
}

fn proc() -> Vec<Row> {
    let names = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = names.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(Row::of_proc).collect()
}

fn ps_of_all() -> Vec<Row> {
    // On macOS with the environment. Where `ps` does not know this, only the descent is known.
    match ps(&["-A", "-E", "-ww"]) {
        rows if rows.is_empty() => ps(&["-A"]),
        rows => rows,
    }
}

/// Empty if there is no such process or option.
fn ps(which: &[&str]) -> Vec<Row> {
    let columns = ["pid=", "ppid=", "stat=", "lstart=", "command="];
    let output = Command::new("ps")
        .args(which)
        .args(columns.iter().flat_map(|column| ["-o", column]))
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    let Ok(output) = output else {
        return Vec::new();
    };
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().filter_map(Row::of_ps).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn proc_and_ps_tell_the_same_descent() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        for rows in [ps_of_all(), ps(&["-p", &pid.to_string()]), proc()] {
            let row = rows.iter().find(|row| row.pid == pid);
            assert!(row.is_none_or(|row| row.parent == own && !row.ended));
            // Only Linux has `/proc`.
            assert!(row.is_some() || !has_proc());
        }
        let process = Process::of(pid);
        assert!(process.is_alive());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!process.is_alive());
    }
}
