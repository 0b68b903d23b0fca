//! Whether cache entries and idempotency records are linearizable registers.

use std::collections::BTreeMap;
use std::time::Duration;

use super::linearizable::{Access, Linearizability, linearizability};
use super::{Index, Verdict};
use crate::torture::history::{Condition, Effect, Operation, RegisterOperation, Verb};
use crate::torture::plan::FaultKind;

/// Accesses to a cache entry that no order explains.
pub(super) const ENTRIES: &str = "a cache entry is linearizable";
/// Answers under an idempotency key that no order explains.
pub(super) const KEYS: &str = "an idempotency key is linearizable";

/// How late a command may arrive whose answer was lost: longer than any fault holds one up.
const LATEST: Duration = Duration::from_secs(5);

/// How many lines of a history are shown.
const SHOWN: usize = 40;

pub(super) fn check(index: &Index<'_>, verdict: &mut Verdict) {
    let entries = index.history.registers.iter().cloned();
    check_all(index, ENTRIES, entries, verdict);
    let keyed = index.history.operations.iter();
    let keyed = keyed.filter_map(|operation| of_key(index, operation));
    check_all(index, KEYS, keyed, verdict);
}

fn check_all(
    index: &Index<'_>,
    rule: &'static str,
    all: impl Iterator<Item = RegisterOperation>,
    verdict: &mut Verdict,
) {
    let mut registers: BTreeMap<String, Vec<RegisterOperation>> = BTreeMap::new();
    for operation in all {
        let name = operation.register.clone();
        registers.entry(name).or_default().push(operation);
    }
    for (name, mut operations) in registers {
        let first = operations.iter().map(|it| it.sent).min();
        let last = operations.iter().map(|it| it.answered).max();
        let (first, last) = (first.unwrap_or_default(), last.unwrap_or_default());
        operations.extend(losses(index, &name, first, last));
        operations.sort_by_key(|operation| operation.sent);
        let accesses: Vec<Access> = operations.iter().map(access).collect();
        verdict.registers += 1;
        match linearizability(&accesses) {
            Linearizability::Yes => {}
            Linearizability::Undecided => verdict.undecided += 1,
            Linearizability::No { explained } => {
                // Those that are explained may be left out.
                let begin = explained.saturating_sub(SHOWN / 2);
                let lines: Vec<&dyn std::fmt::Display> = operations
                    .iter()
                    .skip(begin)
                    .take(SHOWN)
                    .map(|operation| operation as &dyn std::fmt::Display)
                    .collect();
                verdict.add(rule, &lines);
            }
        }
    }
}

/// What losses of data do to a value.
fn losses(
    index: &Index<'_>,
    name: &str,
    first: Duration,
    last: Duration,
) -> Vec<RegisterOperation> {
    let faults = index.history.faults.iter();
    faults
        .filter(|fault| fault.loses_data() && fault.touches(first, last))
        .map(|fault| RegisterOperation {
            id: format!("{:?}", fault.kind),
            register: name.to_owned(),
            sent: fault.from,
            answered: fault.to,
            effect: match fault.kind {
                FaultKind::PromoteReplica => Effect::Revert,
                _ => Effect::Set(None, Condition::Always),
            },
            done: Some(true),
        })
        .collect()
}

fn access(operation: &RegisterOperation) -> Access {
    Access {
        sent: operation.sent,
        ended: match operation.done {
            Some(_) => operation.answered,
            None => operation.answered + LATEST,
        },
        effect: operation.effect,
        done: operation.done,
    }
}

/// What an action with an idempotency key does to the record: the first success writes it, and
/// every other answer that succeeds shows it. `None` where it does nothing.
fn of_key(index: &Index<'_>, operation: &Operation) -> Option<RegisterOperation> {
    let is_action = matches!(operation.verb, Verb::Perform | Verb::Attempt);
    let key = operation.key.as_deref().filter(|_| is_action)?;
    let register = format!("{:?} {key} of user {}", operation.verb, operation.user);
    let number = |token: i64| u64::try_from(token).ok();
    let execution = index.executions.get(operation.id.as_str());
    let (effect, done) = match operation.answer.as_deref() {
        Some("200") => {
            let token = number(operation.fencing_token?)?;
            (Effect::Set(Some(token), Condition::Absent), Some(true))
        }
        Some("200 replayed") => {
            let token = number(operation.fencing_token?)?;
            (Effect::Find(Some(token)), Some(true))
        }
        // What the origin has not seen is not committed.
        None | Some("503 redis-unavailable" | "503 redis-timeout") => {
            let token = number(execution?.fencing_token)?;
            (Effect::Set(Some(token), Condition::Absent), None)
        }
        Some(_) => return None,
    };
    Some(RegisterOperation {
        id: operation.id.clone(),
        register,
        sent: operation.sent,
        answered: operation.answered,
        effect,
        done,
    })
}
