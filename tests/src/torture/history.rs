//! What happened during a run, as seen from outside.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::plan::FaultKind;

mod lines;

/// Time since the run began.
pub type At = Duration;

/// What a client requested.
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
    /// `POST lock`, whose client hung up before the answer
    Abandon,
    /// `GET cache/last-action`
    Read,
    /// `GET cache/{key}`
    CacheGet,
    /// `PUT cache/{key}`
    CachePut,
    /// `DELETE cache/{key}`
    CacheDelete,
    /// `GET cache/{key}?compute`
    Compute,
    /// `PUT cache/{key}` with a `Compute-Token`
    Store,
    /// `DELETE cache/{key}` with a `Compute-Token`
    GiveUp,
}

/// One request and its answer.
#[derive(Clone, Debug)]
pub struct Operation {
    /// `X-Request-Id`
    pub id: String,
    /// What was requested.
    pub verb: Verb,
    /// For which user.
    pub user: u64,
    /// From which service.
    pub service: usize,
    /// When it was sent.
    pub sent: At,
    /// When the answer arrived, or the client gave up.
    pub answered: At,
    /// The status, with a problem's slug, an attempt's `failed`, or `replayed` after it. `None`
    /// without an answer.
    pub answer: Option<String>,
    /// The fencing token of the answer. For a read or a replay, that of the action shown.
    pub fencing_token: Option<i64>,
    /// For a renewal or a release: the request that acquired the lease, if it was the only one. With
    /// a `Compute-Token`: the request that was given it.
    pub lease: Option<String>,
    /// The time to live of the lock that it takes, or the time for which it may compute.
    pub expire: Duration,
    /// The `Idempotency-Key`, or the entry that is computed.
    pub key: Option<String>,
    /// The time limit.
    pub limit: Duration,
}

/// One action at the origin.
#[derive(Clone, Debug)]
pub struct Execution {
    /// `X-Request-Id`
    pub id: String,
    /// For which user.
    pub user: u64,
    /// Its fencing token.
    pub fencing_token: i64,
    /// When it began.
    pub began: At,
    /// When it was answered or aborted.
    pub ended: At,
    /// The origin had seen a greater fencing token before, and refused.
    pub refused: bool,
}

/// An interval during which a lease was certainly held: from the answer that granted it until a
/// renewal was sent that kept its fencing token.
#[derive(Clone, Debug)]
pub struct LeaseInterval {
    /// The id of the request that acquired it.
    pub id: String,
    /// The user.
    pub user: u64,
    /// The fencing token of the lease.
    pub fencing_token: i64,
    /// Its start.
    pub from: At,
    /// Its end.
    pub to: At,
}

/// An access to a value that several clients read and write.
#[derive(Clone, Debug)]
pub struct RegisterOperation {
    /// The request.
    pub id: String,
    /// The name of the value.
    pub register: String,
    /// When it was sent.
    pub sent: At,
    /// When it was answered.
    pub answered: At,
    /// What it does to the value.
    pub effect: Effect,
    /// Whether it did that. `None` if it may have, or yet may.
    pub done: Option<bool>,
}

/// What an access does to a value. No value is written twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Finds this value, or none.
    Find(Option<u64>),
    /// Makes it this value, or removes it, if the condition holds.
    Set(Option<u64>, Condition),
    /// Makes it any value that it may have had before.
    Revert,
}

/// The condition of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// None.
    Always,
    /// There is no value.
    Absent,
    /// There is a value.
    Present,
    /// It is this value.
    Is(u64),
}

/// A `BLPOP` of a waiter.
#[derive(Clone, Debug)]
pub struct Listening {
    /// The service.
    pub service: usize,
    /// The list, which is the waiter's own.
    pub list: String,
    /// The number of the connection.
    pub connection: u64,
    /// When it was sent.
    pub at: At,
}

/// How long a lock was seen held under a token, for longer than any lock of actions and ordinary
/// leases lives.
#[derive(Clone, Debug)]
pub struct LongHold {
    /// The user.
    pub user: u64,
    /// The token.
    pub token: String,
    /// When it was first seen.
    pub from: At,
    /// When it was last seen.
    pub to: At,
}

/// A fault that was injected.
#[derive(Clone, Debug)]
pub struct InjectedFault {
    /// The kind of fault.
    pub kind: FaultKind,
    /// The affected service, if the fault affects one.
    pub service: usize,
    /// Its start.
    pub from: At,
    /// Its end: everything works again.
    pub to: At,
}

/// Everything that was recorded.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Requests of clients, in the order of their answers.
    pub operations: Vec<Operation>,
    /// Actions at the origin, in the order of their ends.
    pub executions: Vec<Execution>,
    /// Intervals during which leases were held.
    pub lease_intervals: Vec<LeaseInterval>,
    /// Accesses to cache entries.
    pub registers: Vec<RegisterOperation>,
    /// What waiters sent to listen.
    pub listening: Vec<Listening>,
    /// Locks that were seen held with a long time to live.
    pub long_holds: Vec<LongHold>,
    /// The tokens of leases with a long time to live that a client received.
    pub received: Vec<String>,
    /// How many connections to Redis the services opened.
    pub connections: u64,
    /// How many waiters were in queues of killed services.
    pub killed_waiters: u64,
    /// Faults.
    pub faults: Vec<InjectedFault>,
    /// What was left at the end: held locks, and keys without an expiry.
    pub leftovers: Vec<String>,
    /// The duration of the run.
    pub took: Duration,
}

/// Collects what everyone sees.
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

    /// Records something.
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
    /// Whether it is an action that was answered 200.
    pub fn is_commit(&self) -> bool {
        let action = matches!(self.verb, Verb::Perform | Verb::Attempt);
        action && self.answer.as_deref() == Some("200")
    }
}

impl InjectedFault {
    /// Whether data of Redis may be lost.
    pub fn loses_data(&self) -> bool {
        matches!(self.kind, FaultKind::KillRedis | FaultKind::PromoteReplica)
    }

    /// Whether it may keep requests of a service from Redis for as long as it lasts.
    pub fn keeps_from_redis(&self, service: usize) -> bool {
        match self.kind {
            FaultKind::KillRedis
            | FaultKind::RestartRedis
            | FaultKind::PromoteReplica
            | FaultKind::FullRedis
            | FaultKind::StopRedis => true,
            FaultKind::Delay | FaultKind::Blackhole | FaultKind::Swallow => self.service == service,
            _ => false,
        }
    }

    /// Whether connections of a service to Redis may be closed or be of no use because of it.
    pub fn breaks_connections(&self, service: usize) -> bool {
        match self.kind {
            FaultKind::KillClients => true,
            FaultKind::CutAll
            | FaultKind::CutCommand
            | FaultKind::CutReply
            | FaultKind::LateCommand => self.service == service,
            _ => self.keeps_from_redis(service),
        }
    }

    /// Whether any of it lies between these times.
    pub fn touches(&self, from: At, to: At) -> bool {
        self.from <= to && from <= self.to
    }
}
