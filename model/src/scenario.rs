//! A scenario, and its check.

use std::collections::BTreeMap;
use std::num::NonZero;

use stateright::{Checker as _, HasDiscoveries, Model as _};

use crate::steps::Step;
use crate::{Budget, LockModel, Mutation};

/// How many sessions, and what may happen to them.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// The number of requests.
    pub sessions: usize,
    /// What may happen, and how often.
    pub budget: Budget,
    /// What some run reaches, so that the promises are not empty.
    pub reached: &'static [&'static str],
}

/// The result of checking a scenario.
pub struct CheckResult {
    /// The number of different states.
    pub states: usize,
    /// Runs that break a promise, and runs that reach something.
    pub found: BTreeMap<&'static str, Vec<Step>>,
}

impl Scenario {
    /// Checks every state.
    pub fn check(&self) -> CheckResult {
        self.explore(None, HasDiscoveries::AllFailures)
    }

    /// Checks states with one part of the protocol removed, until `promise` is broken.
    pub fn check_without(&self, mutation: Mutation, promise: &'static str) -> CheckResult {
        self.explore(Some(mutation), HasDiscoveries::AnyOf([promise].into()))
    }

    fn explore(&self, mutation: Option<Mutation>, until: HasDiscoveries) -> CheckResult {
        let model = LockModel {
            sessions: self.sessions,
            budget: self.budget,
            mutation,
        };
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        let checker = model.checker().threads(threads).finish_when(until);
        let checker = checker.spawn_bfs().join();
        let found = checker.discoveries().into_iter();
        CheckResult {
            states: checker.unique_state_count(),
            found: found
                .map(|(name, path)| (name, path.into_actions()))
                .collect(),
        }
    }
}
