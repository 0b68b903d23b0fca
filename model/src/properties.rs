//! The promises, as properties of every reachable state.

use stateright::{Model, Property};

use crate::redis::Reply;
use crate::session::{Outcome, Phase, Session};
use crate::witness::Violation;
use crate::{HELD_UP, LockModel, State};

/// No two sessions hold the lock at once. A session holds it until it expires or its holder returns
/// it. This is what Redis shows, too.
pub const EXCLUSION: &str = "no two sessions hold the lock at once";
/// Redis agrees on who holds the lock: nothing but the acquiring token has released or renewed it.
pub const OWN_TOKEN: &str = "only its own token releases or renews a lock";
/// A client whose own clock says that it still holds the lock does hold it, unless a foreign
/// client, an administrator or a loss of data took it.
pub const BELIEF: &str = "a client that believes it holds the lock does hold it";
/// Each new fencing token is greater than all before.
pub const GROWING: &str = "fencing tokens grow";
/// Commits run in the order of their fencing tokens, and no two have the same one.
pub const ORDERED: &str = "commits are ordered by fencing token";
/// A commit or a renewal succeeds only for a client that has held the lock without interruption
/// since its acquisition.
pub const UNINTERRUPTED: &str = "nobody commits or renews after losing the lock";
/// 200 is answered only if the commit was carried out. 409 is answered only if it was not, or if a
/// later commit or a loss of data removed the trace by which a repetition is recognised.
pub const TRUTH: &str = "an answer is true";
/// A repeated acquire, commit or release gets the same reply as the first, if nothing came between.
pub const REPETITION: &str = "a repetition gets the same reply";
/// Once an acquisition was cancelled, it never waits or takes the lock again, whenever it arrives.
/// Once the cleanup of another unanswered call has run, its session never holds the lock again. The
/// second promise leaves out sessions with a cut connection: the first copy of a repeated
/// acquisition may arrive late, and there the expiry frees the lock.
pub const NO_LEFTOVER: &str = "a cleanup leaves no lock";
/// In the end the lock is free. Every run ends, since each fault and renewal happens a limited
/// number of times. So "eventually" means: in every state without a next step.
pub const FREE: &str = "in the end the lock is free";
/// A living waiter is served in the end: nobody waits in a state without a next step, and dead
/// sessions hold nobody up for longer than [`HELD_UP`].
pub const SERVED: &str = "nobody alive waits for somebody dead";
/// A waiter stands behind those that came first.
pub const IN_ORDER: &str = "the queue is in order of arrival";
/// A call is not told that the lock is held while its own token has it.
pub const NOT_BY_ITSELF: &str = "nobody waits for itself";
/// A full Redis extends a lock all the same.
pub const EXTENDED: &str = "a full Redis takes nobody's lock";
/// A break that is repeated after a lost answer breaks nobody else's lock.
pub const BROKEN_ONCE: &str = "a break happens once";
/// A session that was answered with an earlier result has released what was handed over to it.
pub const REPLAYED: &str = "a replay keeps no lock";

/// Somebody stored the entry while it was computed: that result stays.
pub const NEWEST: &str = "an older result replaces no newer one";

/// A call that waited with a token when a client gave that back never takes the lock.
pub const WITHDRAWN: &str = "a token that was given back takes nothing";
/// A call that came after a client gave its token back waits as any other does.
pub const CAME_AFTER: &str = "a token that was given back may wait again";

/// Some run loses a lock under its holder, so promises about that are not empty.
pub const LOSS: &str = "a lock is lost under its holder";
/// Some run answers 409.
pub const REFUSAL: &str = "a commit is refused";
/// Some run cuts a connection under a commit, which is then answered 200.
pub const RECOGNITION: &str = "a repeated commit is recognised";
/// Some run has two commits in order.
pub const SUCCESSION: &str = "two sessions commit in turn";
/// No lock in one Redis can rule this out after a foreign delete, a break or a loss of data. Only
/// then does it happen, by [`BELIEF`]. Only the fencing token tells the two clients apart.
pub const TWO_BELIEVE: &str = "two clients believe they hold the lock";

/// All properties.
pub fn all() -> Vec<Property<LockModel>> {
    vec![
        Property::always(EXCLUSION, |_, state: &State| {
            state.witness.holds.iter().flatten().count() <= 1
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
        Property::always(GROWING, |_, state: &State| {
            !violated(state, Violation::NotGreater)
        }),
        Property::always(ORDERED, |_, state: &State| {
            let commits = &state.witness.commits;
            commits.windows(2).all(|pair| pair[0].1 < pair[1].1)
        }),
        Property::always(UNINTERRUPTED, |_, state: &State| {
            !violated(state, Violation::NotHeld)
        }),
        Property::always(TRUTH, |_, state: &State| {
            (0..state.sessions.len()).all(|me| is_told_the_truth(state, me))
        }),
        Property::always(REPETITION, |_, state: &State| {
            !violated(state, Violation::AnsweredOtherwise)
        }),
        Property::always(NO_LEFTOVER, |_, state: &State| {
            let witness = &state.witness;
            let alone = |me: &&usize| !state.budget.is_brought(**me);
            let in_order = |me: &&usize| alone(me) && !witness.cut.contains(*me);
            let mut cleaned = witness.cleaned.iter().filter(in_order);
            let mut cancelled = witness.cancelled.iter();
            cleaned.all(|me| !state.redis.is_owner(*me))
                && cancelled.all(|me| {
                    let waits = state.redis.queue.iter().any(|waiter| waiter.id == *me);
                    !(waits || alone(&me) && state.redis.is_owner(*me))
                })
        }),
        Property::always(SERVED, |model: &LockModel, state: &State| {
            let mut steps = Vec::new();
            model.actions(state, &mut steps);
            let waits = state.sessions.iter().any(Session::waits);
            !state.budget.punctual
                || state.witness.held_up <= HELD_UP && !(steps.is_empty() && waits)
        }),
        Property::always(IN_ORDER, |_, state: &State| {
            !violated(state, Violation::WentBefore)
        }),
        Property::always(NOT_BY_ITSELF, |_, state: &State| {
            !violated(state, Violation::HeldByItself)
        }),
        Property::always(EXTENDED, |_, state: &State| {
            !violated(state, Violation::NotExtended)
        }),
        Property::always(BROKEN_ONCE, |_, state: &State| {
            !violated(state, Violation::BrokenAgain)
        }),
        Property::always(NEWEST, |_, state: &State| {
            !violated(state, Violation::ReplacedNewer)
        }),
        Property::always(REPLAYED, |_, state: &State| {
            (0..state.sessions.len()).all(|me| {
                let replayed = state.sessions[me].phase == Phase::Ended(Outcome::Replayed);
                !replayed || !state.redis.is_owner(me)
            })
        }),
        Property::always(WITHDRAWN, |_, state: &State| {
            state.witness.withdrawn.iter().all(|me| {
                let session = &state.sessions[*me];
                let is_granted = matches!(session.answer, Some(Reply::Granted(_)));
                !is_granted && !matches!(session.phase, Phase::Holding { .. })
            })
        }),
        Property::always(CAME_AFTER, |_, state: &State| {
            !violated(state, Violation::WithdrawnBefore)
        }),
        Property::always(FREE, |model: &LockModel, state: &State| {
            let mut steps = Vec::new();
            model.actions(state, &mut steps);
            !steps.is_empty() || state.redis.lock.is_none()
        }),
        Property::sometimes(LOSS, |_, state: &State| {
            (0..state.sessions.len()).any(|me| {
                matches!(state.sessions[me].phase, Phase::Holding { .. })
                    && !state.redis.is_owner(me)
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

fn violated(state: &State, violation: Violation) -> bool {
    state.witness.violations.contains(&violation)
}

fn ended(state: &State, outcome: Outcome) -> bool {
    let mut sessions = state.sessions.iter();
    sessions.any(|session| session.phase == Phase::Ended(outcome))
}

fn is_right_to_believe(state: &State, me: usize) -> bool {
    !believes(&state.sessions[me]) || state.redis.is_owner(me)
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

/// Whether this is a promise, and not a proof that promises aren't empty.
pub fn is_promise(name: &str) -> bool {
    let happenings = [LOSS, REFUSAL, RECOGNITION, SUCCESSION, TWO_BELIEVE];
    !happenings.contains(&name)
}
