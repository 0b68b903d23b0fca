//! The protocol keeps its promises in every state, and every part of it is needed.

use edgelatch_model::properties::{TWO_BELIEVE, is_promise};
use edgelatch_model::scenarios::{ALL, MUTATIONS};

#[test]
fn every_promise_holds_in_every_state() {
    for scenario in ALL {
        let result = scenario.check();
        eprintln!("{}: {} states", scenario.name, result.states);
        for (name, run) in &result.found {
            assert!(!is_promise(name), "{}: not {name}: {run:?}", scenario.name);
        }
        for reached in scenario.reached {
            let found = result.found.contains_key(reached);
            assert!(found, "{}: no run reaches: {reached}", scenario.name);
        }
        let may_two_believe = scenario.reached.contains(&TWO_BELIEVE);
        let two_believe = result.found.get(TWO_BELIEVE);
        assert_eq!(two_believe.is_some(), may_two_believe, "{two_believe:?}");
    }
}

#[test]
fn each_mutation_breaks_its_promise() {
    for (mutation, scenario, promise) in MUTATIONS {
        let result = scenario.check_without(mutation, promise);
        let run = result.found.get(promise);
        assert!(run.is_some(), "{mutation:?} does not break: {promise}");
        eprintln!("{mutation:?}: not {promise}: {run:?}");
    }
}
