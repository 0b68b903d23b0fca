//! Processes of a test's own: what they print is gathered, and they stop on drop.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::output::Output;

/// How long a process may take to stop after SIGTERM.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// A process and its output. It stops on drop.
pub(crate) struct Process {
    child: Child,
    output: Output,
}

impl Process {
    /// Starts it.
    ///
    /// # Errors
    /// If there is no such program.
    pub(crate) fn start(command: &mut Command) -> std::io::Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let output = Output::default();
        output.gather(child.stdout.take().unwrap());
        output.gather(child.stderr.take().unwrap());
        Ok(Self { child, output })
    }

    /// What it has printed so far.
    pub(crate) fn output(&self) -> &Output {
        &self.output
    }

    /// Waits for it to end by itself. Returns whether it succeeded.
    pub(crate) fn succeeds(&mut self) -> bool {
        self.child.wait().unwrap().success()
    }

    /// SIGKILL to it and to its children: `spin up` starts another process, which serves.
    pub(crate) fn kill(&mut self) {
        if crate::on_spin() {
            for process in self.family() {
                let _ = kill(process.pid, Signal::SIGKILL);
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGSTOP to it and to its children: it gets no processor.
    pub(crate) fn freeze(&self) {
        for process in self.family() {
            freeze(process.pid);
        }
    }

    /// SIGCONT, after a freeze.
    pub(crate) fn thaw(&self) {
        for process in self.family() {
            kill(process.pid, Signal::SIGCONT).unwrap();
        }
    }

    /// The processor time that its threads have used; `None` where the system does not tell.
    pub(crate) fn processor_time(&self) -> Option<Duration> {
        let threads = std::fs::read_dir(format!("/proc/{}/task", pid_of(&self.child))).ok()?;
        let used = threads.map(|thread| {
            // In nanoseconds, and then how long it waited, and how often.
            let times = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
            times.split(' ').next()?.parse().ok()
        });
        let used: Option<Vec<u64>> = used.collect();
        Some(Duration::from_nanos(used?.iter().sum()))
    }

    /// The resident memory of it and of its children, in bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        self.family().iter().map(|process| process.resident).sum()
    }

    /// It and its children, as `ps` lists them.
    fn family(&self) -> Vec<Listed> {
        let output = Command::new("ps")
            .args(["-A", "-o", "pid=,ppid=,rss="])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let own = pid_of(&self.child);
        text.lines()
            .filter_map(Listed::parse)
            .filter(|process| process.pid == own || process.parent == own)
            .collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        stop(&mut self.child);
    }
}

/// Asks a process to stop, and kills it if it has not stopped after 5 seconds. It may have ended
/// already. SIGTERM comes first because only that ends the child of `spin up`, too.
pub fn stop(child: &mut Child) {
    let _ = kill(pid_of(child), Signal::SIGTERM);
    let began = Instant::now();
    while began.elapsed() < STOP_LIMIT {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// SIGSTOP to a process. Returns when all of its threads have stopped: the signal waits for a
/// processor as they do, and until then those that have one go on.
pub(crate) fn freeze(pid: Pid) {
    kill(pid, Signal::SIGSTOP).unwrap();
    let began = Instant::now();
    while has_running_threads(pid) {
        assert!(began.elapsed() < STOP_LIMIT, "{pid} did not stop");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Whether a thread of this process is not stopped. `false` where the system does not tell.
fn has_running_threads(pid: Pid) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return false;
    };
    threads.flatten().any(|thread| {
        // `4711 (tokio-rt-worker) T 4700 ...`. Z and X are the states of what has ended.
        let state = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        let after_name = state.rsplit(") ").next();
        after_name.is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['T', 'Z', 'X']))
    })
}

/// The id of a process.
pub(crate) fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap())
}

/// A line of `ps -o pid=,ppid=,rss=`.
#[derive(Debug, PartialEq, Eq)]
struct Listed {
    pid: Pid,
    parent: Pid,
    /// In bytes.
    resident: u64,
}

impl Listed {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        Some(Self {
            pid: Pid::from_raw(words.next()?.parse().ok()?),
            parent: Pid::from_raw(words.next()?.parse().ok()?),
            resident: words.next()?.parse::<u64>().ok()? << 10,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ps_counts_memory_in_kib() {
        let listed = Listed {
            pid: Pid::from_raw(7),
            parent: Pid::from_raw(1),
            resident: 3072,
        };
        assert_eq!(Listed::parse("    7     1     3"), Some(listed));
        assert_eq!(Listed::parse("7 1"), None);
    }

    #[test]
    fn a_process_that_ignores_sigterm_is_killed() {
        let script = "trap '' TERM; echo ready; while :; do sleep 0.01; done";
        let mut command = Command::new("sh");
        let process = Process::start(command.args(["-c", script])).unwrap();
        let ready = |text: &str| text.contains("ready").then_some(());
        assert!(process.output().wait_for(STOP_LIMIT, ready).is_some());
        assert!(process.resident_bytes() > 100_000);
        let pid = pid_of(&process.child);
        drop(process);
        assert!(kill(pid, None).is_err());
    }
}
