//! What an onlooker who sees every step would note. No step of the protocol depends on it: it only says what was promised.

use crate::redis::{Call, Lock, Redis, Reply, Script, Waiter};
use crate::{SILENCE, SessionId, TTL};

/// The onlooker's notes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Witness {
    /// Who has the lock by rights: until its time to live, counted from its own last acquisition or renewal, has passed, or it
    /// gave the lock back, or a stranger or a loss of data took it.
    pub rights: Vec<Option<Right>>,
    /// The greatest fencing token so far.
    pub greatest: u8,
    /// The commits that were carried out, in their order.
    pub commits: Vec<(SessionId, u8)>,
    /// The last script that changed something, and its reply, while nothing else has changed anything since.
    pub last: Option<(SessionId, Script, Reply)>,
    /// Whose lock was given back after an unanswered call.
    pub cleaned: Vec<SessionId>,
    /// Whose acquisition was cancelled.
    pub cancelled: Vec<SessionId>,
    /// Who has waited, in order of arrival.
    pub arrivals: Vec<SessionId>,
    /// For how long somebody alive has waited while nobody alive had the lock or was being served.
    pub held_up: u8,
    /// Who had a connection cut.
    pub cut: Vec<SessionId>,
    /// A stranger or a loss of data took a lock from its holder.
    pub taken: bool,
    /// What went wrong on the way.
    pub faults: Vec<Wrong>,
}

/// A lock had by rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Right {
    /// Until it expires.
    pub left: u8,
    /// The fencing token under which it has been held without interruption.
    pub number: u8,
}

/// What must not happen in any step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wrong {
    /// A new fencing token is not greater than all before.
    NotGreater,
    /// A commit or a renewal was carried out for one who did not hold the lock, or no longer under that fencing token.
    NotHeld,
    /// A repeated call was answered otherwise than the first time, with nothing in between.
    AnsweredOtherwise,
    /// Somebody stands in the queue before one who came first.
    WentBefore,
    /// A call was told that somebody else has the lock, and it was its own token.
    HeldByItself,
    /// A full Redis refused to extend a lock.
    NotExtended,
}

impl Witness {
    /// Notes that a script was carried out.
    pub fn ran(
        &mut self,
        before: &Redis,
        after: &Redis,
        (me, token): (SessionId, SessionId),
        script: Script,
        reply: Reply,
    ) {
        let first = self
            .last
            .filter(|(who, what, _)| (*who, *what) == (me, script));
        if first.is_some_and(|(_, _, first)| first != reply) {
            self.wrong(Wrong::AnsweredOtherwise);
        }
        match (script, reply) {
            (Script::Acquire(_), Reply::Granted(number)) => self.granted(before, token, number),
            (Script::Acquire(_), Reply::Held(_)) if after.mine(token) => {
                self.wrong(Wrong::HeldByItself);
            }
            (Script::Renew(number), Reply::Yes) => {
                self.expect_held(token, number);
                if let Some(right) = &mut self.rights[token] {
                    right.left = TTL;
                }
            }
            (Script::Renew(_), Reply::Refused) => self.wrong(Wrong::NotExtended),
            (Script::Cancel, _) if !after.full && !self.cancelled.contains(&me) => {
                self.cancelled.push(me);
                self.cancelled.sort_unstable();
            }
            (Script::Commit(number), Reply::Yes) if is_new(before, after, me, number) => {
                self.expect_held(me, number);
                self.commits.push((me, number));
            }
            (Script::Release(Call::Cleanup), _) if !self.cleaned.contains(&me) => {
                self.cleaned.push(me);
                self.cleaned.sort_unstable();
            }
            _ => {}
        }
        if before.mine(token) && !after.mine(token) {
            self.rights[token] = None;
        }
        self.handed_on(before, after);
        self.queued(after);
        if before != after {
            self.last = Some((me, script, reply));
        }
    }

    /// Notes that a lock was taken from its holder.
    pub fn taken(&mut self) {
        self.rights.fill(None);
        self.taken = true;
        self.last = None;
    }

    /// One unit of time passes.
    pub fn tick(&mut self) {
        for slot in &mut self.rights {
            let Some(right) = slot else { continue };
            right.left -= 1;
            if right.left == 0 {
                *slot = None;
                self.last = None;
            }
        }
    }

    /// Notes who waits, and whether in order of arrival.
    fn queued(&mut self, redis: &Redis) {
        for waiter in &redis.queue {
            if !self.arrivals.contains(&waiter.id) {
                self.arrivals.push(waiter.id);
            }
        }
        let place = |waiter: &Waiter| self.arrivals.iter().position(|id| *id == waiter.id);
        if !redis.queue.iter().is_sorted_by_key(place) {
            self.wrong(Wrong::WentBefore);
        }
    }

    /// Whether Redis' view of the lock is the one by rights.
    pub fn agrees_with(&self, lock: Option<Lock>) -> bool {
        let held = |me: &SessionId| self.rights[*me].is_some();
        let holders: Vec<SessionId> = (0..self.rights.len()).filter(held).collect();
        match (lock, holders.as_slice()) {
            (None, []) => true,
            (Some(lock), [me]) => {
                lock.owner == *me && self.rights[*me].map(|right| right.left) == lock.left
            }
            _ => false,
        }
    }

    fn granted(&mut self, before: &Redis, me: SessionId, number: u8) {
        if before.mine(me) {
            // A fence that was evicted is written anew, under a greater number; the lock has been held all the same.
            if let Some(right) = &mut self.rights[me] {
                *right = Right { left: TTL, number };
            }
            self.greatest = self.greatest.max(number);
            return;
        }
        if number <= self.greatest {
            self.wrong(Wrong::NotGreater);
        }
        self.greatest = self.greatest.max(number);
        self.rights[me] = Some(Right { left: TTL, number });
    }

    /// Notes that the lock was handed to one who had waited.
    fn handed_on(&mut self, before: &Redis, after: &Redis) {
        let (Some(lock), Some(fence)) = (after.lock, after.fence) else {
            return;
        };
        if !lock.unclaimed || before.fence == after.fence {
            return;
        }
        if fence.number <= self.greatest {
            self.wrong(Wrong::NotGreater);
        }
        self.greatest = self.greatest.max(fence.number);
        self.rights[lock.owner] = Some(Right {
            left: lock.left.unwrap_or(SILENCE),
            number: fence.number,
        });
    }

    fn expect_held(&mut self, me: SessionId, number: u8) {
        if self.rights[me].is_none_or(|right| right.number != number) {
            self.wrong(Wrong::NotHeld);
        }
    }

    fn wrong(&mut self, wrong: Wrong) {
        if !self.faults.contains(&wrong) {
            self.faults.push(wrong);
        }
    }
}

/// A repeated commit writes nothing: its bytes are there already.
fn is_new(before: &Redis, after: &Redis, me: SessionId, number: u8) -> bool {
    after.last_action == Some((me, number)) && before.last_action != after.last_action
}
