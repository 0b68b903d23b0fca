//! TaskKind has injected, as seen from outside.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::plan::FaultKind;

/// Time since the run began.
pub type At = Duration;

/// TaskKind a client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// `POST perform-action`
    Perform,
    /// `POST attempt-action`
    Attempt,
    /// `POST lock`
    Acquire,
    /// `PUT lock`
    Renew,
    /// `DELETE lock`
    Release,
    /// `GET cache/last-action`
    Read,
}

/// One request and its answer.
#[derive(Clone, Debug)]
pub struct Operation {
    /// `X-Request-Id`
    pub id: String,
    /// TaskKind was asked for.
    pub verb: Verb,
    /// For whom.
    pub user: u64,
    /// Of which service.
    pub service: usize,
    /// When it was sent.
    pub sent: At,
    /// When the answer was there, or it was clear that there is none.
    pub answered: At,
    /// The status, with a problem's slug or an attempt's `failed` behind it; `None` without an answer.
    pub answer: Option<String>,
    /// The fencing token of the answer; of a reading, that of the action read.
    pub fencing_token: Option<i64>,
    /// Of a renewal or a release: the request that the lease was granted to, if it was the only one.
    pub lease: Option<String>,
    /// The longest that it may take.
    pub limit: Duration,
}

/// One action at the origin.
#[derive(Clone, Debug)]
pub struct Execution {
    /// `X-Request-Id`
    pub id: String,
    /// For whom.
    pub user: u64,
    /// The fencing token that it came with.
    pub fencing_token: i64,
    /// When it came.
    pub began: At,
    /// When it was answered, or broken off.
    pub ended: At,
    /// The origin had seen a greater fencing token before.
    pub refused: bool,
}

/// A time during which a lease was surely held: from the answer that granted it until a renewal was sent that kept its fencing token.
#[derive(Clone, Debug)]
pub struct LeaseInterval {
    /// Of the request that granted it.
    pub id: String,
    /// Whose lock.
    pub user: u64,
    /// The fencing token of the lease.
    pub fencing_token: i64,
    /// The first moment.
    pub from: At,
    /// The last moment.
    pub to: At,
}

/// A fault that has injected.
#[derive(Clone, Debug)]
pub struct InjectedFault {
    /// TaskKind.
    pub kind: FaultKind,
    /// To which service, where it happens to one.
    pub service: usize,
    /// Its beginning.
    pub from: At,
    /// Its end: everything is as before.
    pub to: At,
}

/// Everything.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Requests of clients, in the order of their answers.
    pub operations: Vec<Operation>,
    /// Actions at the origin, in the order of their ends.
    pub executions: Vec<Execution>,
    /// Leases.
    pub lease_intervals: Vec<LeaseInterval>,
    /// Faults.
    pub faults: Vec<InjectedFault>,
    /// TaskKind was left at the end that should not be: locks, and keys without an expiry.
    pub leftovers: Vec<String>,
    /// How long it took.
    pub took: Duration,
}

/// Where everybody writes down what they see.
pub(crate) struct Recorder {
    began: Instant,
    history: Mutex<History>,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            history: Mutex::default(),
        }
    }

    /// Time since the run began.
    pub(crate) fn now(&self) -> At {
        self.began.elapsed()
    }

    /// Writes something down.
    pub(crate) fn note(&self, write: impl FnOnce(&mut History)) {
        write(&mut self.history.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Everything so far.
    pub(crate) fn history(&self) -> History {
        let history = self.history.lock();
        let mut history = history.unwrap_or_else(PoisonError::into_inner).clone();
        history.took = self.now();
        history
    }
}

impl Operation {
    /// Whether it is an action that was answered as done.
    pub fn is_commit(&self) -> bool {
        let action = matches!(self.verb, Verb::Perform | Verb::Attempt);
        action && self.answer.as_deref() == Some("200")
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.6}-{:.6} {} {:?} of user {} by service {}: {}",
            self.sent.as_secs_f64(),
            self.answered.as_secs_f64(),
            self.id,
            self.verb,
            self.user,
            self.service,
            self.answer.as_deref().unwrap_or("no answer"),
        )?;
        match self.fencing_token {
            Some(number) => write!(f, ", fencing token {number}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Execution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.6}-{:.6} {} at the origin for user {}, fencing token {}",
            self.began.as_secs_f64(),
            self.ended.as_secs_f64(),
            self.id,
            self.user,
            self.fencing_token,
        )
    }
}

impl fmt::Display for LeaseInterval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.6}-{:.6} {} lease held for user {}, fencing token {}",
            self.from.as_secs_f64(),
            self.to.as_secs_f64(),
            self.id,
            self.user,
            self.fencing_token,
        )
    }
}
