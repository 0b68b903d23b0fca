//! Each Lua script as one step.

use super::{Call, Fence, Lock, OUTSIDER, Redis, Waiter};
use crate::Mutation::{
    AcquireWithoutExpiry, AcquireWithoutMemory, ArrivalBeforeMark, ArrivalByClock,
    BreakWithoutNumber, BreakWithoutProof, CancelWithoutLeaving, CancelWithoutMark,
    CancelWithoutRelease, CommitWithoutMemory, CommitWithoutNumber, CommitWithoutToken,
    FenceWithoutClock, FenceWithoutPrevious, HandOverWithoutExpiry, HandOverWithoutTrace,
    HandedToItself, PassOverNobody, PassedOverToTheEnd, RecordIsNoProof, ReleaseWithoutMemory,
    ReleaseWithoutToken, RenewFenceFirst, RenewWithoutNumber, RenewWithoutToken,
    ResultWithoutPassingOn, StoreWithoutEnd, WithdrawWithoutMark,
};
use crate::{Budget, Mutation, SILENCE, SessionId, TTL};

/// The owner in the fence of a broken lock.
const NOBODY: SessionId = SessionId::MAX;

/// A script that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Script {
    /// acquire.lua
    Acquire(Patience),
    /// cancel.lua
    Cancel,
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
    /// Wait in the queue, from the time of arrival that the first try returned.
    Wait(Option<u8>),
    /// Leave the queue; from that time likewise.
    Last(Option<u8>),
}

/// What a script returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reply {
    /// The token has the lock, under this fencing token.
    Granted(u8),
    /// Another session has it. The time of arrival.
    Held(u8),
    /// The result exists.
    ResultExists,
    /// The call was cancelled.
    Cancelled,
    /// Done.
    Yes,
    /// The lock is not the token's.
    No,
    /// Redis is full: nothing was done.
    Refused,
}

/// The scripts, complete or mutated, for the sessions of this budget.
pub struct Scripts(pub Option<Mutation>, pub Budget);

impl Scripts {
    /// Runs a script of a session.
    pub fn run(&self, redis: &mut Redis, me: SessionId, script: Script) -> Reply {
        match script {
            Script::Acquire(patience) => self.acquire(redis, me, patience),
            Script::Cancel => self.cancel(redis, me),
            Script::Renew(number) => self.renew(redis, me, number),
            Script::Commit(number) => self.commit(redis, me, number),
            Script::Release(call) => self.release(redis, me, call),
        }
    }

    fn acquire(&self, redis: &mut Redis, me: SessionId, patience: Patience) -> Reply {
        let token = self.1.token(me);
        if redis.cancelled.contains(&me) || self.is_withdrawn(redis, me, patience) {
            redis.leave(me);
            return Reply::Cancelled;
        }
        if self.1.has_key(me) && redis.record.is_some() {
            redis.leave(me);
            let handed = redis.is_owner(token) && redis.called(token) == Some((me, Call::Acquire));
            if handed && !self.is(ResultWithoutPassingOn) {
                self.hand_over(redis);
            }
            return Reply::ResultExists;
        }
        let before = redis.clone();
        let mut own = redis.is_owner(token) && !self.is(AcquireWithoutMemory);
        let mut arrived_at = 0;
        let contended = redis.lock.is_some() || !redis.queue.is_empty();
        if contended && !own && matches!(patience, Patience::Wait(_)) {
            if redis.full {
                return Reply::Refused;
            }
            arrived_at = self.queue(redis, me, patience);
        }
        let mut held = redis.lock.is_some();
        if !held && !redis.queue.is_empty() {
            held = self.hand_over(redis);
            own = redis.is_owner(token) && !self.is(HandedToItself);
        }
        if held && !own {
            if matches!(patience, Patience::Last(_)) {
                redis.leave(me);
            }
            return Reply::Held(arrived_at);
        }
        if redis.full && !own {
            *redis = before;
            return Reply::Refused;
        }
        redis.leave(me);
        let (number, call) = match redis.my_fence(token) {
            Some(fence) if own => (fence.number, fence.call),
            _ => (self.next_number(redis), (me, Call::Acquire)),
        };
        if !redis.full {
            redis.fence = Some(Fence {
                number,
                call,
                owner: token,
            });
        }
        redis.lock = Some(Lock {
            owner: token,
            left: (!self.is(AcquireWithoutExpiry)).then_some(TTL),
            unclaimed: false,
        });
        Reply::Granted(number)
    }

    /// Whether a call waits whose token was given back since it arrived.
    fn is_withdrawn(&self, redis: &Redis, me: SessionId, patience: Patience) -> bool {
        match patience {
            Patience::Wait(Some(arrived_at)) | Patience::Last(Some(arrived_at)) => {
                self.1.is_brought(me) && arrived_at <= redis.withdrawn
            }
            _ => false,
        }
    }

    /// A client gives the token back that it brought, whatever becomes of the calls with it: none
    /// that has arrived waits any longer.
    pub fn withdraw(&self, redis: &mut Redis) {
        let token = self.1.token(0);
        redis.clock += 1;
        let latest = redis.queue.last().map_or(0, |last| last.arrived_at);
        let fence = redis.fence.map_or(0, |fence| fence.number);
        if !redis.full && !self.is(WithdrawWithoutMark) {
            redis.withdrawn = redis.clock.max(latest).max(fence);
        }
        let budget = self.1;
        redis
            .queue
            .retain(|waiter| budget.token(waiter.id) != token);
        if redis.is_owner(token) {
            self.hand_over(redis);
        }
    }

    /// Queues a waiter, or records that it polled. Returns when it arrived.
    fn queue(&self, redis: &mut Redis, me: SessionId, patience: Patience) -> u8 {
        let known = redis.queue.iter().find(|waiter| waiter.id == me);
        let arrived_at = match (patience, known) {
            (Patience::Wait(Some(arrived_at)), _) if !self.is(PassedOverToTheEnd) => arrived_at,
            (_, Some(waiter)) => waiter.arrived_at,
            _ => {
                redis.clock += 1;
                let last = redis.queue.last().map_or(0, |last| last.arrived_at);
                let last = last.max(redis.fence.map_or(0, |fence| fence.number));
                let is_marked = self.1.is_brought(me) && !self.is(ArrivalBeforeMark);
                let last = last.max(if is_marked { redis.withdrawn } else { 0 });
                match self.is(ArrivalByClock) {
                    true => redis.clock,
                    false => redis.clock.max(last + 1),
                }
            }
        };
        match redis.queue.iter_mut().find(|waiter| waiter.id == me) {
            Some(waiter) => waiter.silent = 0,
            None => {
                redis.queue.push(Waiter {
                    id: me,
                    arrived_at,
                    silent: 0,
                });
                redis.queue.sort_by_key(|waiter| waiter.arrived_at);
            }
        }
        arrived_at
    }

    /// A cancelled call takes nothing any more. A token that a client brought keeps a lock that it
    /// holds.
    fn cancel(&self, redis: &mut Redis, me: SessionId) -> Reply {
        if !redis.cancelled.contains(&me) && !redis.full && !self.is(CancelWithoutMark) {
            redis.cancelled.push(me);
            redis.cancelled.sort_unstable();
        }
        if !self.is(CancelWithoutLeaving) {
            redis.leave(me);
        }
        let keeps = self.1.is_brought(me) || self.is(CancelWithoutRelease);
        if redis.is_owner(self.1.token(me)) && !keeps {
            self.hand_over(redis);
        }
        Reply::Yes
    }

    /// Hands the lock over to the first waiter that was not silent for too long, or frees it if
    /// there is none. Returns whether it was handed over.
    fn hand_over(&self, redis: &mut Redis) -> bool {
        redis.lock = None;
        while !redis.queue.is_empty() {
            let next = redis.queue.remove(0);
            if next.silent >= SILENCE && !self.is(PassOverNobody) {
                continue;
            }
            let number = self.next_number(redis);
            let owner = self.1.token(next.id);
            redis.fence = Some(Fence {
                number,
                call: (next.id, Call::Acquire),
                owner,
            });
            let claim = match self.is(PassOverNobody) {
                true => SILENCE,
                false => SILENCE - next.silent,
            };
            redis.lock = Some(Lock {
                owner,
                left: (!self.is(HandOverWithoutExpiry)).then_some(claim),
                unclaimed: true,
            });
            return true;
        }
        false
    }

    /// Somebody stores the entry that is being computed. That ends the task, and all waiters find
    /// the entry.
    pub fn store(&self, redis: &mut Redis) {
        redis.record = Some((OUTSIDER, 0));
        if !self.is(StoreWithoutEnd) {
            redis.lock = None;
            redis.fence = None;
            redis.queue.clear();
        }
    }

    fn leave_trace(&self, redis: &mut Redis, me: SessionId, script: Script) {
        if !self.is(HandOverWithoutTrace) {
            redis.ended.push((me, script));
        }
    }

    fn renew(&self, redis: &mut Redis, me: SessionId, number: u8) -> Reply {
        let token = self.1.token(me);
        let under = redis.under(token, number) || self.is(RenewWithoutNumber);
        let mine = redis.is_owner(token) && under;
        let lock = match redis.lock {
            Some(lock) if mine || self.is(RenewWithoutToken) => lock,
            _ => {
                self.note_loss(redis, token, true);
                return Reply::No;
            }
        };
        if redis.full && self.is(RenewFenceFirst) {
            return Reply::Refused;
        }
        let evicted = Fence {
            number,
            call: (me, Call::Renew),
            owner: token,
        };
        if !redis.full {
            redis.fence = Some(redis.my_fence(token).unwrap_or(evicted));
        }
        redis.lock = Some(Lock {
            left: Some(TTL),
            unclaimed: false,
            ..lock
        });
        Reply::Yes
    }

    fn commit(&self, redis: &mut Redis, me: SessionId, number: u8) -> Reply {
        let mine = redis.is_owner(me) && (redis.under(me, number) || self.is(CommitWithoutNumber));
        if mine || self.is(CommitWithoutToken) {
            if redis.full {
                return Reply::Refused;
            }
            redis.last_action = Some((me, number));
            if self.1.has_key(me) {
                redis.record = Some((me, number));
            }
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
        if redis.record == Some((me, number)) && !self.is(RecordIsNoProof) {
            return Reply::Yes;
        }
        if redis.last_action == Some((me, number)) && !self.is(CommitWithoutMemory) {
            return Reply::Yes;
        }
        self.note_loss(redis, me, false);
        Reply::No
    }

    fn release(&self, redis: &mut Redis, me: SessionId, call: Call) -> Reply {
        let token = self.1.token(me);
        let fence = redis.my_fence(token);
        if !redis.is_owner(token) && !self.is(ReleaseWithoutToken) {
            let again = fence.is_some_and(|fence| fence.call == (me, call))
                || redis.ended.contains(&(me, Script::Release(call)));
            if again && !self.is(ReleaseWithoutMemory) {
                return Reply::Yes;
            }
            self.note_loss(redis, token, true);
            return Reply::No;
        }
        if self.hand_over(redis) {
            self.leave_trace(redis, me, Script::Release(call));
        } else if let Some(fence) = fence.filter(|_| !redis.full) {
            redis.fence = Some(Fence {
                call: (me, call),
                ..fence
            });
        }
        Reply::Yes
    }

    /// A holder learns that it lost the lock: a greater number makes stale what was read since. Where
    /// its work may go on, it leaves a fence also where there is none. A full Redis takes it. Who
    /// gave the lock back, or has learnt of its loss before, changes nothing. That another has learnt
    /// of its own loss says nothing of the owner.
    fn note_loss(&self, redis: &mut Redis, token: SessionId, may_go_on: bool) {
        let has_ended = |fence: Fence| fence.call.1 == Call::Release;
        let beside = (NOBODY, Call::Release);
        let lost = (OUTSIDER, Call::Release);
        let is_noted =
            |fence: Fence| fence.owner == token && has_ended(fence) && fence.call != beside;
        let is_needed = redis.fence.map_or(may_go_on, |fence| !is_noted(fence));
        if redis.lock.is_some() || !is_needed {
            return;
        }
        let number = self.next_number(redis);
        let before = redis.fence.unwrap_or(Fence {
            number,
            call: beside,
            owner: NOBODY,
        });
        let call = match (before.owner == token, has_ended(before)) {
            (true, _) => lost,
            (false, true) => before.call,
            (false, false) => beside,
        };
        redis.fence = Some(Fence {
            number,
            call,
            ..before
        });
    }

    /// break.lua: an administrator takes the lock from whoever holds it.
    pub fn break_lock(&self, redis: &mut Redis) {
        if redis.broken && !self.is(BreakWithoutProof) {
            return;
        }
        if let Some(fence) = redis.fence.filter(|_| redis.lock.is_some() && !redis.full) {
            redis.fence = Some(Fence {
                call: (NOBODY, Call::Break),
                owner: NOBODY,
                ..fence
            });
        }
        redis.broken |= !redis.full;
        let old = redis.fence;
        let handed_over = self.hand_over(redis);
        if let (true, Some(old), Some(new)) = (handed_over, old, &mut redis.fence)
            && self.is(BreakWithoutNumber)
        {
            new.number = old.number;
        }
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
