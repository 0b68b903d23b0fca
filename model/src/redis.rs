//! Redis: the keys of one lock. [`scripts`] has what changes them.

mod scripts;

use crate::{Budget, SILENCE, SessionId, TTL};
pub use scripts::{Patience, Reply, Script, Scripts};

/// One who is no session.
pub const OUTSIDER: SessionId = SessionId::MAX - 1;

/// The server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Redis {
    /// `user:{id}:lock`.
    pub lock: Option<Lock>,
    /// `{user:{id}:lock}:fence`.
    pub fence: Option<Fence>,
    /// `{user:{id}:lock}:queue` and `:seen`: the waiters, in their order.
    pub queue: Vec<Waiter>,
    /// `{user:{id}:lock}:cancelled:...`: the sessions whose call was cancelled.
    pub cancelled: Vec<SessionId>,
    /// The same key of the token that a client brought: its calls that had arrived by this time are
    /// cancelled.
    pub withdrawn: u8,
    /// `{user:{id}:lock}:ended:...`: who has handed the lock over, and by which script.
    pub ended: Vec<(SessionId, Script)>,
    /// `{user:{id}:lock}:ended:broken:...`: an administrator has broken the lock.
    pub broken: bool,
    /// `{user:{id}:lock}:cache:last-action`: whose commit wrote it, and its fencing token. The real
    /// value holds both.
    pub last_action: Option<(SessionId, u8)>,
    /// `{user:{id}:lock}:idem:...`: the same, of the commits under one `Idempotency-Key`.
    pub record: Option<(SessionId, u8)>,
    /// `TIME`. It advances with each new fencing token and each arrival: no two fall into one
    /// microsecond.
    pub clock: u8,
    /// `maxmemory` is reached.
    pub full: bool,
}

/// The lock's value and time to live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lock {
    /// The owner's token.
    pub owner: SessionId,
    /// The remaining time. `None` without an expiry.
    pub left: Option<u8>,
    /// It was handed over to its owner, who has not claimed it yet. Redis does not know this.
    pub unclaimed: bool,
}

/// The fence: `number call owner`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fence {
    /// The last fencing token.
    pub number: u8,
    call: (SessionId, Call),
    owner: SessionId,
}

/// A waiter in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Waiter {
    /// The session that waits.
    pub id: SessionId,
    /// When it arrived, by the server's clock.
    pub arrived_at: u8,
    /// Time since its last poll, up to [`SILENCE`].
    pub silent: u8,
}

/// What distinguishes calls with the same token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// The acquisition.
    Acquire,
    /// The release.
    Release,
    /// The cleanup after an unanswered call.
    Cleanup,
    /// `-`: a renewal that found no fence.
    Renew,
    /// The break by an administrator.
    Break,
}

impl Budget {
    /// The token of a session.
    pub fn token(&self, me: SessionId) -> SessionId {
        if self.is_brought(me) { 0 } else { me }
    }

    /// Whether a client brought the token.
    pub fn is_brought(&self, me: SessionId) -> bool {
        self.shared && me < 2
    }

    /// Whether its request has the `Idempotency-Key`.
    pub fn has_key(&self, me: SessionId) -> bool {
        self.computing || self.idempotent && me != 1
    }
}

impl Redis {
    /// Held by this session.
    #[must_use]
    pub fn held_by(mut self, owner: SessionId) -> Self {
        self.clock += 1;
        self.fence = Some(Fence {
            number: self.clock,
            call: (owner, Call::Acquire),
            owner,
        });
        self.lock = Some(Lock {
            owner,
            left: Some(TTL),
            unclaimed: false,
        });
        self
    }

    /// With these waiters in the queue, which have just polled.
    pub fn with_waiters(waiters: &[SessionId]) -> Self {
        let queue = waiters.iter().zip(1..).map(|(id, arrived_at)| Waiter {
            id: *id,
            arrived_at,
            silent: 0,
        });
        let queue: Vec<Waiter> = queue.collect();
        Self {
            clock: queue.last().map_or(0, |last| last.arrived_at),
            queue,
            ..Self::default()
        }
    }

    /// Whether the lock holds this token.
    pub fn is_owner(&self, token: SessionId) -> bool {
        self.lock.is_some_and(|lock| lock.owner == token)
    }

    fn leave(&mut self, me: SessionId) {
        self.queue.retain(|waiter| waiter.id != me);
    }

    /// Whether this fencing token is that of the token's last acquisition. Without a fence, any is.
    fn under(&self, token: SessionId, number: u8) -> bool {
        let fence = self.my_fence(token);
        fence.is_none_or(|fence| fence.number == number)
    }

    /// One unit of time passes.
    pub fn tick(&mut self) {
        for waiter in &mut self.queue {
            waiter.silent = SILENCE.min(waiter.silent + 1);
        }
        let Some(Lock {
            left: Some(left), ..
        }) = &mut self.lock
        else {
            return;
        };
        *left -= 1;
        if *left == 0 {
            self.lock = None;
        }
    }

    fn my_fence(&self, token: SessionId) -> Option<Fence> {
        self.fence.filter(|fence| fence.owner == token)
    }

    /// The call that the last acquisition of this token was made for.
    fn called(&self, token: SessionId) -> Option<(SessionId, Call)> {
        self.my_fence(token).map(|fence| fence.call)
    }
}
