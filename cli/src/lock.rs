//! `edgelatch lock`: runs a command while it holds a user's lock, like `flock`, but over HTTP and
//! from any machine.
//!
//! The lock is a lease: acquired before the command, renewed at a third of its time to live,
//! released after the command. If the lease is lost, the command is terminated, because another
//! holder may be at work from then on. The command is a process group of its own, and all of the
//! group is terminated: a script whose child does the work, too.

mod acquire;
mod arguments;
mod group;
mod guardian;
mod keeper;
mod lease;
mod outcome;

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;

use crate::exit::{Code, Failure, say};
use crate::service::TOKEN;
pub(crate) use arguments::Lock;
use guardian::Guardian;
pub(crate) use guardian::LockGuardian;
use keeper::Keeper;
use lease::{Lease, LeaseClient, Release};
use outcome::Outcome;

/// The signals that the command gets from us.
const PASSED_ON: [i32; 6] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2];

/// What may happen.
enum Event {
    /// This process got a signal.
    Signal(i32),
    /// The service answered a request for the lock.
    Answered(Result<Lease, Failure>),
    /// The command ended.
    Ended(nix::Result<WaitStatus>),
    /// The lease was lost, and why.
    Lost(String),
}

/// A command that runs.
struct Started {
    /// The command leads it.
    group: Pid,
    guardian: Guardian,
    /// Whether the command was given the terminal.
    has_terminal: bool,
}

impl Lock {
    /// Runs the command under the lock. Prints what goes wrong to stderr.
    pub(crate) fn run(&self) -> ExitCode {
        let outcome = self.try_run().unwrap_or_else(|error| {
            say(format_args!("{error:#}"));
            Outcome::Failed(Code::Unavailable)
        });
        ExitCode::from(outcome.code(self.conflict_exit_code))
    }

    fn try_run(&self) -> anyhow::Result<Outcome> {
        let client = match LeaseClient::new(self) {
            Ok(client) => client,
            Err(failure) => return Ok(failure.into()),
        };
        let (sender, events) = channel();
        listen_for_signals(sender.clone())?;
        let held = match acquire::acquire(&client, self.patience(), &sender, &events) {
            Ok(held) => held,
            Err(outcome) => return Ok(outcome),
        };
        let outcome = match self.spawn(&held) {
            Ok(started) => {
                let outcome = self.watch(started.group, &held, &client, &sender, &events);
                if started.has_terminal {
                    group::take_terminal();
                }
                // Without a word from us, the guardian ends the command.
                let outcome = outcome?;
                started.guardian.dismiss();
                outcome
            }
            Err(error) => {
                say(format_args!("`{}`: {error}", self.command[0].display()));
                let found = error.kind() != std::io::ErrorKind::NotFound;
                Outcome::OfCommand(if found { 126 } else { 127 })
            }
        };
        Ok(self.after_release(client.release(), outcome))
    }

    /// What the release says about the time before it.
    fn after_release(&self, release: Release, outcome: Outcome) -> Outcome {
        match (release, outcome) {
            (_, Outcome::Lost) | (Release::NotHeld, _) => {
                say("the lock was lost before the command ended");
                Outcome::Lost
            }
            (Release::Unknown(why), outcome) => {
                let left = self.expire.as_secs_f64();
                say(format_args!(
                    "the lock could not be released and expires within {left} s: {why}"
                ));
                outcome
            }
            (Release::Done, outcome) => outcome,
        }
    }

    /// Starts the command in a process group of its own, and its guardian.
    fn spawn(&self, held: &Lease) -> std::io::Result<Started> {
        let mut guardian = Guardian::start(self.kill_after)?;
        let mut command = Command::new(&self.command[0]);
        command
            .args(&self.command[1..])
            .process_group(0)
            // The command needs no access to the service: the lock is held for it.
            .env_remove(TOKEN)
            .env("EDGELATCH_FENCING_TOKEN", held.fencing_token.to_string())
            .env("EDGELATCH_USER_ID", &self.service.user)
            .env("EDGELATCH_URL", self.service.public_url().as_str());
        match &self.lock.name {
            Some(name) => command.env("EDGELATCH_LOCK_NAME", name),
            None => command.env_remove("EDGELATCH_LOCK_NAME"),
        };
        match command.spawn() {
            Ok(command) => {
                let group = group::of(&command)?;
                guardian.watch(group)?;
                let has_terminal = group::is_at_terminal();
                if has_terminal {
                    group::give_terminal(group);
                }
                Ok(Started {
                    group,
                    guardian,
                    has_terminal,
                })
            }
            Err(error) => {
                guardian.dismiss();
                Err(error)
            }
        }
    }

    /// Renews the lease while the command runs, and terminates the command if the lease is lost.
    fn watch(
        &self,
        group: Pid,
        held: &Lease,
        client: &LeaseClient,
        sender: &Sender<Event>,
        events: &Receiver<Event>,
    ) -> anyhow::Result<Outcome> {
        let of_command = sender.clone();
        std::thread::spawn(move || of_command.send(Event::Ended(group::wait(group))));
        let keeper = Keeper::start(client.clone(), held.clone(), self.expire, sender.clone());
        let mut kill_at: Option<Instant> = None;
        let mut killed = false;
        let outcome = loop {
            let deadline = kill_at.filter(|_| !killed);
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            match next(events, left) {
                Some(Event::Signal(number)) => group::send(group, Signal::try_from(number)?),
                Some(Event::Lost(why)) => {
                    say(format_args!(
                        "the lock is lost, so the command is terminated: {why}"
                    ));
                    group::send(group, Signal::SIGTERM);
                    kill_at = Some(Instant::now() + self.kill_after);
                }
                Some(Event::Ended(status)) => match kill_at {
                    Some(kill_at) => {
                        group::end_by(group, kill_at);
                        break Outcome::Lost;
                    }
                    None => break Outcome::of_status(status?),
                },
                // Of a request that was answered before.
                Some(Event::Answered(_)) => {}
                None => {
                    group::send(group, Signal::SIGKILL);
                    killed = true;
                }
            }
        };
        keeper.stop();
        Ok(outcome)
    }
}

/// Waits for the next event. `None` after `left`.
fn next(events: &Receiver<Event>, left: Option<Duration>) -> Option<Event> {
    match left {
        Some(left) => events.recv_timeout(left).ok(),
        None => events.recv().ok(),
    }
}

/// From now on these signals are events, and do not end this process.
fn listen_for_signals(sender: Sender<Event>) -> std::io::Result<()> {
    let mut signals = Signals::new(PASSED_ON)?;
    std::thread::spawn(move || {
        for number in signals.forever() {
            if sender.send(Event::Signal(number)).is_err() {
                return;
            }
        }
    });
    Ok(())
}
