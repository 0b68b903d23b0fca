//! What an onlooker who sees every step would note. No step of the protocol depends on it: it only says what was promised.

use crate::redis::{Call, Lock, Redis, Reply, Script};
use crate::{CLAIM, SessionId, TTL};

/// The onlooker's notes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Witness {
    /// Who has the lock by holds: until its time to live, counted from its own last acquisition or renewal, has passed, or it
    /// gave the lock back, or a stranger or a loss of data took it.
    pub holds: Vec<Option<Hold>>,
    /// The greatest fencing token so far.
    pub greatest: u8,
    /// The commits that were carried out, in their order.
    pub commits: Vec<(SessionId, u8)>,
    /// The last script that changed something, and its reply, while nothing else has changed anything since.
    pub last: Option<(SessionId, Script, Reply)>,
    /// Whose cleaning up was carried out.
    pub cleaned: Vec<SessionId>,
    /// Who had a connection cut.
    pub cut: Vec<SessionId>,
    /// A stranger or a loss of data took a lock from its holder.
    pub taken: bool,
    /// What went violation on the way.
    pub violations: Vec<Violation>,
}

/// A lock had by holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hold {
    /// Until it expires.
    pub left: u8,
    /// The fencing token under which it has been held without interruption.
    pub number: u8,
}

/// What must not happen in any step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Violation {
    /// A new fencing token is not greater than all before.
    NotGreater,
    /// A commit or a renewal was carried out for one who did not hold the lock, or no longer under that fencing token.
    NotHeld,
    /// A repeated call was answered otherwise than the first time, with nothing in between.
    AnsweredOtherwise,
}

impl Witness {
    /// Notes that a script was carried out.
    pub fn note_script(
        &mut self,
        before: &Redis,
        after: &Redis,
        me: SessionId,
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
            (Script::Acquire(_), Reply::Granted(number)) => self.granted(before, me, number),
            (Script::Renew(number), Reply::Yes) => {
                self.expect_held(me, number);
                if let Some(hold) = &mut self.holds[me] {
                    hold.left = TTL;
                }
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
        if before.is_owner(me) && !after.is_owner(me) {
            self.holds[me] = None;
        }
        self.handed_over(before, after, me);
        if before != after {
            self.last = Some((me, script, reply));
        }
    }

    /// Notes that a lock was taken from its holder.
    pub fn note_taken(&mut self) {
        self.holds.fill(None);
        self.taken = true;
        self.last = None;
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

    /// Whether Redis' view of the lock is the one by holds.
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
            // A fence that was evicted is written anew, under a greater number; the lock has been held all the same.
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

    /// Notes that the lock was handed to one who had waited.
    fn handed_over(&mut self, before: &Redis, after: &Redis, me: SessionId) {
        let (Some(lock), Some(fence)) = (after.lock, after.fence) else {
            return;
        };
        if lock.owner == me || before.is_owner(lock.owner) {
            return;
        }
        if fence.number <= self.greatest {
            self.note_violation(Violation::NotGreater);
        }
        self.greatest = self.greatest.max(fence.number);
        self.holds[lock.owner] = Some(Hold {
            left: CLAIM,
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

/// A repeated commit writes nothing: its bytes are there already.
fn is_new(before: &Redis, after: &Redis, me: SessionId, number: u8) -> bool {
    after.last_action == Some((me, number)) && before.last_action != after.last_action
}
