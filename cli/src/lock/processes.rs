//! The processes that a command has started, wherever they went: into a group or session of their
//! own, or away from their parent.
//!
//! They are known by a mark in their environment, and by their descent from the command or from a
//! marked process. Linux tells both in `/proc`. Elsewhere `ps` does.

mod table;

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

pub(super) use table::Process;

/// The variable with the marks of all locks that a process works under, separated by commas.
pub(super) const MARKS: &str = "EDGELATCH_LOCK_MARKS";

/// The pause between two looks at processes that were asked to end.
const LOOK: Duration = Duration::from_millis(20);

/// How long processes may take to end after SIGKILL. Those of another user do not get it.
const KILL_LIMIT: Duration = Duration::from_secs(2);

/// A command that was started, and what it started.
#[derive(Clone)]
pub(super) struct Family {
    /// In the environment of all of them, unless they have taken it out.
    pub(super) mark: String,
    /// The command, once it has started. It may have ended.
    pub(super) command: Option<Process>,
}

impl Family {
    /// Those that have not ended. `known` were found before. Their parents may have ended since.
    fn members(&self, known: &[Process]) -> Vec<Process> {
        let mut others = table::all(&self.mark);
        let mut members = Vec::new();
        // Whose parent is one, is one.
        loop {
            let (found, rest): (Vec<_>, Vec<_>) = others.into_iter().partition(|entry| {
                entry.marked
                    || Some(&entry.process) == self.command.as_ref()
                    || known.contains(&entry.process)
                    || members
                        .iter()
                        .any(|member: &Process| member.pid == entry.parent)
            });
            if found.is_empty() {
                return members;
            }
            members.extend(found.into_iter().map(|entry| entry.process));
            others = rest;
        }
    }

    /// Sends a signal to all of them.
    pub(super) fn send(&self, signal: Signal) {
        send(&self.members(&[]), signal);
    }

    /// Asks all of them to end, and kills what is left after a while. Returns whether there
    /// were any.
    pub(super) fn end(&self, kill_after: Duration) -> bool {
        let mut left = self.members(&[]);
        let any = !left.is_empty();
        send(&left, Signal::SIGTERM);
        let kill_at = Instant::now() + kill_after;
        while !left.is_empty() && Instant::now() < kill_at {
            if left.iter().any(Process::is_alive) {
                std::thread::sleep(LOOK);
            } else {
                left = self.members(&left);
            }
        }
        self.kill(left);
        any
    }

    /// Kills all of them, also those that they start meanwhile. `left` were found before.
    pub(super) fn kill(&self, mut left: Vec<Process>) {
        let deadline = Instant::now() + KILL_LIMIT;
        loop {
            left = self.members(&left);
            if left.is_empty() || Instant::now() >= deadline {
                return;
            }
            send(&left, Signal::SIGKILL);
            std::thread::sleep(LOOK);
        }
    }
}

fn send(processes: &[Process], signal: Signal) {
    for process in processes {
        // Its id may have gone to another.
        if process.is_alive() {
            let pid = Pid::from_raw(process.pid);
            let _ = kill(pid, signal);
            // A stopped process gets no other signal than SIGKILL before it goes on.
            let _ = kill(pid, Signal::SIGCONT);
        }
    }
}
