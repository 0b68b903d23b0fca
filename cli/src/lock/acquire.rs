//! Waits for the lock, and stops waiting when a signal says so.

use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use super::lease::{Lease, LeaseClient, SETTLED, WITHDRAW_LIMIT};
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

/// How long a service may fail, from its first failure on, while we wait without a limit.
const OUTAGE: Duration = Duration::from_secs(30);

/// Tries until it has the lock or `patience` is over.
pub(super) fn acquire(
    client: &LeaseClient,
    patience: Option<Duration>,
    sender: &Sender<Event>,
    events: &Receiver<Event>,
) -> Result<Lease, Outcome> {
    let limit = patience.map_or(CALL_LIMIT, |_| ANSWER_LIMIT);
    let mut patience = Patience::new(patience, Instant::now());
    // How far those requests came that may have the lock, or get it yet. The last one may have come
    // less far than those before.
    let mut reach = Reach::Unsent;
    loop {
        let asked_at = Instant::now();
        let wait = patience.left(asked_at).min(ONE_WAIT);
        let failure = match ask(client, wait, limit, reach, sender, events)? {
            Ok(held) => return Ok(held),
            Err(failure) => failure,
        };
        let now = Instant::now();
        match failure.code {
            Code::No => {
                patience.failing_since = None;
                if now - asked_at >= SETTLED {
                    // What came before is carried out by now, and has not got the lock.
                    reach = Reach::Unsent;
                }
            }
            Code::Unavailable if !failure.is_lasting => {
                patience.note_failure(now);
                reach = reach.max(failure.reach);
            }
            _ => {
                take_back(client, reach, events);
                return Err(failure.into());
            }
        }
        let left = patience.left(now);
        if left.is_zero() {
            take_back(client, reach, events);
            return Err(failure.into());
        }
        if asked_at.elapsed() < PAUSE {
            let pause = PAUSE.min(left);
            if let Some(Event::Signal { number, .. }) = next(events, Some(pause)) {
                if failure.code == Code::No {
                    client.withdraw();
                }
                take_back(client, reach, events);
                return Err(Outcome::BySignal(number));
            }
        }
    }
}

/// How long we go on.
struct Patience {
    /// `None`: as long as it takes, if the service does not fail.
    deadline: Option<Instant>,
    /// When its first failure arrived, if it fails. The wait before that was a healthy one, as far
    /// as we know.
    failing_since: Option<Instant>,
}

impl Patience {
    fn new(limit: Option<Duration>, now: Instant) -> Self {
        Self {
            deadline: limit.map(|limit| now + limit),
            failing_since: None,
        }
    }

    fn note_failure(&mut self, now: Instant) {
        self.failing_since.get_or_insert(now);
    }

    fn left(&self, now: Instant) -> Duration {
        let outage_ends = self.failing_since.map(|since| since + OUTAGE);
        let end = self.deadline.or(outage_ends);
        end.map_or(Duration::MAX, |end| end.saturating_duration_since(now))
    }
}

/// One call, after others that came so far. A signal ends it.
fn ask(
    client: &LeaseClient,
    wait: Duration,
    limit: Duration,
    reach: Reach,
    sender: &Sender<Event>,
    events: &Receiver<Event>,
) -> Result<Result<Lease, Failure>, Outcome> {
    let (of_call, sender) = (client.clone(), sender.clone());
    std::thread::spawn(move || sender.send(Event::Answered(of_call.acquire(wait, limit))));
    loop {
        match next(events, None) {
            Some(Event::Answered(answer)) => return Ok(answer),
            Some(Event::Signal { number, .. }) => {
                withdraw(client, reach, events);
                return Err(Outcome::BySignal(number));
            }
            Some(_) => {}
            None => return Err(Outcome::Failed(Code::Unavailable)),
        }
    }
}

/// Gives up a call that is under way, and those before, which came so far. It may overtake the
/// call, and then has to be repeated.
fn withdraw(client: &LeaseClient, reach: Reach, events: &Receiver<Event>) {
    client.withdraw();
    let deadline = Instant::now() + WITHDRAW_LIMIT;
    let reach = loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match next(events, Some(left)) {
            Some(Event::Answered(Err(failure))) if failure.code == Code::Unavailable => {
                break reach.max(failure.reach);
            }
            Some(Event::Answered(Ok(_))) => {
                client.withdraw();
                break reach;
            }
            Some(Event::Answered(Err(_))) | None => break reach,
            // Whoever sends another signal is impatient.
            Some(Event::Signal { .. }) => return,
            Some(_) => {}
        }
    };
    take_back(client, reach, events);
}

/// Takes back calls that came so far, and that may have been carried out. A signal ends it.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_counts_from_its_first_failure() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let mut patience = Patience::new(None, began);
        assert_eq!(patience.left(at(1000)), Duration::MAX);
        // The call before has waited in good health for 20 s.
        patience.note_failure(at(20));
        assert_eq!(patience.left(at(20)), OUTAGE);
        patience.note_failure(at(45));
        assert_eq!(patience.left(at(45)), Duration::from_secs(5));
        assert_eq!(patience.left(at(50)), Duration::ZERO);
        // It has answered.
        patience.failing_since = None;
        assert_eq!(patience.left(at(50)), Duration::MAX);
        patience.note_failure(at(60));
        assert_eq!(patience.left(at(60)), OUTAGE);
    }

    #[test]
    fn a_limited_wait_ends_when_it_was_to_end() {
        let began = Instant::now();
        let limit = Duration::from_secs(100);
        let mut patience = Patience::new(Some(limit), began);
        assert_eq!(patience.left(began), limit);
        patience.note_failure(began);
        assert_eq!(patience.left(began + OUTAGE), limit - OUTAGE);
        assert_eq!(patience.left(began + limit), Duration::ZERO);
    }
}
