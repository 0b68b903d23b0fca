//! Whether every answer exists, is documented, in time, and true.

use std::time::Duration;

use super::{Index, Verdict};
use crate::torture::history::{Operation, Verb};
use crate::torture::plan::FaultKind;

/// No answer.
pub(super) const ANSWERED: &str = "every request is answered, unless its service is killed";
/// A status that the contract does not have.
pub(super) const DOCUMENTED: &str = "every answer is documented";
/// An answer after its limit.
pub(super) const IN_TIME: &str = "every answer arrives in time";
/// An action that ran against its answer, or did not.
pub(super) const RAN: &str = "an action's answer says whether it ran, and its fencing token";

/// Clients notice a kill within this time.
const NOTICED: Duration = Duration::from_millis(500);

const REDIS: [&str; 2] = ["503 redis-unavailable", "503 redis-timeout"];

fn documented(verb: Verb) -> &'static [&'static str] {
    match verb {
        Verb::Perform => &[
            "200",
            "200 replayed",
            "409 lock-lost",
            "423 lock-held",
            "502 origin-failed",
        ],
        Verb::Attempt => &[
            "200",
            "200 replayed",
            "200 failed",
            "409 lock-lost",
            "502 origin-failed",
        ],
        Verb::Acquire | Verb::Abandon => &["200", "201", "423 lock-held"],
        Verb::Renew => &["200", "409 not-lock-owner"],
        Verb::Release => &["204", "409 not-lock-owner"],
        Verb::Read | Verb::CacheGet => &["200", "404 not-found"],
        Verb::CachePut => &["200", "201", "412 precondition-failed"],
        Verb::CacheDelete => &["204", "412 precondition-failed"],
        Verb::Compute => &["200", "404 compute-granted", "423 lock-held"],
        Verb::Store => &["200", "201", "409 not-lock-owner"],
        Verb::GiveUp => &["204", "409 not-lock-owner"],
    }
}

pub(super) fn check(index: &Index<'_>, verdict: &mut Verdict) {
    for operation in &index.history.operations {
        let Some(answer) = operation.answer.as_deref() else {
            if operation.verb != Verb::Abandon && !is_excused(index, operation) {
                verdict.add(ANSWERED, &[operation]);
            }
            continue;
        };
        if !documented(operation.verb).contains(&answer) && !REDIS.contains(&answer) {
            verdict.add(DOCUMENTED, &[operation]);
        }
        if operation.answered - operation.sent > operation.limit {
            let limit = format!("it may take {:?}", operation.limit);
            verdict.add(IN_TIME, &[operation, &limit]);
        }
        if !is_true(index, operation, answer) {
            match index.executions.get(operation.id.as_str()) {
                Some(execution) => verdict.add(RAN, &[operation, *execution]),
                None => verdict.add(RAN, &[operation]),
            }
        }
    }
}

/// Whether its service was being killed at the time.
fn is_excused(index: &Index<'_>, operation: &Operation) -> bool {
    index.faults(FaultKind::KillService).any(|kill| {
        kill.service == operation.service
            && operation.sent <= kill.to + NOTICED
            && kill.from <= operation.answered
    })
}

/// Whether an action's answer agrees with what the origin has seen.
fn is_true(index: &Index<'_>, operation: &Operation, answer: &str) -> bool {
    let execution = index.executions.get(operation.id.as_str());
    match (operation.verb, answer) {
        (Verb::Perform | Verb::Attempt, "200") => execution.is_some_and(|execution| {
            !execution.refused && Some(execution.fencing_token) == operation.fencing_token
        }),
        (_, "423 lock-held" | "200 failed" | "200 replayed") => execution.is_none(),
        (_, "502 origin-failed") => execution.is_some_and(|execution| execution.refused),
        _ => true,
    }
}
