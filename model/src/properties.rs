//! What is promised, as properties of every state that can be reached.

use stateright::{Model, Property};

use crate::session::{Outcome, Phase, Session};
use crate::witness::Wrong;
use crate::{HELD_UP, LockModel, State};

/// No two hold the lock at once: by rights, that is as Redis sees it, where nothing takes a lock but its own time or its holder.
pub const EXCLUSION: &str = "no two hold the lock at once";
/// Redis' view of the lock is always the one by rights: nothing was released or renewed but by the token that acquired it.
pub const OWN_TOKEN: &str = "only its own token releases or renews a lock";
/// A client whose own clock says that it still holds the lock does hold it, unless a stranger or a loss of data took it.
pub const BELIEF: &str = "a client that believes to hold the lock does";
/// Each new fencing token is greater than all before it.
pub const GROWING: &str = "fencing tokens grow";
/// Commits are carried out in the order of their fencing tokens, and no two have the same one.
pub const ORDERED: &str = "commits are ordered by fencing token";
/// A commit or a renewal is only carried out for a client that has held the lock without interruption since its acquisition.
pub const UNINTERRUPTED: &str = "nobody commits or renews who has lost the lock";
/// 200 is answered only if the commit was carried out; 409 only if it was not, or if another commit has come after it or the
/// data was lost, which wiped out the trace by which a repetition knows itself.
pub const TRUTH: &str = "an answer tells the truth";
/// A repeated acquire, commit or release is answered as the first time, if nothing has come in between.
pub const REPETITION: &str = "a repetition is answered as the first time";
/// Once an acquisition was cancelled, it never waits or takes the lock again, whenever it arrives. Once a lock was given back after
/// another unanswered call, its session never has it again; but where an acquisition was repeated over another connection, its
/// first copy may arrive late, and the expiry is the backstop.
pub const NO_LEFTOVER: &str = "cleaning up leaves no lock";
/// In the end the lock is free: every run ends, since each fault and renewal may happen only so often, so that what must come
/// eventually is what holds where nothing more can happen.
pub const FREE: &str = "in the end the lock is free";
/// Whoever waits and lives is served in the end: nobody waits where nothing more can happen, and the dead hold nobody up for longer
/// than [`HELD_UP`].
pub const SERVED: &str = "nobody alive waits for somebody dead";
/// Who waits stands behind those who came first.
pub const IN_ORDER: &str = "the queue is in order of arrival";
/// A call is not told that the lock is held while its own token has it.
pub const NOT_BY_ITSELF: &str = "nobody waits for itself";
/// A full Redis extends a lock all the same.
pub const EXTENDED: &str = "a full Redis takes nobody's lock";
/// Who was answered with an earlier result has given back what it was handed.
pub const REPLAYED: &str = "a replay keeps no lock";

/// Something that happens in some run, so that a promise about it is not empty: a lock is lost under its holder.
pub const LOSS: &str = "a lock is lost under its holder";
/// A caller is told 409.
pub const REFUSAL: &str = "a commit is refused";
/// A connection breaks under a commit, which is then answered 200.
pub const RECOGNITION: &str = "a repeated commit is recognised";
/// A commit follows another.
pub const SUCCESSION: &str = "two commit, one after the other";
/// What no lock in one Redis can rule out once a stranger has deleted it or the data was lost; by [`BELIEF`], never without.
/// Only the fencing token tells these two apart.
pub const TWO_BELIEVE: &str = "two believe to hold the lock at once";

/// All of them.
pub fn all() -> Vec<Property<LockModel>> {
    vec![
        Property::always(EXCLUSION, |_, state: &State| {
            state.witness.rights.iter().flatten().count() <= 1
        }),
        Property::always(OWN_TOKEN, |_, state: &State| {
            state.witness.agrees_with(state.redis.lock)
        }),
        Property::always(BELIEF, |_, state: &State| {
            state.witness.taken
                || (0..state.sessions.len()).all(|me| {
                    // Another call with its token may have given the lock back.
                    state.budget.is_brought(me) || is_right_to_believe(state, me)
                })
        }),
        Property::always(GROWING, |_, state: &State| !went(state, Wrong::NotGreater)),
        Property::always(ORDERED, |_, state: &State| {
            let commits = &state.witness.commits;
            commits.windows(2).all(|pair| pair[0].1 < pair[1].1)
        }),
        Property::always(UNINTERRUPTED, |_, state: &State| {
            !went(state, Wrong::NotHeld)
        }),
        Property::always(TRUTH, |_, state: &State| {
            (0..state.sessions.len()).all(|me| is_told_the_truth(state, me))
        }),
        Property::always(REPETITION, |_, state: &State| {
            !went(state, Wrong::AnsweredOtherwise)
        }),
        Property::always(NO_LEFTOVER, |_, state: &State| {
            let witness = &state.witness;
            let alone = |me: &&usize| !state.budget.is_brought(**me);
            let in_order = |me: &&usize| alone(me) && !witness.cut.contains(*me);
            let mut cleaned = witness.cleaned.iter().filter(in_order);
            let mut cancelled = witness.cancelled.iter();
            cleaned.all(|me| !state.redis.mine(*me))
                && cancelled.all(|me| {
                    let waits = state.redis.queue.iter().any(|waiter| waiter.id == *me);
                    !waits && !(alone(&me) && state.redis.mine(*me))
                })
        }),
        Property::always(SERVED, |model: &LockModel, state: &State| {
            let mut steps = Vec::new();
            model.actions(state, &mut steps);
            let waits = state.sessions.iter().any(Session::waits);
            !state.budget.punctual
                || state.witness.held_up <= HELD_UP && !(steps.is_empty() && waits)
        }),
        Property::always(IN_ORDER, |_, state: &State| !went(state, Wrong::WentBefore)),
        Property::always(NOT_BY_ITSELF, |_, state: &State| {
            !went(state, Wrong::HeldByItself)
        }),
        Property::always(EXTENDED, |_, state: &State| {
            !went(state, Wrong::NotExtended)
        }),
        Property::always(REPLAYED, |_, state: &State| {
            (0..state.sessions.len()).all(|me| {
                let replayed = state.sessions[me].phase == Phase::Ended(Outcome::Replayed);
                !replayed || !state.redis.mine(me)
            })
        }),
        Property::always(FREE, |model: &LockModel, state: &State| {
            let mut steps = Vec::new();
            model.actions(state, &mut steps);
            !steps.is_empty() || state.redis.lock.is_none()
        }),
        Property::sometimes(LOSS, |_, state: &State| {
            (0..state.sessions.len()).any(|me| {
                matches!(state.sessions[me].phase, Phase::Holding { .. }) && !state.redis.mine(me)
            })
        }),
        Property::sometimes(REFUSAL, |_, state: &State| ended(state, Outcome::Lost)),
        Property::sometimes(RECOGNITION, |_, state: &State| {
            let repeated = |me: &usize| state.witness.cut.contains(me);
            let committed = |me: &usize| {
                state.sessions[*me].phase == Phase::Ended(Outcome::Success)
                    && state.witness.commits.iter().any(|(who, _)| who == me)
            };
            (0..state.sessions.len()).any(|me| repeated(&me) && committed(&me))
        }),
        Property::sometimes(SUCCESSION, |_, state: &State| {
            state.witness.commits.len() == 2
        }),
        Property::sometimes(TWO_BELIEVE, |_, state: &State| {
            let believers = state.sessions.iter().filter(|session| believes(session));
            believers.count() == 2
        }),
    ]
}

fn went(state: &State, wrong: Wrong) -> bool {
    state.witness.faults.contains(&wrong)
}

fn ended(state: &State, outcome: Outcome) -> bool {
    let mut sessions = state.sessions.iter();
    sessions.any(|session| session.phase == Phase::Ended(outcome))
}

fn is_right_to_believe(state: &State, me: usize) -> bool {
    !believes(&state.sessions[me]) || state.redis.mine(me)
}

fn believes(session: &Session) -> bool {
    matches!(session.phase, Phase::Holding { valid, .. } if valid > 0)
}

fn is_told_the_truth(state: &State, me: usize) -> bool {
    let commits = &state.witness.commits;
    let committed = commits.iter().any(|(who, _)| *who == me);
    let last = commits.last().filter(|(who, _)| *who == me);
    let traced = last.is_some() && state.redis.last_action.as_ref() == last;
    match state.sessions[me].phase {
        Phase::Ended(Outcome::Success) => committed,
        // The idempotency record is never overwritten.
        Phase::Ended(Outcome::Lost) if state.budget.has_key(me) => !committed,
        Phase::Ended(Outcome::Lost) => !traced,
        _ => true,
    }
}

/// Whether this is a promise, and not something that only shows that promises aren't empty.
pub fn is_promise(name: &str) -> bool {
    let happenings = [LOSS, REFUSAL, RECOGNITION, SUCCESSION, TWO_BELIEVE];
    !happenings.contains(&name)
}
