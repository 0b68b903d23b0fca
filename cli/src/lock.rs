//! `edgelatch lock`: runs a command while it holds a user's lock, like `flock`, but over HTTP and
//! from any machine.
//!
//! The lock is a lease: acquired before the command, renewed at a third of its time to live,
//! released after the command. If the lease is lost, the command and all that it started are
//! terminated, because another holder may be at work from then on. A guardian does that.
//!
//! The command stays in our process group, so the terminal treats it as if we were not there.

mod acquire;
mod arguments;
mod guardian;
mod keeper;
mod lease;
mod outcome;
mod processes;
mod signals;

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::exit::{Code, Failure, say};
use crate::service::TOKEN;
pub(crate) use arguments::Lock;
use guardian::Guardian;
pub(crate) use guardian::LockGuardian;
use keeper::{Keeper, Kept};
use lease::{Lease, LeaseClient, Release, WITHDRAW_LIMIT, random_token};
use outcome::Outcome;
use processes::{Family, MARKS, Process};

/// How long after its start we pass Ctrl-C on to the command: before its `exec` it does not get it.
/// We learn of a signal a bit later than it comes.
const STARTING: Duration = Duration::from_millis(2);

/// How much later than its guardian we kill the command. It does not need us, unless it is stopped.
const GRACE: Duration = Duration::from_secs(1);

/// What may happen.
enum Event {
    /// This process got a signal.
    Signal {
        number: i32,
        /// The command got it, too.
        by_terminal: bool,
        at: Instant,
    },
    /// The service answered a request for the lock.
    Answered(Result<Lease, Failure>),
    /// The lease was renewed.
    Renewed(Lease),
    /// The command ended.
    Ended(std::io::Result<ExitStatus>),
    /// The lease was lost, and why.
    Lost(String),
    /// The release was answered, or not.
    Released(Release),
}

impl Event {
    fn is_signal(&self) -> bool {
        matches!(self, Self::Signal { .. })
    }
}

impl Lock {
    /// Runs the command under the lock. Prints what goes wrong to stderr.
    pub(crate) fn run(&self) -> ExitCode {
        let outcome = self.try_run().unwrap_or_else(|error| {
            say(format_args!("{error:#}"));
            Outcome::Failed(Code::Unavailable)
        });
        if let Outcome::BySignal(number) = outcome {
            signals::die_of(number);
        }
        ExitCode::from(outcome.code(self.conflict_exit_code))
    }

    fn try_run(&self) -> anyhow::Result<Outcome> {
        let client = match LeaseClient::new(self) {
            Ok(client) => client,
            Err(failure) => return Ok(failure.into()),
        };
        let (sender, events) = channel();
        signals::listen(sender.clone())?;
        // Before the wait: the program may be replaced meanwhile.
        let guardian = match Guardian::start(self.kill_after) {
            Ok(guardian) => guardian,
            // Ctrl-C ends a guardian that has just begun.
            Err(error) => match next(&events, Some(GRACE)) {
                Some(Event::Signal { number, .. }) => return Ok(Outcome::BySignal(number)),
                _ => return Err(error.into()),
            },
        };
        let mut held = match acquire::acquire(&client, self.patience(), &sender, &events) {
            Ok(held) => held,
            Err(outcome) => return Ok(outcome),
        };
        let outcome = self.run_under(&mut held, &client, guardian, &sender, &events)?;
        if outcome == Outcome::Lost {
            // Nothing is left, unless the service did not answer in time.
            client.withdraw();
            return Ok(outcome);
        }
        let release = release(&client, &held, &sender, &events);
        Ok(after_release(release, &held, outcome))
    }

    /// Runs the command while we hold the lock. Leaves `held` as it was renewed last.
    fn run_under(
        &self,
        held: &mut Lease,
        client: &LeaseClient,
        mut guardian: Guardian,
        sender: &Sender<Event>,
        events: &Receiver<Event>,
    ) -> anyhow::Result<Outcome> {
        // The command would not get what came before it.
        if let Some(Event::Signal { number, .. }) = events.try_iter().find(Event::is_signal) {
            return Ok(Outcome::BySignal(number));
        }
        guardian.held_until(held.good_until);
        let family = match self.spawn(held, &mut guardian, sender)? {
            Ok(family) => family,
            Err(error) => {
                guardian.dismiss();
                say(format_args!("`{}`: {error}", self.command[0].display()));
                let found = error.kind() != std::io::ErrorKind::NotFound;
                return Ok(Outcome::OfCommand(if found { 126 } else { 127 }));
            }
        };
        let keeper = Keeper::start(client.clone(), held.clone(), self.expire, sender.clone());
        let outcome = self.watch(&family, &mut guardian, events);
        let mut failed = None;
        if let Some(kept) = keeper.stop() {
            Kept {
                held: *held,
                failed,
            } = kept;
        }
        // It has not waited for us if we were stopped.
        let has_ended_it = guardian.dismiss();
        let outcome = outcome?;
        if has_ended_it && outcome != Outcome::Lost {
            say_lost(failed.as_deref().unwrap_or("it was not renewed in time"));
            return Ok(Outcome::Lost);
        }
        Ok(outcome)
    }

    /// Starts the command, which the guardian watches. Its end becomes an event. The inner error is
    /// the command's.
    fn spawn(
        &self,
        held: &Lease,
        guardian: &mut Guardian,
        sender: &Sender<Event>,
    ) -> std::io::Result<std::io::Result<Family>> {
        let mut family = Family {
            mark: random_token()?,
            command: None,
        };
        guardian.watch(&family);
        let mut marks = std::env::var_os(MARKS).unwrap_or_default();
        if !marks.is_empty() {
            marks.push(",");
        }
        marks.push(&family.mark);
        let mut command = Command::new(&self.command[0]);
        command
            .args(&self.command[1..])
            // The command needs no access to the service: the lock is held for it.
            .env_remove(TOKEN)
            .env(MARKS, marks)
            .env("EDGELATCH_FENCING_TOKEN", held.fencing_token.to_string())
            .env("EDGELATCH_USER_ID", &self.service.user)
            .env(
                "EDGELATCH_URL",
                self.service.public_url().as_str().trim_end_matches('/'),
            );
        // The command may change its folder.
        for (name, file) in [
            ("EDGELATCH_TOKEN_FILE", &self.service.token_file),
            ("EDGELATCH_CACERT", &self.service.cacert),
        ] {
            if let Some(file) = file {
                command.env(name, std::path::absolute(file)?);
            }
        }
        match &self.lock.name {
            Some(name) => command.env("EDGELATCH_LOCK_NAME", name),
            None => command.env_remove("EDGELATCH_LOCK_NAME"),
        };
        can_be_suspended(&mut command);
        let mut command = match command.spawn() {
            Ok(command) => command,
            Err(error) => return Ok(Err(error)),
        };
        let pid = i32::try_from(command.id()).map_err(std::io::Error::other)?;
        family.command = Some(Process::of(pid));
        guardian.watch(&family);
        let sender = sender.clone();
        std::thread::spawn(move || sender.send(Event::Ended(command.wait())));
        Ok(Ok(family))
    }

    /// Waits for the end of the command, and has it terminated if the lease is lost.
    fn watch(
        &self,
        family: &Family,
        guardian: &mut Guardian,
        events: &Receiver<Event>,
    ) -> anyhow::Result<Outcome> {
        let began = Instant::now();
        let mut kill_at: Option<Instant> = None;
        let mut is_lost = false;
        loop {
            let left = kill_at.map(|at| at.saturating_duration_since(Instant::now()));
            match next(events, left) {
                Some(Event::Signal {
                    number,
                    by_terminal,
                    at,
                }) => {
                    if !by_terminal || at < began + STARTING {
                        family.send(Signal::try_from(number)?);
                    }
                }
                Some(Event::Renewed(held)) => guardian.held_until(held.good_until),
                Some(Event::Lost(why)) => {
                    say(format_args!(
                        "the lock is lost, so the command is terminated: {why}"
                    ));
                    is_lost = true;
                    if guardian.end() {
                        kill_at = Some(Instant::now() + self.kill_after + GRACE);
                    } else {
                        family.end(self.kill_after);
                    }
                }
                Some(Event::Ended(_)) if is_lost => return Ok(Outcome::Lost),
                Some(Event::Ended(status)) => return Ok(Outcome::of_status(status?)),
                // Of a request that was answered before.
                Some(Event::Answered(_) | Event::Released(_)) => {}
                None => {
                    family.kill(Vec::new());
                    kill_at = None;
                }
            }
        }
    }
}

/// What the release says about the time before it.
fn after_release(release: Release, held: &Lease, outcome: Outcome) -> Outcome {
    match release {
        Release::NotHeld(why) => {
            say_lost(&why);
            Outcome::Lost
        }
        Release::Unknown(why) => {
            let left = held.gone_at.saturating_duration_since(Instant::now());
            let left = left.as_secs_f64().ceil();
            say(format_args!(
                "the lock could not be released and expires within {left} s: {why}"
            ));
            outcome
        }
        Release::Done => outcome,
    }
}

fn say_lost(why: &str) {
    say(format_args!(
        "the lock was lost before the command ended: {why}"
    ));
}

/// Has the command started by `fork`. With `vfork`, Ctrl-Z just before its `exec` stops it and
/// leaves this process waiting for it, so that the shell sees no stopped job.
fn can_be_suspended(command: &mut Command) {
    #[expect(unsafe_code, reason = "whatever runs before `exec` is")]
    // SAFETY: it does nothing.
    unsafe {
        command.pre_exec(|| Ok(()));
    }
}

/// Releases the lock. A signal ends the tries, after a moment for the one that is under way.
fn release(
    client: &LeaseClient,
    held: &Lease,
    sender: &Sender<Event>,
    events: &Receiver<Event>,
) -> Release {
    let (of_call, held, sender) = (client.clone(), held.clone(), sender.clone());
    let (going_on, stop) = channel::<()>();
    std::thread::spawn(move || {
        let pause = |pause| stop.recv_timeout(pause) == Err(RecvTimeoutError::Timeout);
        sender.send(Event::Released(of_call.release(&held, pause)))
    });
    let mut going_on = Some(going_on);
    let mut give_up_at: Option<Instant> = None;
    loop {
        let left = give_up_at.map(|at| at.saturating_duration_since(Instant::now()));
        match next(events, left) {
            Some(Event::Released(release)) => return release,
            Some(Event::Signal { .. }) => {
                drop(going_on.take());
                give_up_at.get_or_insert_with(|| Instant::now() + WITHDRAW_LIMIT);
            }
            Some(_) => {}
            None => return Release::Unknown("interrupted".to_owned()),
        }
    }
}

/// Waits for the next event. `None` after `left`.
fn next(events: &Receiver<Event>, left: Option<Duration>) -> Option<Event> {
    match left {
        Some(left) => events.recv_timeout(left).ok(),
        None => events.recv().ok(),
    }
}
