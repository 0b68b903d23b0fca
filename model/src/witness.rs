//! An observer of all steps. No step of the protocol depends on it: it records what the promises
//! need.

use crate::redis::{Call, Lock, OUTSIDER, Redis, Reply, Script, Waiter};
use crate::{SILENCE, SessionId, TTL};

/// The observer's records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Witness {
    /// Who holds the lock: until it expires (counted from the holder's last acquisition or
    /// renewal), the holder returns it, or a foreign client or a loss of data takes it.
    pub holds: Vec<Option<Hold>>,
    /// The greatest fencing token so far.
    pub greatest: u8,
    /// The commits that were carried out, in order.
    pub commits: Vec<(SessionId, u8)>,
    /// The last script that changed something, and its reply. `None` after any other change.
    pub last: Option<(SessionId, Script, Reply)>,
    /// The sessions whose cleanup has released the lock after an unanswered call.
    pub cleaned: Vec<SessionId>,
    /// The sessions that waited with a token when a client gave it back.
    pub withdrawn: Vec<SessionId>,
    /// The sessions that had arrived when a client gave their token back.
    pub arrived_before: Vec<SessionId>,
    /// The sessions whose acquisition was cancelled.
    pub cancelled: Vec<SessionId>,
    /// The sessions that have waited, in order of arrival.
    pub arrivals: Vec<SessionId>,
    /// For how long a living session has waited while no living one held the lock or was served.
    pub held_up: u8,
    /// The sessions that had a connection cut.
    pub cut: Vec<SessionId>,
    /// A foreign client, an administrator or a loss of data took a lock from its holder.
    pub taken: bool,
    /// What went wrong on the way.
    pub violations: Vec<Violation>,
}

/// A session's hold on the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hold {
    /// The remaining time.
    pub left: u8,
    /// The fencing token under which the lock has been held without interruption.
    pub number: u8,
}

/// What must not happen in any step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Violation {
    /// A new fencing token is not greater than all before.
    NotGreater,
    /// A commit or a renewal succeeded for a session that did not hold the lock under that fencing
    /// token.
    NotHeld,
    /// A repeated call got another reply than the first one, with nothing between.
    AnsweredOtherwise,
    /// Somebody stands in the queue before one who came first.
    WentBefore,
    /// A call was told that somebody else has the lock, and it was its own token.
    HeldByItself,
    /// A full Redis refused to extend a lock.
    NotExtended,
    /// A repeated break took the lock from another holder.
    BrokenAgain,
    /// A result replaced one that was stored while it was computed.
    ReplacedNewer,
    /// A call was cancelled since its token had been given back before it came.
    WithdrawnBefore,
}

impl Witness {
    /// Records that a script has run.
    pub fn note_script(
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
            self.note_violation(Violation::AnsweredOtherwise);
        }
        match (script, reply) {
            (Script::Acquire(_), Reply::Granted(number)) => self.granted(before, token, number),
            (Script::Acquire(_), Reply::Held(_)) if after.is_owner(token) => {
                self.note_violation(Violation::HeldByItself);
            }
            (Script::Acquire(_), Reply::Cancelled)
                if !self.cancelled.contains(&me) && !self.arrived_before.contains(&me) =>
            {
                self.note_violation(Violation::WithdrawnBefore);
            }
            (Script::Renew(number), Reply::Yes) => {
                self.expect_held(token, number);
                if let Some(hold) = &mut self.holds[token] {
                    hold.left = TTL;
                }
            }
            (Script::Renew(_), Reply::Refused) => self.note_violation(Violation::NotExtended),
            (Script::Cancel, _) if !after.full && !self.cancelled.contains(&me) => {
                self.cancelled.push(me);
                self.cancelled.sort_unstable();
            }
            (Script::Commit(number), Reply::Yes) if is_new(before, after, me, number) => {
                self.expect_held(me, number);
                self.commits.push((me, number));
                if before.record.is_some_and(|(who, _)| who == OUTSIDER) {
                    self.note_violation(Violation::ReplacedNewer);
                }
            }
            (Script::Release(Call::Cleanup), _) if !self.cleaned.contains(&me) => {
                self.cleaned.push(me);
                self.cleaned.sort_unstable();
            }
            _ => {}
        }
        if before.is_owner(token) && !after.is_owner(token) {
            self.holds[token] = None;
        }
        self.handed_over(before, after);
        self.queued(after);
        if before != after {
            self.last = Some((me, script, reply));
        }
    }

    /// Records that a lock was taken from its holder.
    pub fn note_taken(&mut self) {
        self.holds.fill(None);
        self.taken = true;
        self.last = None;
    }

    /// Records that a client gave back a token, while these sessions waited with it.
    pub fn note_withdrawn(
        &mut self,
        before: &Redis,
        after: &Redis,
        token: SessionId,
        waited: Vec<SessionId>,
    ) {
        self.withdrawn = waited;
        self.arrived_before.clone_from(&self.arrivals);
        if before.is_owner(token) && !after.is_owner(token) {
            self.holds[token] = None;
        }
        self.last = None;
        self.handed_over(before, after);
        self.queued(after);
    }

    /// Records that an administrator broke the lock, or that the call was repeated.
    pub fn note_broken(&mut self, before: &Redis, after: &Redis, again: bool) {
        if before == after {
            return;
        }
        if again {
            self.note_violation(Violation::BrokenAgain);
        }
        self.note_taken();
        // It may have taken the lock from a waiter that was just being served.
        self.held_up = 0;
        self.handed_over(before, after);
        self.queued(after);
    }

    /// One unit of time passes.
    pub fn tick(&mut self) {
        for slot in &mut self.holds {
            let Some(hold) = slot else { continue };
            hold.left -= 1;
            if hold.left == 0 {
                *slot = None;
                self.last = None;
            }
        }
    }

    /// Records who waits, and whether in order of arrival.
    fn queued(&mut self, redis: &Redis) {
        for waiter in &redis.queue {
            if !self.arrivals.contains(&waiter.id) {
                self.arrivals.push(waiter.id);
            }
        }
        let place = |waiter: &Waiter| self.arrivals.iter().position(|id| *id == waiter.id);
        if !redis.queue.iter().is_sorted_by_key(place) {
            self.note_violation(Violation::WentBefore);
        }
    }

    /// Whether Redis shows the same holder.
    pub fn agrees_with(&self, lock: Option<Lock>) -> bool {
        let held = |me: &SessionId| self.holds[*me].is_some();
        let holders: Vec<SessionId> = (0..self.holds.len()).filter(held).collect();
        match (lock, holders.as_slice()) {
            (None, []) => true,
            (Some(lock), [me]) => {
                lock.owner == *me && self.holds[*me].map(|hold| hold.left) == lock.left
            }
            _ => false,
        }
    }

    fn granted(&mut self, before: &Redis, me: SessionId, number: u8) {
        if before.is_owner(me) {
            // An evicted fence is written anew, with a greater number. The lock was held all the
            // time.
            if let Some(hold) = &mut self.holds[me] {
                *hold = Hold { left: TTL, number };
            }
            self.greatest = self.greatest.max(number);
            return;
        }
        if number <= self.greatest {
            self.note_violation(Violation::NotGreater);
        }
        self.greatest = self.greatest.max(number);
        self.holds[me] = Some(Hold { left: TTL, number });
    }

    /// Records that the lock was handed over to a waiter.
    fn handed_over(&mut self, before: &Redis, after: &Redis) {
        let (Some(lock), Some(fence)) = (after.lock, after.fence) else {
            return;
        };
        if !lock.unclaimed || before.fence == after.fence {
            return;
        }
        if fence.number <= self.greatest {
            self.note_violation(Violation::NotGreater);
        }
        self.greatest = self.greatest.max(fence.number);
        self.holds[lock.owner] = Some(Hold {
            left: lock.left.unwrap_or(SILENCE),
            number: fence.number,
        });
    }

    fn expect_held(&mut self, me: SessionId, number: u8) {
        if self.holds[me].is_none_or(|hold| hold.number != number) {
            self.note_violation(Violation::NotHeld);
        }
    }

    fn note_violation(&mut self, violation: Violation) {
        if !self.violations.contains(&violation) {
            self.violations.push(violation);
        }
    }
}

/// A repeated commit writes nothing: the value is there already.
fn is_new(before: &Redis, after: &Redis, me: SessionId, number: u8) -> bool {
    after.last_action == Some((me, number)) && before.last_action != after.last_action
}
