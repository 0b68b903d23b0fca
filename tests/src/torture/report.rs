//! The printed report of a run.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::Options;
use super::checker::{self, Verdict};
use super::history::{History, Verb};
use super::plan::FaultKind;

/// How many violations are printed in full.
const SHOWN: usize = 20;

/// The result of a run.
pub struct Report {
    /// The options of the run.
    pub options: Options,
    /// How many actions were answered.
    pub actions: usize,
    /// How many actions were answered 200.
    pub commits: usize,
    /// How many faults there were.
    pub faults: usize,
    /// The checker's verdict.
    pub verdict: Verdict,
    took: Duration,
    slowest: Duration,
    connections: u64,
    killed_waiters: u64,
    answers: BTreeMap<Verb, BTreeMap<String, usize>>,
    kinds: BTreeMap<FaultKind, usize>,
}

impl Report {
    pub(super) fn new(options: Options, history: &History) -> Self {
        let mut answers: BTreeMap<Verb, BTreeMap<String, usize>> = BTreeMap::new();
        let mut actions = 0;
        for operation in &history.operations {
            let answer = operation.answer.clone();
            let is_action = matches!(operation.verb, Verb::Perform | Verb::Attempt);
            actions += usize::from(is_action && answer.is_some());
            let answer = answer.unwrap_or("no answer (service killed)".to_owned());
            let of_verb = answers.entry(operation.verb).or_default();
            *of_verb.entry(answer).or_default() += 1;
        }
        let mut kinds = BTreeMap::new();
        for fault in &history.faults {
            *kinds.entry(fault.kind).or_default() += 1;
        }
        let operations = history.operations.iter();
        let took = operations
            .clone()
            .map(|operation| operation.answered - operation.sent);
        Self {
            options,
            actions,
            commits: operations.filter(|operation| operation.is_commit()).count(),
            faults: history.faults.len(),
            verdict: checker::check(history),
            took: history.took,
            connections: history.connections,
            killed_waiters: history.killed_waiters,
            slowest: took.max().unwrap_or_default(),
            answers,
            kinds,
        }
    }

    /// Whether every promise was kept.
    pub fn is_good(&self) -> bool {
        self.verdict.violations.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, verdict) = (self.took.as_secs_f64(), &self.verdict);
        let rate = self.actions as f64 / seconds;
        writeln!(f, "seed {}", self.options.seed)?;
        writeln!(
            f,
            "{} actions in {seconds:.1} s ({rate:.0}/s), {} answered 200; slowest answer {:.2} s",
            self.actions,
            self.commits,
            self.slowest.as_secs_f64(),
        )?;
        for (verb, answers) in &self.answers {
            writeln!(f, "  {:8} {}", format!("{verb:?}"), list(answers))?;
        }
        writeln!(f, "{} faults: {}", self.faults, {
            let kinds = self.kinds.iter();
            list(
                &kinds
                    .map(|(kind, count)| (format!("{kind:?}"), *count))
                    .collect(),
            )
        })?;
        writeln!(
            f,
            "actions that overlapped one that had lost its lock: {}",
            verdict.overlaps_after_loss
        )?;
        writeln!(
            f,
            "lost commits: {} (and {} lost with the data of Redis)",
            verdict.lost_commits, verdict.lost_with_data
        )?;
        writeln!(
            f,
            "waits of more than 3 s answered 423: {}; longest time with nobody alive: {:.2} s; \
             waiters when a service was killed: {}",
            verdict.waits,
            verdict.longest_idle.as_secs_f64(),
            self.killed_waiters,
        )?;
        writeln!(
            f,
            "waiters that listened: {}; connections to Redis: {}; leases that nobody received: {}",
            verdict.listeners, self.connections, verdict.undelivered,
        )?;
        writeln!(
            f,
            "cache entries and idempotency keys: {} ({} undecided); values computed: {}",
            verdict.registers, verdict.undecided, verdict.computed,
        )?;
        write!(f, "violations: {}", verdict.violations.len())?;
        for violation in verdict.violations.iter().take(SHOWN) {
            write!(f, "\nBROKEN: {}", violation.rule)?;
            for line in &violation.lines {
                write!(f, "\n  {line}")?;
            }
        }
        if !self.is_good() {
            write!(
                f,
                "\nrepeat: cargo xtask torture --seed {} --actions {} --faults {}",
                self.options.seed, self.options.actions, self.options.faults
            )?;
        }
        Ok(())
    }
}

fn list(counts: &BTreeMap<String, usize>) -> String {
    let counts = counts
        .iter()
        .map(|(what, count)| format!("{what}: {count}"));
    counts.collect::<Vec<_>>().join(", ")
}
