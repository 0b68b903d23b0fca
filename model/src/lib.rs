//! The lock's protocol as a model. [`stateright`] checks every order of events that a few clients
//! and faults allow.
//!
//! | here | what it models |
//! |---|---|
//! | [`redis`] | the Lua scripts of the lock, each one step, and the keys that they touch |
//! | [`session`] | one request: acquire, renew, commit or release, and its connections to Redis |
//! | [`steps`] | what may happen next: a client's step, a script that runs, time, a fault |
//! | [`witness`] | what an observer of all steps records; no step depends on it |
//! | [`properties`] | the promises |
//! | [`scenario`] | how many clients and faults are checked together, and the check |
//! | [`scenarios`] | which numbers of clients and faults are checked together |
//!
//! Every session has its own connections. Scripts of different sessions run in any order, those of
//! one connection in the order in which they were sent. In the service, the requests of an instance
//! share a connection, which allows fewer orders and no new ones. The cleanup after an unanswered
//! call uses another connection, so either may run first.
//!
//! A connection that was cut may still deliver, at any later time, what was sent before the cut. To
//! the reader this looks like a message that was delayed, duplicated (the call was repeated over
//! another connection) or, before the delivery, lost.
//!
//! Time is counted in halves of a time to live. A step may take any time, so a paused process is
//! one that does not take its next step. A client that finds the lock held ends, or waits in the
//! queue and polls. The model leaves out signals (they only make a waiter poll sooner), the expiry
//! of fences, results, traces, cancellations and queues, how many waiters one script passes over at
//! most, what readers of the user learn from the fence, and the text of the keys.
//!
//! Safety is checked with waiters that poll at any time, or never again. Liveness needs an
//! assumption: *punctual* waiters poll once in every unit of time while they live, and wait for as
//! long as it takes. Then only living sessions hold them up for longer than a bounded time.

pub mod properties;
pub mod redis;
pub mod scenario;
pub mod scenarios;
pub mod session;
pub mod steps;
pub mod witness;

use redis::Redis;
use session::Session;
use witness::Witness;

/// The number of a session, which is also its token.
pub type SessionId = usize;

/// The time to live of a lock.
pub const TTL: u8 = 2;

/// How long a waiter may be silent before it counts as dead. A waiter to which the lock was handed
/// over has as long from its last poll to claim it.
pub const SILENCE: u8 = 2;

/// How long dead sessions may hold up living ones: one that dies after the lock was handed over to
/// it, and one more unit for those that die meanwhile.
pub const HELD_UP: u8 = SILENCE + 1;

/// The protocol for this many sessions and faults, complete or with one part removed.
#[derive(Clone, Debug)]
pub struct LockModel {
    /// The number of requests.
    pub sessions: usize,
    /// What may happen, and how often.
    pub budget: Budget,
    /// The part that is removed.
    pub mutation: Option<Mutation>,
}

/// How often each of these may still happen in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Budget {
    /// A connection is cut. What was sent over it may still arrive. Replies do not.
    pub cuts: u8,
    /// A client stops waiting for an answer.
    pub timeouts: u8,
    /// A client ends without cleaning up.
    pub crashes: u8,
    /// A client renews its lock.
    pub renewals: u8,
    /// A waiting client polls. If this is 0, nobody waits.
    pub polls: u8,
    /// The fence is evicted or expires.
    pub evictions: u8,
    /// The server's clock is set back.
    pub clock_set_backs: u8,
    /// A foreign client deletes the lock.
    pub foreign_deletes: u8,
    /// An administrator breaks the lock.
    pub breaks: u8,
    /// The break is repeated, at any later time.
    pub repeated_breaks: u8,
    /// Redis loses all its data.
    pub data_losses: u8,
    /// Redis becomes full (OOM), and stays so.
    pub fulls: u8,
    /// Waiters poll once in every unit of time, and wait for as long as it takes.
    pub punctual: bool,
    /// This many waiters in the queue are dead from the beginning, as after a restart of Redis from
    /// its file.
    pub dead: u8,
    /// A dead session holds the lock from the beginning, until it expires. All others wait for it,
    /// in the order of their numbers.
    pub held: bool,
    /// All sessions but the second one have the same `Idempotency-Key`.
    pub idempotent: bool,
    /// The lock is the task of computing a cache entry: all sessions want its result, and whoever
    /// holds the lock stores it.
    pub computing: bool,
    /// Somebody stores the entry without the task's token, which ends the task.
    pub stores: u8,
    /// The first two sessions are calls with one token, which a client brought. They hold leases
    /// and release them.
    pub shared: bool,
    /// A client gives back the token that it brought, without waiting for the calls with it.
    pub withdrawals: u8,
}

/// A part that can be removed from the protocol. The model has to notice each.
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
    /// The lock is handed over without an expiry.
    HandOverWithoutExpiry,
    /// A script that hands the lock over leaves no trace.
    HandOverWithoutTrace,
    /// A cancelled call stays in the queue.
    CancelWithoutLeaving,
    /// A cancelled call keeps the lock that it took.
    CancelWithoutRelease,
    /// A cancelled call may arrive late.
    CancelWithoutMark,
    /// The lock is handed over to a waiter that was silent for too long.
    PassOverNobody,
    /// The time of arrival is the clock, even after the clock was set back.
    ArrivalByClock,
    /// Renew writes the fence before it extends the lock.
    RenewFenceFirst,
    /// The idempotency record does not prove a commit.
    RecordIsNoProof,
    /// A waiter that was passed over arrives anew.
    PassedOverToTheEnd,
    /// Storing an entry without the task's token does not end the task.
    StoreWithoutEnd,
    /// A waiter that finds the result keeps the lock that was handed over to it.
    ResultWithoutPassingOn,
    /// A call does not notice that the lock was handed over to its token while it polled.
    HandedToItself,
    /// A break hands the lock over under the broken holder's fencing token.
    BreakWithoutNumber,
    /// A break does not recognise its own repetition.
    BreakWithoutProof,
    /// A token that is given back leaves no mark for those of its calls that are in no queue.
    WithdrawWithoutMark,
    /// The time of arrival may be earlier than the mark of the call's token.
    ArrivalBeforeMark,
}

/// The state of everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The server.
    pub redis: Redis,
    /// The clients.
    pub sessions: Vec<Session>,
    /// What may still happen.
    pub budget: Budget,
    /// What the observer has recorded.
    pub witness: Witness,
}
