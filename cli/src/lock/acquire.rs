//! Waits for the lock, and stops waiting when a signal says so.

use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use super::lease::{Lease, LeaseClient, WITHDRAW_LIMIT};
use super::outcome::Outcome;
use super::{Event, next};
use crate::client::CALL_LIMIT;
use crate::exit::{Code, Failure, Reach};

/// How long the service waits in one call. Proxies and hosts end a call after 30 s or more. Between
/// two calls our place in the queue is lost.
const ONE_WAIT: Duration = Duration::from_secs(20);

/// The pause between two calls of a service that fails.
const PAUSE: Duration = Duration::from_millis(500);

/// How long the service may take for its answer beyond the wait, if that is limited.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// How long a service may fail while we wait without a limit.
const OUTAGE: Duration = Duration::from_secs(30);

/// Tries until it has the lock or `patience` is over.
pub(super) fn acquire(
    client: &LeaseClient,
    patience: Option<Duration>,
    sender: &Sender<Event>,
    events: &Receiver<Event>,
) -> Result<Lease, Outcome> {
    let deadline = patience.map(|patience| Instant::now() + patience);
    let limit = deadline.map_or(CALL_LIMIT, |_| ANSWER_LIMIT);
    let mut answered_at = Instant::now();
    loop {
        let wait = left(deadline).min(ONE_WAIT);
        let asked_at = Instant::now();
        let failure = match ask(client, wait, limit, sender, events)? {
            Ok(held) => return Ok(held),
            Err(failure) => failure,
        };
        let give_up_at = match failure.code {
            Code::No => {
                answered_at = Instant::now();
                deadline
            }
            Code::Unavailable if !failure.is_lasting => {
                Some(deadline.unwrap_or(answered_at + OUTAGE))
            }
            _ => return Err(failure.into()),
        };
        if give_up_at.is_some_and(|at| Instant::now() >= at) {
            if failure.code == Code::Unavailable {
                take_back(client, failure.reach, events);
            }
            return Err(failure.into());
        }
        if asked_at.elapsed() < PAUSE {
            let pause = PAUSE.min(left(give_up_at));
            if let Some(Event::Signal { number, .. }) = next(events, Some(pause)) {
                if failure.code == Code::Unavailable {
                    take_back(client, failure.reach, events);
                } else {
                    client.withdraw();
                }
                return Err(Outcome::BySignal(number));
            }
        }
    }
}

fn left(deadline: Option<Instant>) -> Duration {
    deadline.map_or(ONE_WAIT, |at| at.saturating_duration_since(Instant::now()))
}

/// One call. A signal ends it.
fn ask(
    client: &LeaseClient,
    wait: Duration,
    limit: Duration,
    sender: &Sender<Event>,
    events: &Receiver<Event>,
) -> Result<Result<Lease, Failure>, Outcome> {
    let (of_call, sender) = (client.clone(), sender.clone());
    std::thread::spawn(move || sender.send(Event::Answered(of_call.acquire(wait, limit))));
    loop {
        match next(events, None) {
            Some(Event::Answered(answer)) => return Ok(answer),
            Some(Event::Signal { number, .. }) => {
                withdraw(client, events);
                return Err(Outcome::BySignal(number));
            }
            Some(_) => {}
            None => return Err(Outcome::Failed(Code::Unavailable)),
        }
    }
}

/// Gives up a call that is under way. It may overtake that call, and then has to be repeated.
fn withdraw(client: &LeaseClient, events: &Receiver<Event>) {
    client.withdraw();
    let deadline = Instant::now() + WITHDRAW_LIMIT;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match next(events, Some(left)) {
            Some(Event::Answered(Err(failure))) if failure.code != Code::Unavailable => return,
            Some(Event::Answered(Err(failure))) => {
                take_back(client, failure.reach, events);
                return;
            }
            Some(Event::Answered(Ok(_))) => {
                client.withdraw();
                return;
            }
            // Whoever sends another signal is impatient.
            Some(Event::Signal { .. }) | None => return,
            Some(_) => {}
        }
    }
}

/// Takes back a call whose answer says nothing, and that may have been carried out. A signal ends
/// it.
fn take_back(client: &LeaseClient, reach: Reach, events: &Receiver<Event>) {
    client.take_back(reach, |pause| {
        let until = Instant::now() + pause;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match next(events, Some(left)) {
                Some(Event::Signal { .. }) => return false,
                Some(_) => {}
                None => return true,
            }
        }
    });
}
