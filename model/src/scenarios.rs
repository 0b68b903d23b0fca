//! The scenarios: numbers of clients and faults that are small enough to check every order of
//! events.

use crate::properties::{
    BROKEN_ONCE, CAME_AFTER, EXCLUSION, EXTENDED, FREE, GROWING, IN_ORDER, LOSS, NEWEST,
    NO_LEFTOVER, NOT_BY_ITSELF, ORDERED, OWN_TOKEN, RECOGNITION, REFUSAL, REPETITION, REPLAYED,
    SERVED, SUCCESSION, TRUTH, TWO_BELIEVE, UNINTERRUPTED, WITHDRAWN,
};
use crate::scenario::Scenario;
use crate::{Budget, Mutation};

const NONE: Budget = Budget {
    cuts: 0,
    timeouts: 0,
    crashes: 0,
    renewals: 0,
    polls: 0,
    evictions: 0,
    clock_set_backs: 0,
    foreign_deletes: 0,
    breaks: 0,
    repeated_breaks: 0,
    data_losses: 0,
    fulls: 0,
    punctual: false,
    dead: 0,
    held: false,
    idempotent: false,
    computing: false,
    stores: 0,
    shared: false,
    withdrawals: 0,
};

/// Every fault of a network, with two sessions.
pub const NETWORK: Scenario = Scenario {
    name: "2 sessions, network",
    sessions: 2,
    budget: Budget {
        cuts: 1,
        timeouts: 1,
        crashes: 1,
        renewals: 1,
        ..NONE
    },
    reached: &[LOSS, REFUSAL, RECOGNITION, SUCCESSION],
};

/// Two cut connections: a call and its repetition, and both again for another call.
pub const CUTS: Scenario = Scenario {
    name: "2 sessions, 2 connections cut",
    sessions: 2,
    budget: Budget {
        cuts: 2,
        timeouts: 1,
        ..NONE
    },
    reached: &[LOSS, REFUSAL, RECOGNITION, SUCCESSION],
};

/// Three sessions and one cut connection.
pub const THREE: Scenario = Scenario {
    name: "3 sessions, 1 connection cut",
    sessions: 3,
    budget: Budget { cuts: 1, ..NONE },
    reached: &[LOSS, REFUSAL, RECOGNITION, SUCCESSION],
};

/// Three sessions that renew and time out.
pub const RENEWAL: Scenario = Scenario {
    name: "3 sessions, renewal and a time-out",
    sessions: 3,
    budget: Budget {
        timeouts: 1,
        renewals: 1,
        ..NONE
    },
    reached: &[LOSS, REFUSAL, SUCCESSION],
};

/// The fence is evicted. Two rare faults at once are left out on purpose: with a cut connection a
/// release can't recognise its repetition, and with a clock set back a fencing token can recur.
pub const EVICTION: Scenario = Scenario {
    name: "3 sessions, fence evicted",
    sessions: 3,
    budget: Budget {
        evictions: 1,
        renewals: 1,
        ..NONE
    },
    reached: &[LOSS, REFUSAL, SUCCESSION],
};

/// The server's clock is set back.
pub const SET_BACK: Scenario = Scenario {
    name: "3 sessions, clock set back",
    sessions: 3,
    budget: Budget {
        clock_set_backs: 1,
        ..NONE
    },
    reached: &[LOSS, REFUSAL, SUCCESSION],
};

/// A foreign client deletes the lock.
pub const STRANGER: Scenario = Scenario {
    name: "2 sessions, a stranger and the network",
    sessions: 2,
    budget: Budget {
        cuts: 1,
        timeouts: 1,
        renewals: 1,
        foreign_deletes: 1,
        ..NONE
    },
    reached: &[LOSS, REFUSAL, RECOGNITION, SUCCESSION, TWO_BELIEVE],
};

/// An administrator breaks the lock. The holder learns of it at its next renewal or commit, and a
/// waiter gets the lock.
pub const BROKEN: Scenario = Scenario {
    name: "2 sessions in a queue, the lock is broken",
    sessions: 2,
    budget: Budget {
        polls: 1,
        renewals: 1,
        breaks: 1,
        repeated_breaks: 1,
        ..NONE
    },
    reached: &[LOSS, REFUSAL, SUCCESSION, TWO_BELIEVE],
};

/// An administrator breaks the lock while a living session waits behind a dead one.
pub const BROKEN_QUEUE: Scenario = Scenario {
    name: "2 punctual sessions behind a dead one, the lock is broken",
    sessions: 2,
    budget: Budget {
        punctual: true,
        dead: 1,
        crashes: 1,
        breaks: 1,
        ..NONE
    },
    reached: &[LOSS, REFUSAL, SUCCESSION, TWO_BELIEVE],
};

/// Redis loses all its data. Then only fencing tokens tell holders apart.
pub const DATA_LOSS: Scenario = Scenario {
    name: "2 sessions, data lost, and the network",
    sessions: 2,
    budget: Budget {
        cuts: 1,
        timeouts: 1,
        renewals: 1,
        data_losses: 1,
        ..NONE
    },
    reached: &[LOSS, REFUSAL, RECOGNITION, SUCCESSION, TWO_BELIEVE],
};

/// Two sessions in a queue.
pub const QUEUE: Scenario = Scenario {
    name: "2 sessions in a queue, one crashes",
    sessions: 2,
    budget: Budget {
        polls: 2,
        crashes: 1,
        ..NONE
    },
    reached: &[LOSS, REFUSAL, SUCCESSION],
};

/// Two sessions in a queue, with every fault of a network.
pub const QUEUE_NETWORK: Scenario = Scenario {
    name: "2 sessions in a queue, network",
    sessions: 2,
    budget: Budget {
        polls: 2,
        cuts: 1,
        timeouts: 1,
        ..NONE
    },
    reached: &[LOSS, REFUSAL, RECOGNITION, SUCCESSION],
};

/// Three sessions in a queue. The clock is set back.
pub const QUEUE_SET_BACK: Scenario = Scenario {
    name: "3 punctual sessions, clock set back",
    sessions: 3,
    budget: Budget {
        punctual: true,
        clock_set_backs: 1,
        ..NONE
    },
    reached: &[SUCCESSION],
};

/// Two living sessions behind two dead waiters.
pub const DEAD: Scenario = Scenario {
    name: "2 punctual sessions behind 2 dead ones",
    sessions: 2,
    budget: Budget {
        punctual: true,
        dead: 2,
        crashes: 1,
        ..NONE
    },
    reached: &[SUCCESSION],
};

/// One of three waiters dies.
pub const DYING: Scenario = Scenario {
    name: "3 punctual sessions, one dies",
    sessions: 3,
    budget: Budget {
        punctual: true,
        crashes: 1,
        ..NONE
    },
    reached: &[SUCCESSION],
};

/// Waiters are told that Redis failed.
pub const CANCELLED: Scenario = Scenario {
    name: "3 punctual sessions, a time-out",
    sessions: 3,
    budget: Budget {
        punctual: true,
        timeouts: 1,
        ..NONE
    },
    reached: &[SUCCESSION],
};

/// Redis becomes full.
pub const FULL: Scenario = Scenario {
    name: "2 sessions, Redis full, and the network",
    sessions: 2,
    budget: Budget {
        polls: 1,
        fulls: 1,
        renewals: 1,
        timeouts: 1,
        ..NONE
    },
    reached: &[LOSS, SUCCESSION],
};

/// Two of three sessions are the same request.
pub const IDEMPOTENT: Scenario = Scenario {
    name: "3 punctual sessions, 2 with one key, 1 connection cut",
    sessions: 3,
    budget: Budget {
        punctual: true,
        idempotent: true,
        cuts: 1,
        ..NONE
    },
    reached: &[RECOGNITION, SUCCESSION],
};

/// Two of three sessions are calls with one token.
pub const SHARED: Scenario = Scenario {
    name: "3 punctual sessions, 2 with one token, a time-out",
    sessions: 3,
    budget: Budget {
        punctual: true,
        shared: true,
        timeouts: 1,
        ..NONE
    },
    // Two calls with one token hold the lock together.
    reached: &[LOSS, TWO_BELIEVE],
};

/// Two calls with one token wait for a dead holder, and a client gives the token back.
pub const WITHDRAWAL: Scenario = Scenario {
    name: "2 sessions in a queue with one token, which is given back",
    sessions: 2,
    budget: Budget {
        held: true,
        polls: 3,
        shared: true,
        withdrawals: 1,
        ..NONE
    },
    // Two calls with one token hold the lock together.
    reached: &[LOSS, TWO_BELIEVE],
};

/// A client gives its token back and waits with it again, and the clock is set back.
pub const WITHDRAWAL_SET_BACK: Scenario = Scenario {
    name: "3 punctual sessions, 2 with one token, which is given back, clock set back",
    sessions: 3,
    budget: Budget {
        punctual: true,
        dead: 1,
        shared: true,
        withdrawals: 1,
        clock_set_backs: 1,
        ..NONE
    },
    reached: &[LOSS, TWO_BELIEVE],
};

/// Two waiters, and a dead one behind them, when the lock of a dead holder expires.
pub const PASSED_OVER: Scenario = Scenario {
    name: "2 sessions in a queue before a dead one",
    sessions: 2,
    budget: Budget {
        held: true,
        dead: 1,
        polls: 2,
        ..NONE
    },
    reached: &[],
};

/// Three sessions want the result of one task, and somebody else stores it.
pub const COMPUTING: Scenario = Scenario {
    name: "3 punctual sessions compute, another stores",
    sessions: 3,
    budget: Budget {
        punctual: true,
        computing: true,
        stores: 1,
        crashes: 1,
        ..NONE
    },
    reached: &[REFUSAL],
};

/// All scenarios.
pub const ALL: [Scenario; 23] = [
    NETWORK,
    CUTS,
    THREE,
    RENEWAL,
    EVICTION,
    SET_BACK,
    STRANGER,
    BROKEN,
    BROKEN_QUEUE,
    DATA_LOSS,
    QUEUE,
    QUEUE_NETWORK,
    QUEUE_SET_BACK,
    DEAD,
    DYING,
    CANCELLED,
    FULL,
    IDEMPOTENT,
    SHARED,
    WITHDRAWAL,
    WITHDRAWAL_SET_BACK,
    PASSED_OVER,
    COMPUTING,
];

/// Each mutation, the scenario that shows it, and the promise that it breaks.
pub const MUTATIONS: [(Mutation, Scenario, &str); 31] = [
    (Mutation::AcquireWithoutExpiry, NETWORK, FREE),
    (Mutation::AcquireWithoutMemory, NETWORK, REPETITION),
    (Mutation::ReleaseWithoutToken, NETWORK, OWN_TOKEN),
    (Mutation::ReleaseWithoutToken, THREE, EXCLUSION),
    (Mutation::ReleaseWithoutMemory, NETWORK, REPETITION),
    (Mutation::RenewWithoutToken, NETWORK, OWN_TOKEN),
    (Mutation::RenewWithoutNumber, NETWORK, UNINTERRUPTED),
    (Mutation::CommitWithoutToken, NETWORK, UNINTERRUPTED),
    (Mutation::CommitWithoutNumber, THREE, ORDERED),
    (Mutation::CommitWithoutMemory, NETWORK, TRUTH),
    (Mutation::FenceWithoutPrevious, SET_BACK, GROWING),
    (Mutation::FenceWithoutClock, EVICTION, GROWING),
    (Mutation::HandOverWithoutExpiry, DYING, FREE),
    (Mutation::HandOverWithoutTrace, QUEUE_NETWORK, REPETITION),
    (Mutation::CancelWithoutMark, NETWORK, NO_LEFTOVER),
    (Mutation::CancelWithoutRelease, NETWORK, NO_LEFTOVER),
    (Mutation::CancelWithoutLeaving, QUEUE_NETWORK, NO_LEFTOVER),
    (Mutation::PassOverNobody, DEAD, SERVED),
    (Mutation::ArrivalByClock, QUEUE_SET_BACK, IN_ORDER),
    (Mutation::RenewFenceFirst, FULL, EXTENDED),
    (Mutation::RecordIsNoProof, IDEMPOTENT, TRUTH),
    (Mutation::ResultWithoutPassingOn, IDEMPOTENT, REPLAYED),
    (Mutation::HandedToItself, SHARED, NOT_BY_ITSELF),
    (Mutation::CommitWithoutToken, BROKEN, UNINTERRUPTED),
    (Mutation::RenewWithoutToken, BROKEN, UNINTERRUPTED),
    (Mutation::BreakWithoutNumber, BROKEN, GROWING),
    (Mutation::BreakWithoutProof, BROKEN, BROKEN_ONCE),
    (Mutation::PassedOverToTheEnd, PASSED_OVER, IN_ORDER),
    (Mutation::StoreWithoutEnd, COMPUTING, NEWEST),
    (Mutation::WithdrawWithoutMark, WITHDRAWAL, WITHDRAWN),
    (Mutation::ArrivalBeforeMark, WITHDRAWAL_SET_BACK, CAME_AFTER),
];
