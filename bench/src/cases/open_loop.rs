//! Latency at a fixed rate: shares of what the slower one of the compared peers can do.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;

use crate::cases::throughput::{prepare, reads, uncontended, warm};
use crate::load::{Load, LoadResult, Request};
use crate::open_loop::{Outcome, Schedule};
use crate::peers::Peer;
use crate::plan::{Bench, in_turn};
use crate::server::Server;
use crate::stats::{percentile, sorted};

/// Peers that are compared at one rate. FastAPI's is so low that the components are measured at a
/// rate of their own, too.
const GROUPS: [&[Peer]; 2] = [
    &[Peer::Service, Peer::Least, Peer::Fastapi],
    &[Peer::Service, Peer::Least],
];

/// Shares of the rate in a closed loop, in hundredths.
const SHARES: [u32; 2] = [30, 60];

/// One peer at one rate.
#[derive(Serialize)]
pub(crate) struct FixedRate {
    pub(crate) request: Request,
    pub(crate) peer: Peer,
    /// The peer whose rate in a closed loop this is a share of.
    pub(crate) slowest: Peer,
    /// The share, in hundredths.
    pub(crate) share: u32,
    pub(crate) per_second: f64,
    pub(crate) requests: usize,
    /// Answers other than 200, and requests without an answer.
    pub(crate) failed: u64,
    /// Milliseconds from when a request should have been sent to the end of its answer.
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
    pub(crate) p999_ms: Option<f64>,
    pub(crate) longest_ms: Option<f64>,
}

/// Measures actions and reads of a kilobyte.
///
/// # Errors
/// If a server fails.
pub(crate) async fn open_loop(
    bench: &Bench,
    servers: &mut Vec<Server>,
) -> anyhow::Result<Vec<FixedRate>> {
    warm(bench, GROUPS.concat().as_slice(), servers).await?;
    let mut all = Vec::new();
    for load in [uncontended(bench), reads(bench)] {
        let mut closed = Vec::new();
        for server in servers.iter().filter(|it| GROUPS[0].contains(&it.peer())) {
            prepare(bench, server, &load).await?;
            closed.push((server, load.put_on(bench, server, 0).await?));
        }
        for group in GROUPS {
            let of_group = closed.iter().filter(|(it, _)| group.contains(&it.peer()));
            let of_group: Vec<&(&Server, LoadResult)> = of_group.collect();
            all.extend(at_shares(bench, &of_group, &load).await?);
        }
    }
    bench.forget_keys().await;
    Ok(all)
}

/// All peers of a group at each share of the rate of the slowest.
async fn at_shares(
    bench: &Bench,
    group: &[&(&Server, LoadResult)],
    load: &Load,
) -> anyhow::Result<Vec<FixedRate>> {
    let slowest = group
        .iter()
        .min_by(|(_, a), (_, b)| a.per_second.total_cmp(&b.per_second));
    let (slowest, in_closed_loop) = slowest.context("no peers")?;
    let mut all = Vec::new();
    for share in bench.steps(&SHARES) {
        let per_second = in_closed_loop.per_second * f64::from(*share) / 100.0;
        let mut outcomes: Vec<(Peer, Outcome)> = group
            .iter()
            .map(|(server, _)| (server.peer(), Outcome::default()))
            .collect();
        for round in 0..bench.plan.series_rounds {
            for (server, _) in in_turn(group, round) {
                prepare(bench, server, load).await?;
                let schedule = schedule(bench, load, per_second);
                let sent = schedule.send_to(server.address()).await?;
                let own = outcomes.iter_mut().find(|(it, _)| *it == server.peer());
                own.into_iter().for_each(|(_, own)| {
                    own.took.extend_from_slice(&sent.took);
                    own.failed += sent.failed;
                });
            }
        }
        for (peer, outcome) in outcomes {
            let took = sorted(&outcome.took);
            all.push(FixedRate {
                request: load.request,
                peer,
                slowest: slowest.peer(),
                share: *share,
                per_second,
                requests: took.len(),
                failed: outcome.failed,
                p50_ms: percentile(&took, 50.0),
                p99_ms: percentile(&took, 99.0),
                p999_ms: percentile(&took, 99.9),
                longest_ms: took.last().copied(),
            });
        }
    }
    Ok(all)
}

/// The requests of `load.lua`, in the same scattered order.
fn schedule(bench: &Bench, load: &Load, per_second: f64) -> Schedule {
    let (users, reads) = (load.users, load.request.reads());
    let path = move |number: u64| {
        let user = number.wrapping_mul(61_803) % users + 1;
        if reads {
            format!("/api/v1/users/{user}/cache/bench")
        } else {
            format!("/api/v1/users/perform-action?user_id={user}")
        }
    };
    Schedule {
        method: if reads { "GET" } else { "POST" },
        path: Arc::new(path),
        per_second,
        length: Duration::from_secs(bench.plan.open_seconds.into()),
    }
}
