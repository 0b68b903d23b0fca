//! All results, and the files that they are written to.

mod cells;
mod markdown;
mod plot;
mod tables;
pub(crate) mod targets;

use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

use crate::cases::commands::{CommandCounts, Connections};
use crate::cases::contention::ContentionResult;
use crate::cases::segments::AnswerArrivals;
use crate::cases::starts::{FreshInstanceTimes, Size, StartTimes};
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
    pub(crate) loads: Vec<Measured>,
    pub(crate) connections: Vec<Series>,
    pub(crate) users: Vec<Series>,
    pub(crate) contention: Vec<ContentionResult>,
    pub(crate) waiters: Vec<WaitingCost>,
    pub(crate) sizes: Vec<Size>,
    pub(crate) starts: Vec<StartTimes>,
    pub(crate) fresh: Vec<FreshInstanceTimes>,
    pub(crate) commands: Vec<CommandCounts>,
    pub(crate) redis_connections: Vec<Connections>,
    pub(crate) arrivals: Vec<AnswerArrivals>,
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
            loads: Vec::new(),
            connections: Vec::new(),
            users: Vec::new(),
            contention: Vec::new(),
            waiters: Vec::new(),
            sizes: Vec::new(),
            starts: Vec::new(),
            fresh: Vec::new(),
            commands: Vec::new(),
            redis_connections: Vec::new(),
            arrivals: Vec::new(),
        }
    }

    /// One load.
    pub(crate) fn load(&self, case: Case) -> Option<&Measured> {
        self.loads.iter().find(|load| load.case == case)
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
