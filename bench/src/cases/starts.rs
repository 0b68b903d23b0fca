//! Start times of a server and of an instance, and the size of a component.

use std::time::Instant;

use anyhow::{Context as _, ensure};
use serde::Serialize;

use crate::client::Client;
use crate::peers::Peer;
use crate::plan::{Bench, in_turn};
use crate::server::{Server, StartOptions};
use crate::stats::{ms, percentile, sorted};

/// Start times of a server, by round, in milliseconds.
#[derive(Serialize)]
pub(crate) struct StartTimes {
    pub(crate) peer: Peer,
    /// From the start of the process to the end of the first answer to `perform-action`.
    pub(crate) to_first_answer_ms: Vec<f64>,
    /// The first request alone.
    pub(crate) first_request_ms: Vec<f64>,
}

/// Latencies of requests that each got a fresh instance, by round, in milliseconds.
#[derive(Serialize)]
pub(crate) struct FreshInstanceTimes {
    pub(crate) peer: Peer,
    pub(crate) p50_ms: Vec<f64>,
    pub(crate) p99_ms: Vec<f64>,
}

/// A compiled component.
#[derive(Serialize)]
pub(crate) struct Size {
    pub(crate) peer: Peer,
    pub(crate) bytes: u64,
}

/// The sizes of both components.
///
/// # Errors
/// If one is missing.
pub(crate) fn sizes(bench: &Bench) -> anyhow::Result<Vec<Size>> {
    let components = Peer::COMPONENTS.into_iter();
    let files = components.filter_map(|peer| Some((peer, bench.programs.component(peer)?)));
    files
        .map(|(peer, file)| {
            let metadata = std::fs::metadata(&file);
            let metadata = metadata.with_context(|| format!("no {}", file.display()))?;
            Ok(Size {
                peer,
                bytes: metadata.len(),
            })
        })
        .collect()
}

/// Starts all peers in turn. Components are compiled before, so a runner's cache is warm.
///
/// # Errors
/// If one does not serve.
pub(crate) async fn servers(bench: &Bench) -> anyhow::Result<Vec<StartTimes>> {
    let mut all: Vec<StartTimes> = Peer::ALL
        .iter()
        .map(|peer| StartTimes {
            peer: *peer,
            to_first_answer_ms: Vec::new(),
            first_request_ms: Vec::new(),
        })
        .collect();
    for peer in Peer::ALL {
        drop(bench.start(peer, &[]).await?);
    }
    for round in 0..bench.plan.starts {
        for peer in in_turn(&Peer::ALL, round) {
            let began = Instant::now();
            let mut server = Server::launch(&bench.programs, *peer, bench.options())?;
            let mut client = server.first_connection().await?;
            let path = "/api/v1/users/perform-action?user_id=1";
            let answer = client.call("POST", path).await?;
            ensure!(answer.status == 200, "{peer}: {}", answer.status);
            let own = all.iter_mut().find(|it| it.peer == *peer);
            own.into_iter().for_each(|own| {
                own.to_first_answer_ms.push(ms(answer.end - began));
                own.first_request_ms.push(ms(answer.took()));
            });
        }
    }
    Ok(all)
}

/// Gives each request a fresh instance, on both components in turn: one connection, one request
/// after the other. The servers have the Redis of `options`, which is that of `bench`.
///
/// # Errors
/// If one does not serve.
pub(crate) async fn instances(
    bench: &Bench,
    options: StartOptions<'_>,
) -> anyhow::Result<Vec<FreshInstanceTimes>> {
    let options = StartOptions {
        arguments: &["--max-instance-reuse-count", "1"],
        ..options
    };
    let mut servers = Vec::new();
    for peer in Peer::COMPONENTS {
        let server = Server::start(&bench.programs, peer, options).await?;
        let fresh = FreshInstanceTimes {
            peer,
            p50_ms: Vec::new(),
            p99_ms: Vec::new(),
        };
        servers.push((server, fresh));
    }
    for round in 0..bench.plan.starts {
        let count = servers.len();
        for index in 0..count {
            let at = (index + round) % count;
            if let Some((server, fresh)) = servers.get_mut(at) {
                let took = sorted(&fresh_requests(bench, server).await?);
                fresh.p50_ms.extend(percentile(&took, 50.0));
                fresh.p99_ms.extend(percentile(&took, 99.0));
            }
        }
    }
    bench.forget_keys().await;
    Ok(servers.into_iter().map(|(_, fresh)| fresh).collect())
}

/// The latency of each request, in milliseconds.
async fn fresh_requests(bench: &Bench, server: &Server) -> anyhow::Result<Vec<f64>> {
    bench.forget_keys().await;
    let mut client = Client::connect(server.address()).await?;
    let mut took = Vec::new();
    for user in 0..bench.plan.fresh_requests {
        let path = format!("/api/v1/users/perform-action?user_id={user}");
        let answer = client.call("POST", &path).await?;
        ensure!(
            answer.status == 200,
            "{}: {path}: {}",
            server.peer(),
            answer.status
        );
        took.push(ms(answer.took()));
    }
    Ok(took)
}
