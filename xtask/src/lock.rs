//! `cargo xtask lock`: runs a command while it holds a user's lock, like `flock`, but over HTTP and
//! from any machine.
//!
//! The lock is a lease: acquired before the command, renewed at a third of its time to live,
//! released after the command. If the lease is lost, the command is terminated, because another
//! holder may be at work from then on.

mod arguments;
mod keeper;
mod lease;

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::Cause;

use crate::{build, step};
pub(crate) use arguments::{Lock, usage_error};
use keeper::Keeper;
use lease::{Acquisition, Lease, LeaseClient, Release};

/// How long the service waits in one call. A signal takes effect after the call.
const ONE_WAIT: Duration = Duration::from_secs(2);

/// The pause between two calls of a service that fails.
const PAUSE: Duration = Duration::from_millis(500);

/// What may happen while the command runs.
enum Event {
    /// This process got a signal.
    Signal { number: i32, of_terminal: bool },
    /// The command ended.
    Ended(std::io::Result<ExitStatus>),
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
            Ok(command) => self.watch(command, &held, &client, &sender, &events)?,
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
            if let Ok(Event::Signal { number, .. }) = events.try_recv() {
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

    fn spawn(&self, held: &Lease) -> std::io::Result<Child> {
        let mut command = Command::new(&self.command[0]);
        build::forget_cargo(&mut command);
        command
            .args(&self.command[1..])
            .env("EDGELATCH_FENCING_TOKEN", held.fencing_token.to_string())
            .env("EDGELATCH_USER_ID", self.user.to_string())
            .env("EDGELATCH_URL", self.url.as_str());
        match &self.name {
            Some(name) => command.env("EDGELATCH_LOCK_NAME", name),
            None => command.env_remove("EDGELATCH_LOCK_NAME"),
        };
        command.spawn()
    }

    /// Renews the lease while the command runs, and terminates the command if the lease is lost.
    fn watch(
        &self,
        mut command: Child,
        held: &Lease,
        client: &LeaseClient,
        sender: &Sender<Event>,
        events: &Receiver<Event>,
    ) -> anyhow::Result<Outcome> {
        let pid = Pid::from_raw(i32::try_from(command.id())?);
        let of_command = sender.clone();
        std::thread::spawn(move || of_command.send(Event::Ended(command.wait())));
        let keeper = Keeper::start(client.clone(), held.clone(), self.expire, sender.clone());
        let mut kill_at: Option<Instant> = None;
        let outcome = loop {
            let left = kill_at.map(|at| at.saturating_duration_since(Instant::now()));
            match next(events, left) {
                Some(Event::Signal {
                    of_terminal: true, ..
                }) => {}
                Some(Event::Signal { number, .. }) => send(pid, Signal::try_from(number)?),
                Some(Event::Lost(why)) => {
                    step::say(format_args!(
                        "the lock is lost, so the command is terminated: {why}"
                    ));
                    send(pid, Signal::SIGTERM);
                    kill_at = Some(Instant::now() + self.kill_after);
                }
                Some(Event::Ended(_)) if kill_at.is_some() => break Outcome::Lost,
                Some(Event::Ended(status)) => break of_status(status?),
                None => {
                    send(pid, Signal::SIGKILL);
                    // The command ends now. There is no further deadline.
                    kill_at = Some(Instant::now() + Duration::from_secs(3600));
                }
            }
        };
        keeper.stop();
        Ok(outcome)
    }
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

fn of_status(status: ExitStatus) -> Outcome {
    match (status.code(), status.signal()) {
        (Some(code), _) => Outcome::OfCommand(u8::try_from(code).unwrap_or(u8::MAX)),
        (None, Some(signal)) => Outcome::by_signal(signal),
        (None, None) => Outcome::OfCommand(u8::MAX),
    }
}

/// The process may have ended already.
fn send(pid: Pid, signal: Signal) {
    let _ = kill(pid, signal);
}

/// From now on these signals are events, and do not end this process.
fn listen_for_signals(sender: Sender<Event>) -> std::io::Result<()> {
    let mut signals = SignalsInfo::<WithOrigin>::new([SIGINT, SIGTERM, SIGHUP])?;
    std::thread::spawn(move || {
        for origin in signals.forever() {
            // A signal of the terminal goes to the whole foreground group, so the command has it
            // already.
            let event = Event::Signal {
                number: origin.signal,
                of_terminal: matches!(origin.cause, Cause::Kernel),
            };
            if sender.send(event).is_err() {
                return;
            }
        }
    });
    Ok(())
}
