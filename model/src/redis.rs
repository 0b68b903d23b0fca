//! Redis: the keys of one lock, and each Lua script as one step.

use crate::Mutation::{
    AcquireWithoutExpiry, AcquireWithoutMemory, CleanupWithoutLeaving, CommitWithoutMemory,
    CommitWithoutNumber, CommitWithoutToken, FenceWithoutClock, FenceWithoutPrevious,
    HandOverWithoutExpiry, HandOverWithoutTrace, ReleaseWithoutMemory, ReleaseWithoutToken,
    RenewWithoutNumber, RenewWithoutToken,
};
use crate::{CLAIM, Mutation, SessionId, TTL};

/// The server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Redis {
    /// `user:{id}:lock`.
    pub lock: Option<Lock>,
    /// `{user:{id}:lock}:fence`.
    pub fence: Option<Fence>,
    /// `{user:{id}:lock}:queue`: the waiters, in their order.
    pub queue: Vec<SessionId>,
    /// `{user:{id}:lock}:ended:...`: who has handed the lock over, and by which script.
    pub ended: Vec<(SessionId, Script)>,
    /// `{user:{id}:lock}:cache:last-action`: whose commit wrote it, and its fencing token. The real
    /// value holds both.
    pub last_action: Option<(SessionId, u8)>,
    /// `TIME`. It advances with each new fencing token: no two acquisitions fall into one
    /// microsecond.
    pub clock: u8,
}

/// The lock's value and time to live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lock {
    /// The owner's token.
    pub owner: SessionId,
    /// The remaining time. `None` without an expiry.
    pub left: Option<u8>,
}

/// The fence: `number call owner`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fence {
    /// The last fencing token.
    pub number: u8,
    call: Call,
    owner: SessionId,
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
}

/// A script that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Script {
    /// acquire.lua
    Acquire(Patience),
    /// renew.lua, with the fencing token of the acquisition
    Renew(u8),
    /// commit.lua, with the fencing token of the acquisition, which is also in the value it writes
    Commit(u8),
    /// release.lua, with what distinguishes this call
    Release(Call),
}

/// What to do if another session holds the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Patience {
    /// Nothing: it tries once.
    Once,
    /// Wait in the queue.
    Wait,
    /// Leave the queue.
    Last,
}

/// What a script returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reply {
    /// The token has the lock, under this fencing token.
    Granted(u8),
    /// Another session has it.
    Held,
    /// Done.
    Yes,
    /// The lock is not the token's.
    No,
}

/// The scripts, complete or mutated.
pub struct Scripts(pub Option<Mutation>);

impl Scripts {
    /// Runs a script with `me` as its token.
    pub fn run(&self, redis: &mut Redis, me: SessionId, script: Script) -> Reply {
        match script {
            Script::Acquire(patience) => self.acquire(redis, me, patience),
            Script::Renew(number) => self.renew(redis, me, number),
            Script::Commit(number) => self.commit(redis, me, number),
            Script::Release(call) => self.release(redis, me, call),
        }
    }

    fn acquire(&self, redis: &mut Redis, me: SessionId, patience: Patience) -> Reply {
        if redis.lock.is_none() && redis.queue.first().is_some_and(|first| *first != me) {
            self.hand_over(redis);
        }
        let held = redis.lock.is_some();
        if held && (!redis.is_owner(me) || self.is(AcquireWithoutMemory)) {
            match patience {
                Patience::Wait if !redis.queue.contains(&me) => redis.queue.push(me),
                Patience::Last => redis.leave(me),
                _ => {}
            }
            return Reply::Held;
        }
        let (number, call) = match redis.my_fence(me) {
            Some(fence) if held => (fence.number, fence.call),
            _ => (self.next_number(redis), Call::Acquire),
        };
        redis.fence = Some(Fence {
            number,
            call,
            owner: me,
        });
        redis.lock = Some(Lock {
            owner: me,
            left: (!self.is(AcquireWithoutExpiry)).then_some(TTL),
        });
        redis.leave(me);
        Reply::Granted(number)
    }

    /// Hands the lock over to the first waiter, or frees it if nobody waits. Returns whether it was
    /// handed over.
    fn hand_over(&self, redis: &mut Redis) -> bool {
        redis.lock = None;
        if redis.queue.is_empty() {
            return false;
        }
        let next = redis.queue.remove(0);
        let number = self.next_number(redis);
        redis.fence = Some(Fence {
            number,
            call: Call::Acquire,
            owner: next,
        });
        redis.lock = Some(Lock {
            owner: next,
            left: (!self.is(HandOverWithoutExpiry)).then_some(CLAIM),
        });
        true
    }

    fn leave_trace(&self, redis: &mut Redis, me: SessionId, script: Script) {
        if !self.is(HandOverWithoutTrace) {
            redis.ended.push((me, script));
        }
    }

    fn renew(&self, redis: &mut Redis, me: SessionId, number: u8) -> Reply {
        let mine = redis.is_owner(me) && (redis.under(me, number) || self.is(RenewWithoutNumber));
        let lock = match redis.lock {
            Some(lock) if mine || self.is(RenewWithoutToken) => lock,
            _ => return Reply::No,
        };
        let evicted = Fence {
            number,
            call: Call::Renew,
            owner: me,
        };
        redis.fence = Some(redis.my_fence(me).unwrap_or(evicted));
        redis.lock = Some(Lock {
            left: Some(TTL),
            ..lock
        });
        Reply::Yes
    }

    fn commit(&self, redis: &mut Redis, me: SessionId, number: u8) -> Reply {
        let mine = redis.is_owner(me) && (redis.under(me, number) || self.is(CommitWithoutNumber));
        if mine || self.is(CommitWithoutToken) {
            redis.last_action = Some((me, number));
            if self.hand_over(redis) {
                self.leave_trace(redis, me, Script::Commit(number));
            }
            return Reply::Yes;
        }
        if redis.is_owner(me) {
            self.hand_over(redis);
        }
        if redis.ended.contains(&(me, Script::Commit(number))) {
            return Reply::Yes;
        }
        if redis.last_action == Some((me, number)) && !self.is(CommitWithoutMemory) {
            return Reply::Yes;
        }
        Reply::No
    }

    fn release(&self, redis: &mut Redis, me: SessionId, call: Call) -> Reply {
        if call == Call::Cleanup && !self.is(CleanupWithoutLeaving) {
            redis.leave(me);
        }
        let fence = redis.my_fence(me);
        if !redis.is_owner(me) && !self.is(ReleaseWithoutToken) {
            let again = fence.is_some_and(|fence| fence.call == call)
                || redis.ended.contains(&(me, Script::Release(call)));
            return if again && !self.is(ReleaseWithoutMemory) {
                Reply::Yes
            } else {
                Reply::No
            };
        }
        if self.hand_over(redis) {
            self.leave_trace(redis, me, Script::Release(call));
        } else if let Some(fence) = fence {
            redis.fence = Some(Fence { call, ..fence });
        }
        Reply::Yes
    }

    /// `max(previous + 1, clock)`
    fn next_number(&self, redis: &mut Redis) -> u8 {
        redis.clock += 1;
        let after = redis.fence.map_or(0, |fence| fence.number) + 1;
        match self.0 {
            Some(FenceWithoutPrevious) => redis.clock,
            Some(FenceWithoutClock) => after,
            _ => after.max(redis.clock),
        }
    }

    fn is(&self, mutation: Mutation) -> bool {
        self.0 == Some(mutation)
    }
}

impl Redis {
    /// Whether this session owns the lock.
    pub fn is_owner(&self, me: SessionId) -> bool {
        self.lock.is_some_and(|lock| lock.owner == me)
    }

    fn leave(&mut self, me: SessionId) {
        self.queue.retain(|waiter| *waiter != me);
    }

    /// Whether this fencing token is that of the token's last acquisition. Without a fence, any is.
    fn under(&self, me: SessionId, number: u8) -> bool {
        self.my_fence(me).is_none_or(|fence| fence.number == number)
    }

    /// One unit of time passes.
    pub fn tick(&mut self) {
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

    fn my_fence(&self, me: SessionId) -> Option<Fence> {
        self.fence.filter(|fence| fence.owner == me)
    }
}
