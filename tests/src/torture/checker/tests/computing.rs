//! Entries that are computed by two at a time, or too late, or by nobody.

use super::{fault, ms, operation, rules};
use crate::torture::checker::computing::{IN_TIME, ONE};
use crate::torture::checker::liveness::LIVE;
use crate::torture::history::{History, Operation, Verb};
use crate::torture::plan::FaultKind;

/// A request that computes the entry `page`, with the token of the request `granted`.
fn of_page(mut operation: Operation, granted: Option<&str>) -> Operation {
    operation.key = Some("page".to_owned());
    operation.lease = granted.map(str::to_owned);
    operation
}

fn of(operations: Vec<Operation>) -> History {
    History {
        operations,
        ..History::default()
    }
}

/// A task for 300 ms.
fn granted(id: &str, sent: u64) -> Operation {
    let answer = "404 compute-granted";
    of_page(
        operation(id, Verb::Compute, sent, sent + 1, answer, 0),
        None,
    )
}

fn stored(granted: &str, sent: u64) -> Operation {
    of_page(
        operation("s", Verb::Store, sent, sent + 1, "201", 0),
        Some(granted),
    )
}

#[test]
fn a_value_stored_after_another_was_given_the_task_is_found() {
    let mut history = of(vec![granted("a", 0), granted("b", 100), stored("b", 200)]);
    assert!(rules(&history).is_empty());
    history.operations.push(stored("a", 250));
    assert_eq!(rules(&history), [ONE]);
    history.faults = vec![fault(FaultKind::KillRedis, 50, 60)];
    assert_eq!(rules(&history), [ONE]);
    history.faults = vec![fault(FaultKind::PromoteReplica, 50, 60)];
    assert!(rules(&history).is_empty());
}

#[test]
fn a_value_stored_when_the_time_is_up_is_found() {
    let mut history = of(vec![granted("a", 0), stored("a", 300)]);
    assert!(rules(&history).is_empty());
    history.operations = vec![granted("a", 0), stored("a", 400)];
    assert_eq!(rules(&history), [IN_TIME]);
}

#[test]
fn a_long_wait_for_a_value_that_nobody_computes_is_found() {
    let answer = "423 lock-held";
    let wait = of_page(operation("w", Verb::Compute, 0, 10_000, answer, 0), None);
    let mut history = of(vec![wait]);
    assert_eq!(rules(&history), [LIVE]);
    // Those who vanish have the task until their time is up.
    let others = (0..10).map(|number| granted(&number.to_string(), number * 1000));
    history.operations.extend(others);
    assert_eq!(rules(&history), [LIVE]);
    for operation in &mut history.operations {
        operation.expire = ms(900);
    }
    assert!(rules(&history).is_empty());
}
