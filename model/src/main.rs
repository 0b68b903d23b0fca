//! Prints the number of states of each scenario, and for each mutation a run that breaks a promise.

#![expect(clippy::print_stdout, reason = "this is what it is for")]

use std::process::ExitCode;
use std::time::Instant;

use edgelatch_model::properties;
use edgelatch_model::scenario::CheckResult;
use edgelatch_model::scenarios::{ALL, MUTATIONS};
use edgelatch_model::steps::Step;

fn main() -> ExitCode {
    // Those whose names hold this, without an argument all.
    let wanted = std::env::args().nth(1).unwrap_or_default();
    let mut as_promised = true;
    println!("the complete protocol: every promise holds in every state");
    for scenario in ALL {
        if !scenario.name.contains(&wanted) {
            continue;
        }
        let began = Instant::now();
        let result = scenario.check();
        let (states, took) = (result.states, began.elapsed().as_secs_f64());
        println!("  {:42} {states:>9} states, {took:4.1} s", scenario.name);
        as_promised &= is_as_promised(&result);
    }
    println!("with one part removed: a run that breaks a promise");
    for (mutation, scenario, promise) in MUTATIONS {
        if !scenario.name.contains(&wanted) {
            continue;
        }
        let result = scenario.check_without(mutation, promise);
        let run = result.found.get(promise);
        as_promised &= run.is_some();
        println!("  {mutation:?} breaks \"{promise}\"");
        println!(
            "    {}",
            run.map_or("NOT FOUND".into(), |run| in_short(run))
        );
    }
    if as_promised {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn is_as_promised(result: &CheckResult) -> bool {
    let mut good = true;
    for (promise, run) in &result.found {
        if properties::is_promise(promise) {
            println!("    BROKEN: {promise}: {}", in_short(run));
            good = false;
        }
    }
    good
}

fn in_short(run: &[Step]) -> String {
    let steps: Vec<String> = run.iter().map(|step| format!("{step:?}")).collect();
    steps.join(" ")
}
