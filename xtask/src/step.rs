//! Steps: printed, run, and reported in a sentence if they fail.

use std::io::IsTerminal as _;
use std::process::{Child, Command, ExitStatus};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::signals;

/// How often a long step says that it goes on.
const REMINDER: Duration = Duration::from_secs(30);

/// The pause between two looks at whether it has ended.
const LOOK: Duration = Duration::from_millis(50);

/// Prints what happens now.
pub(crate) fn say(what: impl std::fmt::Display) {
    eprintln!("xtask: {what}");
}

/// Runs a command to its end and shows its output.
///
/// # Errors
/// `failed`, if the command can't be started or fails.
pub(crate) fn run(command: &mut Command, failed: &str) -> anyhow::Result<()> {
    if !start(command)?.wait()?.success() {
        bail!("{failed}");
    }
    Ok(())
}

/// The same for a command that may be silent for minutes: see [`Long`].
pub(crate) fn run_long(command: &mut Command, what: &str, failed: &str) -> anyhow::Result<()> {
    Long::start(command, what)?.wait(failed)
}

/// A running command that may be silent for minutes. Every 30 seconds it says that it goes on, and
/// for how long already. It is ended on drop.
pub(crate) struct Long {
    pid: Pid,
    /// Waits for its end.
    attendant: Option<JoinHandle<std::io::Result<ExitStatus>>>,
}

impl Long {
    /// Starts it. `what` follows "still".
    pub(crate) fn start(command: &mut Command, what: &str) -> anyhow::Result<Self> {
        let process = start(command)?;
        let pid = signals::pid_of(&process)?;
        let what = what.to_owned();
        Ok(Self {
            pid,
            attendant: Some(std::thread::spawn(move || attend(process, &what))),
        })
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// `failed`, if it fails.
    pub(crate) fn wait(mut self, failed: &str) -> anyhow::Result<()> {
        let ended = self.attendant.take().map(JoinHandle::join);
        match ended {
            Some(Ok(Ok(status))) if status.success() => Ok(()),
            _ => bail!("{failed}"),
        }
    }
}

impl Drop for Long {
    fn drop(&mut self) {
        if let Some(attendant) = self.attendant.take() {
            if !attendant.is_finished() {
                let _ = kill(self.pid, Signal::SIGTERM);
            }
            let _ = attendant.join();
        }
    }
}

/// Waits for the end of a process, and says meanwhile that it goes on.
fn attend(mut process: Child, what: &str) -> std::io::Result<ExitStatus> {
    let began = Instant::now();
    let mut next_reminder = REMINDER;
    loop {
        if let Some(status) = process.try_wait()? {
            return Ok(status);
        }
        if began.elapsed() >= next_reminder {
            // Cargo's bar stands on a line of a terminal that has to be cleared.
            let clear = if std::io::stderr().is_terminal() {
                "\r\x1b[K"
            } else {
                ""
            };
            eprintln!("{clear}xtask: still {what}, {} so far", time(next_reminder));
            next_reminder += REMINDER;
        }
        std::thread::sleep(LOOK);
    }
}

/// A time in words: "30 s", "2 min".
fn time(time: Duration) -> String {
    let halves = time.as_secs() / 30;
    match (halves / 2, halves % 2) {
        (0, _) => format!("{} s", halves * 30),
        (minutes, 0) => format!("{minutes} min"),
        (minutes, _) => format!("{minutes}.5 min"),
    }
}

/// Starts a process.
///
/// # Errors
/// The name of the program, if it can't be started.
pub(crate) fn start(command: &mut Command) -> anyhow::Result<Child> {
    let program = command.get_program().to_string_lossy().into_owned();
    command
        .spawn()
        .with_context(|| format!("`{program}` could not be started"))
}

/// The path of a program on PATH.
pub(crate) fn on_path(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_words() {
        for (seconds, words) in [(30, "30 s"), (60, "1 min"), (90, "1.5 min"), (120, "2 min")] {
            assert_eq!(time(Duration::from_secs(seconds)), words);
        }
    }
}
