//! Each violation, from a history made by hand.

use std::time::Duration;

use super::answers::{ANSWERED, DOCUMENTED, IN_TIME, RAN};
use super::durability::{DURABILITY, ORIGIN, TRUTH};
use super::leases::{HELD, SAME_TOKEN};
use super::{END, EXCLUSION, GROWTH, ORDER, UNIQUENESS, Verdict, check};
use crate::torture::history::{Execution, History, InjectedFault, LeaseInterval, Operation, Verb};
use crate::torture::plan::FaultKind;

mod computing;
mod liveness;
mod registers;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn operation(
    id: &str,
    verb: Verb,
    sent: u64,
    answered: u64,
    answer: &str,
    number: i64,
) -> Operation {
    Operation {
        id: id.to_owned(),
        verb,
        user: 1,
        service: 0,
        sent: ms(sent),
        answered: ms(answered),
        answer: (!answer.is_empty()).then(|| answer.to_owned()),
        fencing_token: (number > 0).then_some(number),
        lease: None,
        expire: ms(300),
        key: None,
        limit: ms(20_000),
    }
}

fn execution(id: &str, began: u64, ended: u64, fencing_token: i64) -> Execution {
    Execution {
        id: id.to_owned(),
        user: 1,
        fencing_token,
        began: ms(began),
        ended: ms(ended),
        refused: false,
    }
}

/// An action from `sent` to `answered`, at the origin except for the first and the last
/// millisecond.
fn action(history: &mut History, id: &str, sent: u64, answered: u64, answer: &str, number: i64) {
    let committed = if answer == "200" { number } else { 0 };
    let operation = operation(id, Verb::Perform, sent, answered, answer, committed);
    history.operations.push(operation);
    history
        .executions
        .push(execution(id, sent + 1, answered - 1, number));
}

fn reading(history: &mut History, id: &str, sent: u64, number: i64) {
    let answer = if number > 0 { "200" } else { "404 not-found" };
    let operation = operation(id, Verb::Read, sent, sent + 1, answer, number);
    history.operations.push(operation);
}

fn fault(kind: FaultKind, from: u64, to: u64) -> InjectedFault {
    InjectedFault {
        kind,
        service: 0,
        from: ms(from),
        to: ms(to),
    }
}

fn rules(history: &History) -> Vec<&'static str> {
    let Verdict { violations, .. } = check(history);
    violations.iter().map(|violation| violation.rule).collect()
}

/// Two actions, one after the other, and a read after each.
fn good() -> History {
    let mut history = History::default();
    action(&mut history, "a", 10, 20, "200", 5);
    reading(&mut history, "r", 21, 5);
    action(&mut history, "b", 30, 40, "200", 6);
    reading(&mut history, "s", 41, 6);
    history
}

#[test]
fn a_good_history_is_good() {
    assert!(rules(&good()).is_empty());
}

#[test]
fn overlapping_commits_are_found() {
    let mut history = good();
    action(&mut history, "c", 50, 70, "200", 7);
    action(&mut history, "d", 60, 80, "200", 8);
    assert_eq!(rules(&history), [EXCLUSION]);
}

#[test]
fn an_overlap_after_a_loss_is_counted() {
    let mut history = good();
    action(&mut history, "c", 50, 70, "409 lock-lost", 7);
    action(&mut history, "d", 60, 80, "200", 8);
    let verdict = check(&history);
    assert_eq!(
        (verdict.violations.len(), verdict.overlaps_after_loss),
        (0, 1)
    );
}

#[test]
fn an_overlap_with_a_lease_is_found() {
    let mut history = good();
    let interval = |to| LeaseInterval {
        id: "l".to_owned(),
        user: 1,
        fencing_token: 4,
        from: ms(1),
        to: ms(to),
    };
    history.lease_intervals = vec![interval(5), interval(9)];
    assert!(rules(&history).is_empty());
    history.lease_intervals.push(interval(15));
    assert_eq!(rules(&history), [EXCLUSION]);
}

/// A lease under fencing token 7, another client's action under 8, and then this operation on the
/// lease.
fn after_another(verb: Verb, answer: &str, number: i64) -> History {
    let mut history = good();
    history
        .operations
        .push(operation("l", Verb::Acquire, 50, 55, "201", 7));
    action(&mut history, "c", 60, 70, "200", 8);
    let mut late = operation("m", verb, 80, 85, answer, number);
    late.lease = Some("l".to_owned());
    history.operations.push(late);
    history
}

#[test]
fn use_of_a_lost_lease_is_found() {
    assert_eq!(rules(&after_another(Verb::Release, "204", 0)), [HELD]);
    assert_eq!(rules(&after_another(Verb::Renew, "200", 7)), [HELD]);
    assert_eq!(
        rules(&after_another(Verb::Renew, "200", 9)),
        [SAME_TOKEN, HELD]
    );
    // A replica that took over did not know of the acquisition.
    let mut history = after_another(Verb::Renew, "200", 9);
    history
        .faults
        .push(fault(FaultKind::PromoteReplica, 56, 58));
    assert!(rules(&history).is_empty());
    for verb in [Verb::Release, Verb::Renew] {
        assert!(rules(&after_another(verb, "409 not-lock-owner", 0)).is_empty());
    }
}

#[test]
fn commits_out_of_order_are_found() {
    let mut history = good();
    // Both requests were sent at the same time, so the order of the acquisitions is unknown.
    for (id, began, number) in [("c", 60, 8), ("d", 70, 7)] {
        let operation = operation(id, Verb::Perform, 50, 90, "200", number);
        history.operations.push(operation);
        history
            .executions
            .push(execution(id, began, began + 5, number));
    }
    assert_eq!(rules(&history), [ORDER]);
}

#[test]
fn a_fencing_token_that_does_not_grow_is_found() {
    let mut history = good();
    action(&mut history, "c", 50, 60, "409 lock-lost", 4);
    assert_eq!(rules(&history), [GROWTH]);
}

#[test]
fn a_fencing_token_given_twice_is_found() {
    let mut history = good();
    let lease = operation("l", Verb::Acquire, 5, 50, "201", 6);
    history.operations.push(lease);
    assert_eq!(rules(&history), [UNIQUENESS]);
}

#[test]
fn a_lost_commit_is_found_unless_the_data_was_lost() {
    let mut history = good();
    action(&mut history, "c", 50, 60, "200", 7);
    reading(&mut history, "t", 70, 6);
    let verdict = check(&history);
    assert_eq!(verdict.violations[0].rule, DURABILITY);
    assert_eq!((verdict.lost_commits, verdict.lost_with_data), (1, 0));

    history.faults.push(fault(FaultKind::KillRedis, 61, 65));
    let verdict = check(&history);
    assert_eq!(verdict.violations, []);
    assert_eq!((verdict.lost_commits, verdict.lost_with_data), (0, 1));

    // The loss does not excuse what was committed after it.
    action(&mut history, "d", 80, 90, "200", 8);
    reading(&mut history, "u", 91, 0);
    assert_eq!(rules(&history), [DURABILITY]);
}

#[test]
fn a_last_action_that_goes_back_is_found() {
    let mut history = good();
    action(&mut history, "c", 50, 60, "503 redis-timeout", 7);
    reading(&mut history, "t", 61, 7);
    reading(&mut history, "u", 70, 6);
    assert_eq!(rules(&history), [DURABILITY]);
}

#[test]
fn a_last_action_from_nowhere_is_found() {
    let mut history = good();
    reading(&mut history, "t", 50, 9);
    assert_eq!(rules(&history), [ORIGIN]);
}

#[test]
fn a_last_action_answered_409_is_found() {
    let mut history = good();
    action(&mut history, "c", 50, 60, "409 lock-lost", 7);
    reading(&mut history, "t", 61, 7);
    assert_eq!(rules(&history), [TRUTH]);
}

#[test]
fn a_missing_answer_is_found() {
    let mut history = good();
    action(&mut history, "c", 50, 60, "", 7);
    assert_eq!(rules(&history), [ANSWERED]);
    history.faults.push(fault(FaultKind::KillService, 55, 58));
    assert!(rules(&history).is_empty());
}

#[test]
fn an_undocumented_or_late_answer_is_found() {
    let mut history = good();
    action(&mut history, "c", 50, 60, "500 internal", 7);
    assert_eq!(rules(&history), [DOCUMENTED]);
    let mut history = good();
    action(&mut history, "c", 50, 20_051, "200", 7);
    assert_eq!(rules(&history), [IN_TIME]);
}

#[test]
fn an_untrue_answer_is_found() {
    let mut history = good();
    action(&mut history, "c", 50, 60, "423 lock-held", 7);
    assert_eq!(rules(&history), [RAN]);
    let mut history = good();
    let answer = operation("c", Verb::Attempt, 50, 60, "200", 7);
    history.operations.push(answer);
    assert_eq!(rules(&history), [RAN]);
    let mut history = good();
    action(&mut history, "c", 50, 60, "502 origin-failed", 7);
    assert_eq!(rules(&history), [RAN]);
}

#[test]
fn a_leftover_is_found() {
    let mut history = good();
    history
        .leftovers
        .push("user:1:lock is held at the end".to_owned());
    assert_eq!(rules(&history), [END]);
}
