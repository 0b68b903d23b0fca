//! Load from `wrk`, and what it costs.

use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use crate::peers::Peer;
use crate::plan::Bench;
use crate::process::{self, Usage};
use crate::server::Server;

/// What is sent, by the names that `load.lua` has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Request {
    /// `POST perform-action`
    PerformAction,
    /// `POST attempt-action`
    AttemptAction,
    /// `GET` of a cached value that is there
    Get,
    /// `PUT` of a cached value
    Put,
    /// Nine `GET` for each `PUT`
    Mixed,
}

impl Request {
    fn name(self) -> &'static str {
        match self {
            Self::PerformAction => "perform-action",
            Self::AttemptAction => "attempt-action",
            Self::Get => "get",
            Self::Put => "put",
            Self::Mixed => "mixed",
        }
    }

    /// Whether it needs stored values.
    pub(crate) fn reads(self) -> bool {
        matches!(self, Self::Get | Self::Mixed)
    }
}

/// A load.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Load {
    pub(crate) request: Request,
    /// Connections, each of which sends one request after the other.
    pub(crate) connections: u32,
    /// Users. Each request is for a random one.
    pub(crate) users: u64,
    /// Size of a cached value, in bytes.
    pub(crate) bytes: usize,
    pub(crate) seconds: u32,
}

/// The result of a load.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct LoadResult {
    pub(crate) requests: u64,
    pub(crate) per_second: f64,
    /// Answers of 400 and more, and requests without an answer.
    pub(crate) failed: u64,
    /// The median latency, in milliseconds.
    pub(crate) p50_ms: f64,
    /// The 99th percentile, in milliseconds.
    pub(crate) p99_ms: f64,
    /// Processor time of the server for each request, in microseconds.
    pub(crate) cpu_us: f64,
    /// Processor time of Redis for each request, in microseconds.
    pub(crate) redis_us: f64,
    /// The share of a core that Redis used.
    pub(crate) redis_cores: f64,
    /// The cores that unrelated processes used.
    pub(crate) other_cores: f64,
}

/// Processor time of each participant, and of the whole machine.
struct CpuTimes {
    server: Duration,
    redis: Duration,
    own: Duration,
    machine: Duration,
}

impl CpuTimes {
    fn so_far(server: &Server, redis: u32) -> anyhow::Result<Self> {
        Ok(Self {
            machine: process::machine()?,
            server: server.usage()?.cpu,
            redis: Usage::of(redis)?.cpu,
            own: process::own()?,
        })
    }

    fn since(&self, earlier: &Self) -> Self {
        Self {
            server: self.server.saturating_sub(earlier.server),
            redis: self.redis.saturating_sub(earlier.redis),
            own: self.own.saturating_sub(earlier.own),
            machine: self.machine.saturating_sub(earlier.machine),
        }
    }

    fn of_others(&self) -> Duration {
        let ours = self.server + self.redis + self.own;
        self.machine.saturating_sub(ours)
    }
}

/// The report that `load.lua` prints.
#[derive(Deserialize)]
struct WrkReport {
    requests: u64,
    micros: u64,
    status: u64,
    failed: u64,
    p50: u64,
    p99: u64,
}

/// One load on one peer, in rounds.
#[derive(Serialize)]
pub(crate) struct Series {
    pub(crate) peer: Peer,
    pub(crate) load: Load,
    pub(crate) rounds: Vec<LoadResult>,
}

impl Series {
    /// One figure of each round.
    pub(crate) fn each(&self, figure: impl Fn(&LoadResult) -> f64) -> Vec<f64> {
        self.rounds.iter().map(figure).collect()
    }

    /// Failures of all rounds.
    pub(crate) fn failed(&self) -> u64 {
        self.rounds.iter().map(|round| round.failed).sum()
    }
}

impl Load {
    /// Runs it against a server. `seed` decides which users it asks for.
    ///
    /// # Errors
    /// If `wrk` can't be run, or nothing was answered.
    pub(crate) async fn put_on(
        &self,
        bench: &Bench,
        server: &Server,
        seed: usize,
    ) -> anyhow::Result<LoadResult> {
        let redis = bench.redis_pid().await?;
        let before = CpuTimes::so_far(server, redis)?;
        let printed = self.wrk(bench, server, seed).await?;
        let spent = CpuTimes::so_far(server, redis)?.since(&before);
        if printed.requests == 0 {
            bail!("{} answered nothing", server.peer());
        }
        let seconds = printed.micros as f64 / 1e6;
        let requests = printed.requests as f64;
        Ok(LoadResult {
            requests: printed.requests,
            per_second: requests / seconds,
            failed: printed.status + printed.failed,
            p50_ms: printed.p50 as f64 / 1e3,
            p99_ms: printed.p99 as f64 / 1e3,
            cpu_us: spent.server.as_secs_f64() * 1e6 / requests,
            redis_us: spent.redis.as_secs_f64() * 1e6 / requests,
            redis_cores: spent.redis.as_secs_f64() / seconds,
            other_cores: spent.of_others().as_secs_f64() / seconds,
        })
    }

    async fn wrk(&self, bench: &Bench, server: &Server, seed: usize) -> anyhow::Result<WrkReport> {
        let output = tokio::process::Command::new(&bench.programs.wrk)
            .args(["--threads", "1"])
            .args(["--connections", &self.connections.to_string()])
            .args(["--duration", &format!("{}s", self.seconds)])
            .args(["--timeout", "10s", "--script", "bench/load.lua"])
            .arg(format!("http://{}", server.address()))
            .args(["--", self.request.name()])
            .args([self.users.to_string(), seed.to_string()])
            .args([self.bytes.to_string(), dialect(server.peer()).to_owned()])
            .current_dir(&bench.programs.root)
            .output()
            .await?;
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().find(|line| line.starts_with('{'));
        let line = line.with_context(|| {
            let complaint = String::from_utf8_lossy(&output.stderr);
            format!("wrk did not report: {text}{complaint}")
        })?;
        Ok(serde_json::from_str(line)?)
    }
}

/// Whose paths `load.lua` is to ask for.
fn dialect(peer: Peer) -> &'static str {
    match peer {
        Peer::Webdis => "webdis",
        _ => "service",
    }
}
