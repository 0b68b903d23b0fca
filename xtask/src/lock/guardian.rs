//! A process that outlives `cargo xtask lock` and ends the command if that was killed: nobody
//! renews the lock any more, so another holder may be at work soon.
//!
//! It reads from a pipe that closes with the process that started it, which works on Linux and
//! macOS, whatever ended that process.

use std::io::{BufRead as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use clap::Args;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// What the guardian is told when its work is done.
const DONE: &str = "done";

/// The pause between two looks at a group that was asked to end.
const LOOK: Duration = Duration::from_millis(20);

/// Ends a process group when the process that started this one has ended. For `lock` only.
#[derive(Args)]
pub(crate) struct LockGuardian {
    /// How long the group may take to end, in milliseconds
    kill_after_ms: u64,
}

/// The guardian, as the process that started it sees it.
pub(super) struct Guardian(Child);

impl Guardian {
    /// Starts it, out of reach of the terminal's signals.
    pub(super) fn start(kill_after: Duration) -> std::io::Result<Self> {
        let kill_after = kill_after.as_millis().to_string();
        let guardian = Command::new(std::env::current_exe()?)
            .args(["lock-guardian", &kill_after])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self(guardian))
    }

    /// Gives it this group to watch.
    pub(super) fn watch(&mut self, group: Pid) -> std::io::Result<()> {
        self.tell(&group.to_string())
    }

    /// Ends it. The group is left alone.
    pub(super) fn dismiss(mut self) {
        // A guardian that has ended can't be told.
        let _ = self.tell(DONE);
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }

    fn tell(&mut self, line: &str) -> std::io::Result<()> {
        match &mut self.0.stdin {
            Some(stdin) => writeln!(stdin, "{line}"),
            None => Ok(()),
        }
    }
}

impl LockGuardian {
    /// Waits until it is dismissed, or ends the group.
    pub(crate) fn run(&self) -> ExitCode {
        let mut group = None;
        for line in std::io::stdin().lock().lines() {
            match line {
                Ok(line) if line == DONE => return ExitCode::SUCCESS,
                Ok(line) => group = line.parse().map(Pid::from_raw).ok(),
                Err(_) => break,
            }
        }
        if let Some(group) = group {
            end(group, Duration::from_millis(self.kill_after_ms));
        }
        ExitCode::SUCCESS
    }
}

/// Asks a group to end, and kills what is left of it after `kill_after`.
fn end(group: Pid, kill_after: Duration) {
    send(group, Signal::SIGTERM);
    let deadline = Instant::now() + kill_after;
    while is_alive(group) && Instant::now() < deadline {
        std::thread::sleep(LOOK);
    }
    send(group, Signal::SIGKILL);
}

/// Sends a signal to all processes of a group. They may have ended already.
pub(super) fn send(group: Pid, signal: Signal) {
    let _ = killpg(group, signal);
    // A stopped process gets no other signal than SIGKILL before it goes on.
    let _ = killpg(group, Signal::SIGCONT);
}

/// Whether a process of the group has not ended.
pub(super) fn is_alive(group: Pid) -> bool {
    killpg(group, None) != Err(nix::errno::Errno::ESRCH)
}
