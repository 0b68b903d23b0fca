//! Cache entries and idempotency keys that no order explains.

use super::{action, fault, good, ms, operation, rules};
use crate::torture::checker::registers::{ENTRIES, KEYS};
use crate::torture::history::{Condition, Effect, History, RegisterOperation, Verb};
use crate::torture::plan::FaultKind;

fn access(sent: u64, answered: u64, effect: Effect, done: Option<bool>) -> RegisterOperation {
    RegisterOperation {
        id: "x".to_owned(),
        register: "entry".to_owned(),
        sent: ms(sent),
        answered: ms(answered),
        effect,
        done,
    }
}

#[test]
fn a_lost_update_of_a_cache_entry_is_found() {
    let swap = |from, to| Effect::Set(Some(to), Condition::Is(from));
    let write = Effect::Set(Some(1), Condition::Absent);
    let mut history = good();
    history.registers = vec![
        access(10, 20, write, Some(true)),
        access(30, 40, swap(1, 2), Some(true)),
        access(30, 40, swap(1, 3), Some(false)),
    ];
    assert!(rules(&history).is_empty());
    history.registers[2].done = Some(true);
    assert_eq!(rules(&history), [ENTRIES]);
    // It may have happened after the data was lost.
    history.registers[2].done = Some(false);
    let found = access(60, 70, Effect::Find(None), Some(true));
    history.registers.push(found);
    assert_eq!(rules(&history), [ENTRIES]);
    history.faults = vec![fault(FaultKind::RestartRedis, 50, 55)];
    assert_eq!(rules(&history), [ENTRIES]);
    history.faults = vec![fault(FaultKind::KillRedis, 50, 55)];
    assert!(rules(&history).is_empty());
    history.registers[3].effect = Effect::Find(Some(1));
    assert_eq!(rules(&history), [ENTRIES]);
    history.faults = vec![fault(FaultKind::PromoteReplica, 50, 55)];
    assert!(rules(&history).is_empty());
}

#[test]
fn an_action_that_ran_twice_under_one_idempotency_key_is_found() {
    let keyed = |history: &mut History| {
        history.operations.iter_mut().last().unwrap().key = Some("k".to_owned());
    };
    let mut history = History::default();
    action(&mut history, "a", 10, 20, "503 redis-timeout", 5);
    keyed(&mut history);
    action(&mut history, "b", 30, 40, "200", 6);
    keyed(&mut history);
    let replay = |number| operation("c", Verb::Perform, 50, 60, "200 replayed", number);
    history.operations.push(replay(6));
    keyed(&mut history);
    assert!(rules(&history).is_empty());
    // The first one was not carried out, or not kept.
    history.operations[2].fencing_token = Some(5);
    assert_eq!(rules(&history), [KEYS]);
    history.operations.pop();
    action(&mut history, "c", 50, 60, "200", 7);
    keyed(&mut history);
    assert_eq!(rules(&history), [KEYS]);
}
