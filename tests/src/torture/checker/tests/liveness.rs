//! Waits for nobody alive, leases that stay, and waiters with more than one connection.

use super::{action, fault, good, ms, operation, rules};
use crate::torture::checker::connections::ONE;
use crate::torture::checker::liveness::LIVE;
use crate::torture::checker::undelivered::FREED;
use crate::torture::history::{History, Listening, LongHold, Verb};
use crate::torture::plan::FaultKind;

/// A wait of ten seconds that was answered 423, and these actions meanwhile, each of 100 ms.
fn long_wait(others: &[u64]) -> History {
    let mut history = History::default();
    let wait = operation("w", Verb::Perform, 0, 10_000, "423 lock-held", 0);
    history.operations.push(wait);
    for (number, sent) in others.iter().enumerate() {
        let id = format!("a{number}");
        let number = number as i64 + 1;
        action(&mut history, &id, *sent, sent + 100, "200", number);
    }
    history
}

#[test]
fn a_long_wait_for_nobody_alive_is_found() {
    assert_eq!(rules(&long_wait(&[])), [LIVE]);
    assert_eq!(rules(&long_wait(&[100, 9000])), [LIVE]);
    // Somebody now and then, and always nobody for less than three seconds.
    assert_eq!(rules(&long_wait(&[2500, 5000, 7500])), [LIVE]);
    let often: Vec<u64> = (0..50).map(|place| place * 200).collect();
    assert!(rules(&long_wait(&often)).is_empty());
}

#[test]
fn a_long_wait_for_somebody_alive_is_none_for_the_dead() {
    let mut history = long_wait(&[]);
    let mut lease = operation("l", Verb::Acquire, 900, 1000, "201", 7);
    lease.expire = ms(8000);
    history.operations.push(lease);
    assert!(rules(&history).is_empty());
    let mut release = operation("r", Verb::Release, 2000, 2001, "204", 0);
    release.lease = Some("l".to_owned());
    history.operations.push(release);
    assert_eq!(rules(&history), [LIVE]);
}

#[test]
fn a_fault_of_another_service_is_no_excuse_for_a_long_wait() {
    let mut history = long_wait(&[]);
    let mut blackhole = fault(FaultKind::Blackhole, 500, 8000);
    history.faults.push(blackhole.clone());
    assert!(rules(&history).is_empty());
    blackhole.service = 1;
    history.faults = vec![blackhole];
    assert_eq!(rules(&history), [LIVE]);
    history.faults = vec![fault(FaultKind::KillService, 500, 8000)];
    assert_eq!(rules(&history), [LIVE]);
    history.faults = vec![fault(FaultKind::StopRedis, 500, 8000)];
    assert!(rules(&history).is_empty());
}

#[test]
fn a_lease_that_stays_though_nobody_received_it_is_found() {
    let hold = |to| LongHold {
        user: 1,
        token: "t".to_owned(),
        from: ms(1000),
        to: ms(to),
    };
    let mut history = good();
    history.long_holds = vec![hold(3000)];
    assert!(rules(&history).is_empty());
    history.long_holds = vec![hold(5000)];
    assert_eq!(rules(&history), [FREED]);
    history.received = vec!["t".to_owned()];
    assert!(rules(&history).is_empty());
    history.received.clear();
    for (kind, excused) in [
        (FaultKind::KillService, true),
        (FaultKind::KillClients, false),
        (FaultKind::Blackhole, true),
    ] {
        history.faults = vec![fault(kind, 1500, 2000)];
        assert_eq!(rules(&history).is_empty(), excused, "{kind:?}");
    }
    history.faults.clear();
    // The client hung up when the answer was on its way.
    for (hung_up, excused) in [(1100, true), (500, false), (2000, false)] {
        let mut history = history.clone();
        let abandoned = operation("h", Verb::Abandon, 100, hung_up, "", 0);
        history.operations.push(abandoned);
        assert_eq!(rules(&history).is_empty(), excused, "{hung_up}");
    }
}

#[test]
fn a_waiter_that_takes_another_connection_is_found() {
    let listening = |list: &str, connection, at| Listening {
        service: 0,
        list: list.to_owned(),
        connection,
        at: ms(at),
    };
    let mut history = good();
    history.listening = vec![
        listening("a", 1, 1000),
        listening("a", 1, 1500),
        listening("b", 1, 2000),
    ];
    assert!(rules(&history).is_empty());
    history.listening.push(listening("b", 2, 2500));
    assert_eq!(rules(&history), [ONE]);
    history.faults = vec![fault(FaultKind::Swallow, 1200, 1300)];
    assert!(rules(&history).is_empty());
    history.faults = vec![fault(FaultKind::FlushScripts, 1200, 1300)];
    assert_eq!(rules(&history), [ONE]);
}
