//! Users read from an origin: what a hit costs, and a hundred readers of one cold user.

use std::time::{Duration, Instant};

use anyhow::ensure;
use edgelatch_tests::{Origin, Reply};
use futures::future::try_join_all;
use serde::Serialize;

use crate::client::Client;
use crate::peers::Peer;
use crate::plan::Bench;
use crate::server::{Server, StartOptions};
use crate::stats::{percentile, sorted};

/// Connections over which hits are asked for.
const HIT_CONNECTIONS: usize = 16;

/// Hits whose commands are counted.
const COUNTED: usize = 200;

/// Readers of one cold user.
const READERS: usize = 100;

/// Cold users, one after the other, for each round of the plan.
const COLD_USERS: usize = 10;

/// How long the origin takes for its answer.
const ORIGIN: Duration = Duration::from_millis(20);

/// The figures of users that are read from an origin.
#[derive(Serialize)]
pub(crate) struct Reading {
    pub(crate) hits_per_second: f64,
    pub(crate) hit_p50_ms: Option<f64>,
    pub(crate) hit_p99_ms: Option<f64>,
    /// Redis commands for each hit, and for a miss of a single reader.
    pub(crate) commands_per_hit: f64,
    pub(crate) commands_per_miss: f64,
    pub(crate) readers: usize,
    /// From the first request to the last answer, less the time of the origin.
    pub(crate) cold_p50_ms: Option<f64>,
    pub(crate) cold_longest_ms: Option<f64>,
    /// Requests that the origin saw for each cold user.
    pub(crate) fetches_per_user: f64,
    /// Redis commands for each of the readers.
    pub(crate) commands_per_reader: f64,
}

/// Reads users through the service.
///
/// # Errors
/// If an answer is not a success.
pub(crate) async fn reading(bench: &Bench) -> anyhow::Result<Reading> {
    bench.forget_keys().await;
    let origin = Origin::start(Reply::json("{\"name\":\"Ada\"}").after(ORIGIN)).await;
    let url = origin.url();
    let with = StartOptions {
        origin: Some(&url),
        ..bench.options()
    };
    let server = Server::start(&bench.programs, Peer::Service, with).await?;
    // First, scripts are loaded and an instance is created.
    let mut client = Client::connect(server.address()).await?;
    get(&mut client, 0).await?;
    let commands_per_hit = counted(bench, &mut client, |_| 0).await?;
    let commands_per_miss = counted(bench, &mut client, |index| index + 1).await?;
    let (hits_per_second, hits) = hits(bench, &server).await?;
    let before = origin.seen().len();
    let users = COLD_USERS * bench.plan.rounds;
    let mut cold = Vec::new();
    let mut commands = 0;
    for user in 0..users {
        let (took, sent) = crowd(bench, &server, 10_000 + user).await?;
        cold.push(took.saturating_sub(ORIGIN).as_secs_f64() * 1000.0);
        commands += sent;
    }
    let fetches = origin.seen().len() - before;
    bench.forget_keys().await;
    let cold = sorted(&cold);
    Ok(Reading {
        hits_per_second,
        hit_p50_ms: percentile(&hits, 50.0),
        hit_p99_ms: percentile(&hits, 99.0),
        commands_per_hit,
        commands_per_miss,
        readers: READERS,
        cold_p50_ms: percentile(&cold, 50.0),
        cold_longest_ms: cold.last().copied(),
        fetches_per_user: fetches as f64 / users as f64,
        commands_per_reader: commands as f64 / (users * READERS) as f64,
    })
}

async fn get(client: &mut Client, user: usize) -> anyhow::Result<f64> {
    let path = format!("/api/v1/users/{user}");
    let answer = client.call("GET", &path).await?;
    ensure!(answer.status == 200, "{path}: {}", answer.status);
    Ok(answer.took().as_secs_f64() * 1000.0)
}

/// Redis commands for each reading, one after the other.
async fn counted(
    bench: &Bench,
    client: &mut Client,
    user: impl Fn(usize) -> usize,
) -> anyhow::Result<f64> {
    let mut monitor = bench.redis.monitor().await;
    for index in 0..COUNTED {
        get(client, user(index)).await?;
    }
    Ok(monitor.commands().await.len() as f64 / COUNTED as f64)
}

/// Hits per second, and how long each took in milliseconds, sorted.
async fn hits(bench: &Bench, server: &Server) -> anyhow::Result<(f64, Vec<f64>)> {
    let seconds = Duration::from_secs(bench.plan.seconds.into());
    let began = Instant::now();
    let clients = (0..HIT_CONNECTIONS).map(|_| async {
        let mut client = Client::connect(server.address()).await?;
        let mut took = Vec::new();
        while began.elapsed() < seconds {
            took.push(get(&mut client, 0).await?);
        }
        anyhow::Ok(took)
    });
    let took = try_join_all(clients).await?.concat();
    let per_second = took.len() as f64 / began.elapsed().as_secs_f64();
    Ok((per_second, sorted(&took)))
}

/// All readers of one user who is not cached: how long it takes until the last one has an answer,
/// and how many commands Redis gets.
async fn crowd(bench: &Bench, server: &Server, user: usize) -> anyhow::Result<(Duration, usize)> {
    let connecting = (0..READERS).map(|_| Client::connect(server.address()));
    let mut clients = try_join_all(connecting).await?;
    let mut monitor = bench.redis.monitor().await;
    let began = Instant::now();
    try_join_all(clients.iter_mut().map(|client| get(client, user))).await?;
    let took = began.elapsed();
    Ok((took, monitor.commands().await.len()))
}
