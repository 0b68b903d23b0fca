//! All results, and the files that they are written to.

mod cells;
mod loads;
mod locks;
mod markdown;
mod plot;
mod tables;
pub(crate) mod targets;

use std::path::Path;

use anyhow::{Context as _, ensure};
use serde::Serialize;

use crate::cases::commands::{CommandCounts, Connections};
use crate::cases::contention::ContentionResult;
use crate::cases::distance::AtDistance;
use crate::cases::hand_over::HandOver;
use crate::cases::leases::Leases;
use crate::cases::open_loop::FixedRate;
use crate::cases::reading::Reading;
use crate::cases::segments::AnswerArrivals;
use crate::cases::starts::{FreshInstanceTimes, Size, StartTimes};
use crate::cases::waiter::Waiter;
use crate::cases::waiters::WaitingCost;
use crate::load::{LoadResult, Series};
use crate::machine::Machine;
use crate::peers::{Peer, Runner};
use crate::plan::{Case, Plan};
use crate::stats::{Spread, ratios};

/// All results. What was not measured is empty.
#[derive(Serialize)]
pub(crate) struct Findings {
    pub(crate) label: String,
    pub(crate) runner: Runner,
    pub(crate) machine: Machine,
    pub(crate) plan: Plan,
    /// Cases that failed. What they had measured until then is kept where it can be.
    pub(crate) failures: Vec<Failure>,
    pub(crate) loads: Vec<Measured>,
    pub(crate) connections: Vec<Series>,
    pub(crate) users: Vec<Series>,
    pub(crate) contention: Vec<ContentionResult>,
    pub(crate) waiters: Vec<WaitingCost>,
    pub(crate) waiter: Vec<Waiter>,
    pub(crate) hand_over: Vec<HandOver>,
    pub(crate) open_loop: Vec<FixedRate>,
    pub(crate) distance: Vec<AtDistance>,
    pub(crate) leases: Vec<Leases>,
    pub(crate) sizes: Vec<Size>,
    pub(crate) starts: Vec<StartTimes>,
    pub(crate) fresh: Vec<FreshInstanceTimes>,
    /// The same with a Redis that wants TLS and a password.
    pub(crate) secured: Vec<FreshInstanceTimes>,
    pub(crate) commands: Vec<CommandCounts>,
    pub(crate) redis_connections: Vec<Connections>,
    pub(crate) reading: Option<Reading>,
    pub(crate) arrivals: Vec<AnswerArrivals>,
}

/// A case that failed.
#[derive(Serialize)]
pub(crate) struct Failure {
    pub(crate) case: Case,
    pub(crate) why: String,
}

/// One load on all peers.
#[derive(Serialize)]
pub(crate) struct Measured {
    pub(crate) case: Case,
    pub(crate) series: Vec<Series>,
}

impl Measured {
    /// What one peer did.
    pub(crate) fn of(&self, peer: Peer) -> Option<&Series> {
        self.series.iter().find(|series| series.peer == peer)
    }

    /// The service's figure over a peer's, round by round.
    pub(crate) fn ratio(&self, peer: Peer, figure: fn(&LoadResult) -> f64) -> Option<Spread> {
        let ours = self.of(Peer::Service)?.each(figure);
        ratios(&ours, &self.of(peer)?.each(figure))
    }
}

impl Findings {
    /// Nothing yet.
    pub(crate) fn new(label: String, runner: Runner, machine: Machine, plan: Plan) -> Self {
        Self {
            label,
            runner,
            machine,
            plan,
            failures: Vec::new(),
            loads: Vec::new(),
            connections: Vec::new(),
            users: Vec::new(),
            contention: Vec::new(),
            waiters: Vec::new(),
            waiter: Vec::new(),
            hand_over: Vec::new(),
            open_loop: Vec::new(),
            distance: Vec::new(),
            leases: Vec::new(),
            sizes: Vec::new(),
            starts: Vec::new(),
            fresh: Vec::new(),
            secured: Vec::new(),
            commands: Vec::new(),
            redis_connections: Vec::new(),
            reading: None,
            arrivals: Vec::new(),
        }
    }

    /// One load.
    pub(crate) fn load(&self, case: Case) -> Option<&Measured> {
        self.loads.iter().find(|load| load.case == case)
    }

    /// Whether all cases were measured, and whether every request was answered where none may fail.
    ///
    /// # Errors
    /// If not.
    pub(crate) fn complain(&self) -> anyhow::Result<()> {
        let names: Vec<String> = self.failures.iter().map(|it| it.case.to_string()).collect();
        let failed = self.failed_requests();
        let mut complaints = Vec::new();
        if !names.is_empty() {
            complaints.push(format!("these cases failed: {}", names.join(", ")));
        }
        if failed > 0 {
            let what = "requests failed: the figures of those loads are invalid";
            complaints.push(format!("{failed} {what}"));
        }
        ensure!(complaints.is_empty(), "{}", complaints.join("; "));
        Ok(())
    }

    /// Failed requests of loads in which none may fail.
    fn failed_requests(&self) -> u64 {
        let loads = self.loads.iter().flat_map(|load| &load.series);
        let series = loads.chain(&self.connections).chain(&self.users);
        let distant = self.distance.iter().flat_map(|at| &at.series);
        let closed: u64 = series.chain(distant).map(Series::failed).sum();
        closed + self.open_loop.iter().map(|it| it.failed).sum::<u64>()
    }

    /// The report as text.
    pub(crate) fn markdown(&self) -> String {
        markdown::render(self)
    }

    /// Writes Markdown, JSON and, if there is something to draw, a plot into this folder.
    ///
    /// # Errors
    /// If they can't be written.
    pub(crate) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(folder)?;
        let file = |extension: &str| folder.join(format!("{}.{extension}", self.label));
        std::fs::write(file("md"), self.markdown())?;
        #[derive(Serialize)]
        struct Whole<'a> {
            targets: Vec<targets::Target>,
            #[serde(flatten)]
            findings: &'a Findings,
        }
        let whole = Whole {
            targets: targets::judge(self),
            findings: self,
        };
        let mut json = serde_json::to_string_pretty(&whole)?;
        json.push('\n');
        std::fs::write(file("json"), json)?;
        if !self.loads.is_empty() && !self.connections.is_empty() {
            plot::draw(self, &file("svg")).context("the plot could not be drawn")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_case_fails_the_benchmark() {
        let machine = Machine {
            when: String::new(),
            processors: 1,
            model: String::new(),
            kernel: String::new(),
            redis: String::new(),
            load_before: 0.0,
        };
        let mut findings = Findings::new("test".to_owned(), Runner::Host, machine, Plan::QUICK);
        assert!(findings.complain().is_ok());
        findings.failures.push(Failure {
            case: Case::Leases,
            why: "no etcd".to_owned(),
        });
        let complaint = findings.complain().map_err(|error| error.to_string());
        assert_eq!(complaint, Err("these cases failed: leases".to_owned()));
    }
}
