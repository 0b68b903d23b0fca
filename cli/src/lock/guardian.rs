//! A process that outlives `edgelatch lock` and ends the command if that was killed: nobody
//! renews the lock any more, so another holder may be at work soon.
//!
//! It reads from a pipe that closes with the process that started it, which works on Linux and
//! macOS, whatever ended that process.

use std::io::{BufRead as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::group;
use crate::service::TOKEN;

/// What the guardian is told when its work is done.
const DONE: &str = "done";

/// The first argument of a guardian. No subcommand: it is not for people.
const ARGUMENT: &str = "lock-guardian";

/// Ends a process group when the process that started this one has ended.
pub(crate) struct LockGuardian {
    /// How long the group may take to end.
    kill_after: Duration,
}

/// The guardian, as the process that started it sees it.
pub(super) struct Guardian(Child);

impl Guardian {
    /// Starts it, out of reach of the terminal's signals.
    pub(super) fn start(kill_after: Duration) -> std::io::Result<Self> {
        let kill_after = kill_after.as_millis().to_string();
        let guardian = Command::new(std::env::current_exe()?)
            .args([ARGUMENT, &kill_after])
            .env_remove(TOKEN)
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
    /// `None` if this process is no guardian.
    pub(crate) fn of_arguments() -> Option<Self> {
        let mut arguments = std::env::args_os().skip(1);
        if arguments.next()? != ARGUMENT {
            return None;
        }
        let kill_after = arguments.next()?.to_str()?.parse().ok()?;
        Some(Self {
            kill_after: Duration::from_millis(kill_after),
        })
    }

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
            group::send(group, Signal::SIGTERM);
            group::end_by(group, Instant::now() + self.kill_after);
        }
        ExitCode::SUCCESS
    }
}
