//! The lock's protocol as a model: every order of events that small numbers of clients and faults allow, checked
//! exhaustively with [`stateright`].
//!
//! | here | what it models |
//! |---|---|
//! | [`redis`] | `src/lock/*.lua`, each script one step, and the keys that they touch |
//! | [`session`] | one request's way through `src/lock.rs` and `src/lock/lease.rs`, and the connections of `src/redis.rs` |
//! | [`steps`] | what may happen next: a client's step, a script carried out, time, a fault |
//! | [`witness`] | what an onlooker who sees everything would note; no step depends on it |
//! | [`properties`] | what is promised |
//! | [`scenarios`] | which numbers and faults are checked together |
//!
//! Every session has connections of its own, so scripts of different sessions are carried out in any order, and those sent over
//! one connection in theirs. In the service, requests of one instance share a connection: that allows fewer orders, never more.
//!
//! A connection that was cut may still hand over what was sent before, at any later time: to the one who reads this it polls
//! like a message that was delayed, duplicated (the call was repeated over another connection) or, where the run is looked at
//! before, lost.
//!
//! Time is counted in units of half a time to live. Nothing says how long a step takes, so a paused process is one that does not
//! take its next step. A client that finds the lock held ends, or waits in the queue and polls again, on a signal or not: nothing
//! is said of signals, since they only make it look sooner. What is left out: fences, results, traces and queues that expire, the place that a
//! waiter who was too late takes again, and the text of the keys.

pub mod properties;
pub mod redis;
pub mod scenarios;
pub mod session;
pub mod steps;
pub mod witness;

use redis::Redis;
use session::Session;
use witness::Witness;

/// The number of a session: whose token it is.
pub type SessionId = usize;

/// The time to live of a lock.
pub const TTL: u8 = 2;

/// How long one who is handed the lock has to take it up.
pub const CLAIM: u8 = 1;

/// The protocol for so many sessions and faults, whole or with one thing taken out of it.
#[derive(Clone, Debug)]
pub struct LockModel {
    /// How many requests there are.
    pub sessions: usize,
    /// What may happen, and how often.
    pub budget: Budget,
    /// What is taken out.
    pub mutation: Option<Mutation>,
}

/// How often each of these may still happen in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Budget {
    /// A connection breaks. What was sent over it may still arrive; answers do not.
    pub cuts: u8,
    /// A client gives up waiting for an answer.
    pub timeouts: u8,
    /// A client ends without a word.
    pub crashes: u8,
    /// A client renews its lock.
    pub renewals: u8,
    /// A client that waits polls again. Without any, nobody waits.
    pub polls: u8,
    /// The fence is evicted, or expires.
    pub evictions: u8,
    /// The server's clock is set back.
    pub clock_set_backs: u8,
    /// A stranger deletes the lock.
    pub foreign_deletes: u8,
    /// Redis loses all its data.
    pub data_losses: u8,
}

/// One thing taken out of the protocol: the model has to notice each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// `SET` without `PX`.
    AcquireWithoutExpiry,
    /// Release does not compare the token.
    ReleaseWithoutToken,
    /// Renew does not compare the token.
    RenewWithoutToken,
    /// Commit does not compare the token.
    CommitWithoutToken,
    /// Renew does not compare the fencing token.
    RenewWithoutNumber,
    /// Commit does not compare the fencing token.
    CommitWithoutNumber,
    /// Commit does not recognise its own repetition.
    CommitWithoutMemory,
    /// Acquire does not recognise its own repetition.
    AcquireWithoutMemory,
    /// Release does not recognise its own repetition.
    ReleaseWithoutMemory,
    /// A fencing token is the clock alone, not `max(previous + 1, clock)`.
    FenceWithoutPrevious,
    /// A fencing token is the previous one plus one, without the clock.
    FenceWithoutClock,
    /// The lock is handed on without an expiry.
    HandOverWithoutExpiry,
    /// Who hands the lock on leaves no trace.
    HandOverWithoutTrace,
    /// What gives a lock back after an unanswered call leaves its place in the queue.
    CleanupWithoutLeaving,
    /// What gives a lock back after an unanswered call goes over a connection of its own, not behind that call.
    CleanupElsewhere,
}

/// Everything at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The server.
    pub redis: Redis,
    /// The clients.
    pub sessions: Vec<Session>,
    /// What may still happen.
    pub budget: Budget,
    /// What an onlooker has noted.
    pub witness: Witness,
}
