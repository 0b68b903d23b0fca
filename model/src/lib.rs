//! The lock's protocol as a model: every order of events that small numbers of clients and faults allow, checked
//! exhaustively with [`stateright`].
//!
//! | here | what it models |
//! |---|---|
//! | [`redis`] | `src/core/lock/*.lua`, each script one step, and the keys that they touch |
//! | [`session`] | one request's way through `src/core/lock.rs` and `src/core/lock/lease.rs`, and the connections of `src/platform/redis.rs` |
//! | [`steps`] | what may happen next: a client's step, a script carried out, time, a fault |
//! | [`witness`] | what an onlooker who sees everything would note; no step depends on it |
//! | [`properties`] | what is promised |
//! | [`scenarios`] | which numbers and faults are checked together |
//!
//! Every session has connections of its own, so scripts of different sessions are carried out in any order, and those sent over
//! one connection in theirs. In the service, requests of one instance share a connection: that allows fewer orders, never more.
//! What follows an unanswered call goes over another connection, so either may be carried out first.
//!
//! A connection that was cut may still hand over what was sent before, at any later time: to the one who reads this it looks
//! like a message that was delayed, duplicated (the call was repeated over another connection) or, where the run is looked at
//! before, lost.
//!
//! Time is counted in units of half a time to live. Nothing says how long a step takes, so a paused process is one that does not
//! take its next step. A client that finds the lock held ends, or waits in the queue and looks again, on a signal or not: nothing
//! is said of signals, since they only make it look sooner. What is left out: fences, results, traces,
//! cancellations and queues that expire, how many waiters one script passes over at most, and the text of the keys.
//!
//! Safety is checked with waiters that look whenever they like, or never again. Liveness needs an assumption: where waiters are
//! *punctual*, each one that lives looks once in every unit of time, and waits for as long as it takes. Then nothing but somebody
//! alive may hold them up, but for a bounded time.

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

/// How long a waiter may be silent before it counts as dead. One that was handed the lock has as long from its last look to claim it.
pub const SILENCE: u8 = 2;

/// How long the dead may hold up the living: one who was handed the lock and died, and one more for whoever dies meanwhile.
pub const HELD_UP: u8 = SILENCE + 1;

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
    /// A client that waits looks again. Without any, nobody waits.
    pub looks: u8,
    /// The fence is evicted, or expires.
    pub evictions: u8,
    /// The server's clock is set back.
    pub set_backs: u8,
    /// A stranger deletes the lock.
    pub strangers: u8,
    /// Redis loses all its data.
    pub losses: u8,
    /// Redis becomes full (OOM), and stays so.
    pub fulls: u8,
    /// Waiters look once in every unit of time, and wait for as long as it takes.
    pub punctual: bool,
    /// So many waiters are dead and in the queue from the beginning, as after a restart of Redis from its file.
    pub dead: u8,
    /// All sessions but the second one have the same `Idempotency-Key`.
    pub idempotent: bool,
    /// The first two sessions are calls with one token, which a client brought. They hold leases and give them back.
    pub shared: bool,
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
    HandOnWithoutExpiry,
    /// Who hands the lock on leaves no trace.
    HandOnWithoutTrace,
    /// A cancelled call stays in the queue.
    CancelWithoutLeaving,
    /// A cancelled call keeps the lock that it took.
    CancelWithoutRelease,
    /// A cancelled call may arrive late.
    CancelWithoutMark,
    /// A waiter that was silent for too long is handed the lock.
    PassOverNobody,
    /// A waiter that was passed over does not find its old position.
    PassOverForGood,
    /// The time of arrival is the clock's, also when that was set back.
    ArrivalByClock,
    /// Renew writes the fence before it extends the lock.
    RenewFenceFirst,
    /// The idempotency record is no proof of a commit.
    RecordIsNoProof,
    /// A waiter that finds the result keeps the lock that it was handed.
    ResultWithoutPassingOn,
    /// A call whose token was handed the lock while it looked does not notice.
    HandedToItself,
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
