//! Whether one computes an entry while the others wait.

use std::collections::BTreeMap;
use std::time::Duration;

use super::liveness::{Interval, UNSEEN, check_wait};
use super::{Index, Verdict};
use crate::torture::history::{Operation, Verb};
use crate::torture::plan::FaultKind;

/// A value that was stored with a token that others have been given meanwhile.
pub(super) const ONE: &str = "one computes an entry at a time";
/// A value that was stored when the time for it was up.
pub(super) const IN_TIME: &str = "nothing is stored when the time to compute is up";

/// What the clocks of this record and of Redis may differ by.
const CLOCKS: Duration = Duration::from_millis(50);

pub(super) fn check(index: &Index<'_>, verdict: &mut Verdict) {
    for operations in by_entry(index).values() {
        let alive = alive(operations);
        for operation in operations {
            match operation.verb {
                Verb::Store => check_store(index, operations, operation, verdict),
                Verb::Compute => check_wait(index, operation, &alive, verdict),
                _ => {}
            }
        }
    }
}

/// The requests that compute, by the entry.
fn by_entry<'a>(index: &Index<'a>) -> BTreeMap<&'a str, Vec<&'a Operation>> {
    let mut entries: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
    for operation in &index.history.operations {
        if let Verb::Compute | Verb::Store | Verb::GiveUp = operation.verb {
            let entry = operation.key.as_deref().unwrap_or_default();
            entries.entry(entry).or_default().push(operation);
        }
    }
    entries
}

fn is_granted(operation: &Operation) -> bool {
    operation.verb == Verb::Compute && operation.answer.as_deref() == Some("404 compute-granted")
}

fn is_stored(operation: &Operation) -> bool {
    operation.verb == Verb::Store && matches!(operation.answer.as_deref(), Some("200" | "201"))
}

fn check_store(
    index: &Index<'_>,
    operations: &[&Operation],
    store: &Operation,
    verdict: &mut Verdict,
) {
    let granted = store.lease.as_deref();
    let granted = granted.and_then(|id| index.operations.get(id).copied());
    let Some(granted) = granted.filter(|_| is_stored(store)) else {
        return;
    };
    verdict.computed += 1;
    if store.sent > granted.answered + granted.expire + CLOCKS {
        verdict.add(IN_TIME, &[granted, store]);
    }
    // A replica that takes over may know nothing of the other.
    let forgotten = index
        .faults(FaultKind::PromoteReplica)
        .any(|fault| fault.touches(granted.sent, store.answered));
    let other = operations.iter().find(|other| {
        is_granted(other) && other.sent >= granted.answered && other.answered <= store.sent
    });
    if let Some(other) = other.filter(|_| !forgotten) {
        verdict.add(ONE, &[granted, *other, store]);
    }
}

/// When somebody alive may have had the task, or somebody dead whose time was not up.
fn alive(operations: &[&Operation]) -> Vec<Interval> {
    let computes = operations
        .iter()
        .filter(|operation| operation.verb == Verb::Compute);
    let mut alive: Vec<Interval> = computes
        .filter_map(|compute| {
            let lost = compute.answer.as_deref();
            let lost = lost.is_none_or(|answer| answer.starts_with("503"));
            let time_is_up = compute.answered + compute.expire;
            let to = if is_granted(compute) {
                let mut ends = operations.iter().filter(|end| {
                    end.lease.as_deref() == Some(&compute.id)
                        && (is_stored(end) || end.answer.as_deref() == Some("204"))
                });
                ends.next().map_or(time_is_up, |end| end.answered)
            } else if lost {
                time_is_up
            } else {
                return None;
            };
            Some((compute.answered.saturating_sub(UNSEEN), to))
        })
        .collect();
    alive.sort_unstable();
    alive
}
