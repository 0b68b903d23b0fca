//! Whether a history of one register is linearizable: there is an order of its accesses in which
//! each comes at some time between its beginning and its end, and in which each does what it was
//! answered.
//!
//! The search is that of Wing and Gong (*Testing and verifying concurrent objects*, 1993) with
//! Lowe's memory of states that lead nowhere (*Testing for linearizability*, 2017). An access whose
//! outcome is not known may have been carried out or not.

use std::collections::HashSet;

use crate::torture::history::{At, Condition, Effect};

/// An access to a register.
#[derive(Clone, Copy, Debug)]
pub(super) struct Access {
    /// It was carried out after this.
    pub(super) sent: At,
    /// And before this.
    pub(super) ended: At,
    pub(super) effect: Effect,
    /// Whether it did that. `None` if that is not known.
    pub(super) done: Option<bool>,
}

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Linearizability {
    Yes,
    /// No order explains it. The longest one explains this many accesses.
    No {
        explained: usize,
    },
    /// There are too many orders.
    Undecided,
}

/// How many states are searched.
const MOST_STATES: usize = 500_000;

/// What a register holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Value {
    /// This.
    Known(Option<u64>),
    /// One of those that it has had.
    Unknown,
}

/// Which accesses have been carried out, a bit for each.
type Set = Vec<u64>;

fn contains(set: &[u64], index: usize) -> bool {
    set[index / 64] >> (index % 64) & 1 == 1
}

/// A state of the search.
struct State {
    carried_out: Set,
    count: usize,
    value: Value,
    /// The latest beginning of an access that was carried out.
    latest: At,
}

/// Checks accesses, which are in the order of their beginnings.
pub(super) fn linearizability(accesses: &[Access]) -> Linearizability {
    let mut states = vec![State {
        carried_out: vec![0; accesses.len().div_ceil(64).max(1)],
        count: 0,
        value: Value::Known(None),
        latest: At::ZERO,
    }];
    let mut seen = HashSet::new();
    let mut explained = 0;
    while let Some(state) = states.pop() {
        let key = (state.carried_out.clone(), state.value);
        if !seen.insert(key) {
            continue;
        }
        if seen.len() > MOST_STATES {
            return Linearizability::Undecided;
        }
        explained = explained.max(state.count);
        // Every known access that is still to come must be after what comes next.
        let open = |index: &usize| !contains(&state.carried_out, *index);
        let known = (0..accesses.len())
            .filter(open)
            .filter(|index| accesses[*index].done.is_some());
        let Some(end) = known.map(|index| accesses[index].ended).min() else {
            return Linearizability::Yes;
        };
        let next: Vec<usize> = (0..accesses.len())
            .take_while(|index| accesses[*index].sent <= end)
            .filter(open)
            .filter(|index| accesses[*index].ended >= state.latest)
            .collect();
        let hurries = |access: &Access| {
            let mut others = (0..accesses.len()).filter(open);
            others.any(|other| accesses[other].ended < access.sent)
        };
        // What only tells something can come at once, and then needs no other try.
        let at_once = next.iter().copied().find(|index| {
            let access = &accesses[*index];
            let only_tells = match access.effect {
                Effect::Find(_) => true,
                _ => access.done == Some(false),
            };
            only_tells
                && state.value != Value::Unknown
                && after(state.value, access) == Some(state.value)
                && !hurries(access)
        });
        let next = at_once.map_or(next, |index| vec![index]);
        // The last of the stack is tried first: the one that began first.
        for index in next.into_iter().rev() {
            let access = &accesses[index];
            if let Some(value) = after(state.value, access) {
                let mut carried_out = state.carried_out.clone();
                carried_out[index / 64] |= 1 << (index % 64);
                states.push(State {
                    carried_out,
                    count: state.count + 1,
                    value,
                    latest: state.latest.max(access.sent),
                });
            }
        }
    }
    Linearizability::No { explained }
}

/// The value after an access. `None` if it could not be answered so.
fn after(value: Value, access: &Access) -> Option<Value> {
    match (access.effect, access.done) {
        (Effect::Find(found), _) => match value {
            Value::Known(held) if held != found => None,
            _ => Some(Value::Known(found)),
        },
        (Effect::Set(written, condition), Some(true) | None) => {
            holds(value, condition, true).then_some(Value::Known(written))
        }
        (Effect::Set(_, condition), Some(false)) => holds(value, condition, false).then_some(value),
        (Effect::Revert, _) => Some(Value::Unknown),
    }
}

/// Whether a condition may have come to this.
fn holds(value: Value, condition: Condition, outcome: bool) -> bool {
    let Value::Known(held) = value else {
        return true;
    };
    let holds = match condition {
        Condition::Always => true,
        Condition::Absent => held.is_none(),
        Condition::Present => held.is_some(),
        Condition::Is(expected) => held == Some(expected),
    };
    holds == outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn access(sent: u64, ended: u64, effect: Effect, done: Option<bool>) -> Access {
        Access {
            sent: Duration::from_millis(sent),
            ended: Duration::from_millis(ended),
            effect,
            done,
        }
    }

    fn find(sent: u64, ended: u64, found: u64) -> Access {
        let found = (found > 0).then_some(found);
        access(sent, ended, Effect::Find(found), Some(true))
    }

    fn write(sent: u64, ended: u64, value: u64, done: Option<bool>) -> Access {
        let effect = Effect::Set(Some(value), Condition::Always);
        access(sent, ended, effect, done)
    }

    fn swap(sent: u64, ended: u64, (from, to): (u64, u64), done: Option<bool>) -> Access {
        let effect = Effect::Set(Some(to), Condition::Is(from));
        access(sent, ended, effect, done)
    }

    const DONE: Option<bool> = Some(true);
    const REFUSED: Option<bool> = Some(false);

    fn is_linearizable(accesses: &[Access]) -> bool {
        linearizability(accesses) == Linearizability::Yes
    }

    #[test]
    fn accesses_in_turn_are_linearizable_only_in_their_order() {
        assert!(is_linearizable(&[]));
        let in_turn = [write(0, 1, 7, DONE), write(2, 3, 8, DONE)];
        assert!(is_linearizable(&[&in_turn[..], &[find(4, 5, 8)]].concat()));
        assert!(!is_linearizable(&[&in_turn[..], &[find(4, 5, 7)]].concat()));
        assert!(!is_linearizable(&[&in_turn[..], &[find(4, 5, 0)]].concat()));
    }

    #[test]
    fn accesses_at_the_same_time_may_have_any_order() {
        let writes = [write(0, 9, 7, DONE), write(1, 8, 8, DONE)];
        for found in [7, 8] {
            assert!(is_linearizable(
                &[&writes[..], &[find(10, 11, found)]].concat()
            ));
        }
        // But one order for all.
        let reads = [find(10, 11, 7), find(12, 13, 8)];
        assert!(!is_linearizable(&[&writes[..], &reads].concat()));
    }

    #[test]
    fn of_two_swaps_of_one_value_one_is_refused() {
        let first = write(0, 1, 7, DONE);
        let swaps = |second| [first, swap(2, 9, (7, 8), DONE), swap(3, 8, (7, 9), second)];
        assert!(!is_linearizable(&swaps(DONE)));
        assert!(is_linearizable(&swaps(REFUSED)));
        // A refusal without a reason.
        assert!(!is_linearizable(&[first, swap(2, 3, (7, 8), REFUSED)]));
    }

    #[test]
    fn a_removal_may_come_after_a_write_though_there_was_nothing_before() {
        let remove = access(1, 5, Effect::Set(None, Condition::Always), DONE);
        assert!(is_linearizable(&[
            write(0, 2, 7, DONE),
            remove,
            find(6, 7, 0)
        ]));
    }

    #[test]
    fn an_unknown_access_may_have_happened_or_not_or_yet_happen_while_it_lasts() {
        let unknown = [write(0, 1, 6, DONE), write(2, 10, 7, None)];
        for (first, second, expected) in [(6, 6, true), (7, 7, true), (6, 7, true), (7, 6, false)] {
            let reads = [find(4, 5, first), find(6, 7, second)];
            assert_eq!(is_linearizable(&[&unknown[..], &reads].concat()), expected);
        }
        let too_late = [find(11, 12, 6), find(13, 14, 7)];
        assert!(!is_linearizable(&[&unknown[..], &too_late].concat()));
    }

    #[test]
    fn after_a_reversion_there_may_be_any_value_but_only_one() {
        let revert = access(4, 5, Effect::Revert, DONE);
        let begin = [write(0, 1, 6, DONE), write(2, 3, 7, DONE), revert];
        assert!(is_linearizable(&[&begin[..], &[find(6, 7, 6)]].concat()));
        let reads = [find(6, 7, 6), find(8, 9, 7)];
        assert!(!is_linearizable(&[&begin[..], &reads].concat()));
    }
}
