//! `cargo xtask lock`: runs a command while it holds a user's lock, like `flock`, but over HTTP and
//! from any machine.
//!
//! The lock is a lease: acquired before the command, renewed at a third of its time to live,
//! released after the command. If the lease is lost, the command is terminated, because another
//! holder may be at work from then on. The command is a process group of its own, and all of the
//! group is terminated: a script whose child does the work, too.

mod arguments;
mod guardian;
mod keeper;
mod lease;

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitCode};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpgrp, tcgetpgrp, tcsetpgrp};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::{build, step};
pub(crate) use arguments::{Lock, usage_error};
use guardian::Guardian;
pub(crate) use guardian::LockGuardian;
use keeper::Keeper;
use lease::{Acquisition, Lease, LeaseClient, Release};

/// How long the service waits in one call. A signal takes effect after the call.
const ONE_WAIT: Duration = Duration::from_secs(2);

/// The pause between two calls of a service that fails.
const PAUSE: Duration = Duration::from_millis(500);

/// The pause between two looks at a process group that was killed.
const LOOK: Duration = Duration::from_millis(20);

/// What may happen while the command runs.
enum Event {
    /// This process got a signal.
    Signal(i32),
    /// The command ended.
    Ended(nix::Result<WaitStatus>),
    /// The lease was lost, and why.
    Lost(String),
}

/// The result, as an exit code. Our own codes are from `sysexits.h`. 126 and 127 are the shell's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The command's own code, or 128 plus the number of the signal that ended it.
    OfCommand(u8),
    /// EX_USAGE: the service rejects the request.
    Refused,
    /// EX_UNAVAILABLE: no service, or a service that fails.
    Unavailable,
    /// EX_IOERR: the lock was lost while the command ran. Not EX_TEMPFAIL, since the command has
    /// started.
    Lost,
    /// EX_TEMPFAIL: somebody else holds the lock. The command has not started.
    Busy,
    /// EX_NOPERM: no token, or a wrong one.
    Unauthorized,
}

impl Outcome {
    fn code(self) -> u8 {
        match self {
            Self::OfCommand(code) => code,
            Self::Refused => 64,
            Self::Unavailable => 69,
            Self::Lost => 74,
            Self::Busy => 75,
            Self::Unauthorized => 77,
        }
    }

    fn by_signal(number: i32) -> Self {
        Self::OfCommand(u8::try_from(128 + number).unwrap_or(u8::MAX))
    }
}

impl Lock {
    /// Runs the command under the lock. Prints what goes wrong to stderr.
    pub(crate) fn run(&self) -> ExitCode {
        let outcome = self.try_run().unwrap_or_else(|error| {
            step::say(format_args!("{error:#}"));
            Outcome::Unavailable
        });
        ExitCode::from(outcome.code())
    }

    fn try_run(&self) -> anyhow::Result<Outcome> {
        let client = LeaseClient::new(self)?;
        let (sender, events) = channel();
        listen_for_signals(sender.clone())?;
        let held = match self.acquire(&client, &events) {
            Ok(held) => held,
            Err(outcome) => return Ok(outcome),
        };
        let outcome = match self.spawn(&held) {
            Ok(started) => {
                let outcome = self.watch(started.group, &held, &client, &sender, &events);
                if started.has_terminal {
                    give_terminal(getpgrp());
                }
                started.guardian.dismiss();
                outcome?
            }
            Err(error) => {
                step::say(format_args!("`{}`: {error}", self.command[0].display()));
                let found = error.kind() != std::io::ErrorKind::NotFound;
                Outcome::OfCommand(if found { 126 } else { 127 })
            }
        };
        Ok(match (client.release(), outcome) {
            (_, Outcome::Lost) | (Release::NotHeld, _) => {
                step::say("the lock was lost before the command ended");
                Outcome::Lost
            }
            (Release::Unknown(why), outcome) => {
                let left = self.expire.as_secs_f64();
                step::say(format_args!(
                    "the lock could not be released and expires within {left} s: {why}"
                ));
                outcome
            }
            (Release::Done, outcome) => outcome,
        })
    }

    /// Tries until it has the lock or `--timeout` is over.
    fn acquire(&self, client: &LeaseClient, events: &Receiver<Event>) -> Result<Lease, Outcome> {
        let deadline = Instant::now() + self.timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let answer = client.acquire(left.min(ONE_WAIT));
            if let Ok(Event::Signal(number)) = events.try_recv() {
                // Also if the answer is unknown: the call may have been carried out.
                client.release();
                return Err(Outcome::by_signal(number));
            }
            let over = Instant::now() >= deadline;
            match answer {
                Acquisition::Lease(held) => return Ok(held),
                Acquisition::Busy(_) if !over => {}
                Acquisition::Unavailable(_) if !over => std::thread::sleep(PAUSE.min(left)),
                Acquisition::Busy(why) => return Err(fail(&why, Outcome::Busy)),
                Acquisition::Unavailable(why) => return Err(fail(&why, Outcome::Unavailable)),
                Acquisition::Unauthorized(why) => return Err(fail(&why, Outcome::Unauthorized)),
                Acquisition::Refused(why) => return Err(fail(&why, Outcome::Refused)),
            }
        }
    }

    /// Starts the command in a process group of its own, and its guardian.
    fn spawn(&self, held: &Lease) -> std::io::Result<Started> {
        let mut guardian = Guardian::start(self.kill_after)?;
        let mut command = Command::new(&self.command[0]);
        build::forget_cargo(&mut command);
        command
            .args(&self.command[1..])
            .process_group(0)
            // The command needs no access to the service: the lock is held for it.
            .env_remove("EDGELATCH_API_TOKEN")
            .env("EDGELATCH_FENCING_TOKEN", held.fencing_token.to_string())
            .env("EDGELATCH_USER_ID", self.user.to_string())
            .env("EDGELATCH_URL", lease::without_login(&self.url).as_str());
        match &self.name {
            Some(name) => command.env("EDGELATCH_LOCK_NAME", name),
            None => command.env_remove("EDGELATCH_LOCK_NAME"),
        };
        match command.spawn() {
            Ok(command) => {
                let group = group_of(&command)?;
                guardian.watch(group)?;
                let has_terminal = is_at_terminal();
                if has_terminal {
                    give_terminal(group);
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
        std::thread::spawn(move || of_command.send(Event::Ended(wait(group))));
        let keeper = Keeper::start(client.clone(), held.clone(), self.expire, sender.clone());
        let mut kill_at: Option<Instant> = None;
        let mut killed = false;
        let outcome = loop {
            let deadline = kill_at.filter(|_| !killed);
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            match next(events, left) {
                Some(Event::Signal(number)) => guardian::send(group, Signal::try_from(number)?),
                Some(Event::Lost(why)) => {
                    step::say(format_args!(
                        "the lock is lost, so the command is terminated: {why}"
                    ));
                    guardian::send(group, Signal::SIGTERM);
                    kill_at = Some(Instant::now() + self.kill_after);
                }
                Some(Event::Ended(status)) => match kill_at {
                    Some(kill_at) => {
                        kill_rest(group, kill_at);
                        break Outcome::Lost;
                    }
                    None => break of_status(status?),
                },
                None => {
                    guardian::send(group, Signal::SIGKILL);
                    killed = true;
                }
            }
        };
        keeper.stop();
        Ok(outcome)
    }
}

/// A command that runs.
struct Started {
    /// The command leads it.
    group: Pid,
    guardian: Guardian,
    /// Whether the command was given the terminal.
    has_terminal: bool,
}

fn fail(why: &str, outcome: Outcome) -> Outcome {
    step::say(why);
    outcome
}

/// Waits for the next event. `None` after `left`.
fn next(events: &Receiver<Event>, left: Option<Duration>) -> Option<Event> {
    match left {
        Some(left) => events.recv_timeout(left).ok(),
        None => events.recv().ok(),
    }
}

/// The command leads its group, so the group has its number.
fn group_of(command: &Child) -> std::io::Result<Pid> {
    let number = i32::try_from(command.id()).map_err(std::io::Error::other)?;
    Ok(Pid::from_raw(number))
}

/// Waits for the end of the command that leads this group. Ctrl-Z does not suspend it: the lock
/// would go on being renewed.
fn wait(command: Pid) -> nix::Result<WaitStatus> {
    loop {
        match waitpid(command, Some(WaitPidFlag::WUNTRACED)) {
            Ok(WaitStatus::Stopped(_, Signal::SIGTSTP)) => {
                guardian::send(command, Signal::SIGCONT);
            }
            Ok(WaitStatus::Stopped(..)) | Err(Errno::EINTR) => {}
            ended => return ended,
        }
    }
}

/// Waits for the end of what the command has left of its group, and kills it at `kill_at`.
fn kill_rest(group: Pid, kill_at: Instant) {
    while guardian::is_alive(group) && Instant::now() < kill_at {
        std::thread::sleep(LOOK);
    }
    guardian::send(group, Signal::SIGKILL);
}

/// Whether this process may read from a terminal.
fn is_at_terminal() -> bool {
    tcgetpgrp(std::io::stdin()) == Ok(getpgrp())
}

/// Lets this group read from the terminal and get its signals.
fn give_terminal(group: Pid) {
    // A process that takes the terminal back is stopped by this signal otherwise.
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTTOU);
    let _ = signals.thread_block();
    let _ = tcsetpgrp(std::io::stdin(), group);
    // The command may have tried to read before.
    guardian::send(group, Signal::SIGCONT);
}

fn of_status(status: WaitStatus) -> Outcome {
    match status {
        WaitStatus::Exited(_, code) => Outcome::OfCommand(u8::try_from(code).unwrap_or(u8::MAX)),
        WaitStatus::Signaled(_, signal, _) => Outcome::by_signal(signal as i32),
        _ => Outcome::OfCommand(u8::MAX),
    }
}

/// From now on these signals are events, and do not end this process.
fn listen_for_signals(sender: Sender<Event>) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    std::thread::spawn(move || {
        for number in signals.forever() {
            if sender.send(Event::Signal(number)).is_err() {
                return;
            }
        }
    });
    Ok(())
}
