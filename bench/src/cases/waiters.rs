//! What it costs when many clients wait for a lock that stays held.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::client::Client;
use crate::peers::Peer;
use crate::plan::Bench;
use crate::process::Usage;
use crate::server::Server;

/// Waiting clients, and a number for runners that have only a thousand stacks.
const WAITERS: usize = 1000;
const FEWER_WAITERS: usize = 500;

/// By then every client waits and has polled more than once.
const SETTLING: Duration = Duration::from_secs(2);

/// How long commands are counted. Processor time is measured separately, since counting slows
/// Redis.
const COUNTING: Duration = Duration::from_secs(1);

/// The cost of waiting.
#[derive(Serialize)]
pub(crate) struct WaitingCost {
    pub(crate) peer: Peer,
    pub(crate) waiters: usize,
    /// The final answers, by status. 0 means no answer.
    pub(crate) answers: BTreeMap<u16, usize>,
    /// Redis commands per second and waiter.
    pub(crate) commands_per_second: f64,
    /// The share of a core that Redis used.
    pub(crate) redis_cores: f64,
    /// The share of a core that the server used.
    pub(crate) server_cores: f64,
    /// The server's memory during the wait, in bytes.
    pub(crate) resident: u64,
}

/// A thousand waiters, then 500 if those are too many for the runner.
///
/// # Errors
/// If the server can't be started.
pub(crate) async fn waiters(bench: &Bench, peer: Peer) -> anyhow::Result<Vec<WaitingCost>> {
    let waited = wait(bench, peer, WAITERS).await?;
    let bore = waited.answers.keys().all(|status| *status == 423);
    let mut all = vec![waited];
    if !bore {
        all.push(wait(bench, peer, FEWER_WAITERS).await?);
    }
    Ok(all)
}

async fn wait(bench: &Bench, peer: Peer, waiters: usize) -> anyhow::Result<WaitingCost> {
    bench.forget_keys().await;
    let server = bench.start(peer, &[]).await?;
    hold(bench, &server).await?;
    let watched = Duration::from_secs(bench.plan.waiting_seconds.into());
    let timeout = SETTLING + watched + COUNTING + Duration::from_secs(2);
    let path = format!(
        "/api/v1/users/perform-action?user_id=1&timeout={}",
        timeout.as_secs()
    );
    let mut crowd = JoinSet::new();
    for _ in 0..waiters {
        let mut client = Client::connect(server.address()).await?;
        let path = path.clone();
        crowd.spawn(async move {
            let answer = client.call("POST", &path).await;
            answer.map_or(0, |answer| answer.status)
        });
    }
    sleep(SETTLING).await;
    let redis = bench.redis_pid().await?;
    let before = (server.usage()?, Usage::of(redis)?);
    sleep(watched).await;
    let after = (server.usage()?, Usage::of(redis)?);
    let cores = |used: Duration| used.as_secs_f64() / watched.as_secs_f64();

    let mut monitor = bench.redis.monitor().await;
    sleep(COUNTING).await;
    let commands = monitor.commands().await.len();
    drop(monitor);

    let mut answers = BTreeMap::new();
    while let Some(status) = crowd.join_next().await {
        *answers.entry(status?).or_insert(0) += 1;
    }
    bench.forget_keys().await;
    Ok(WaitingCost {
        peer,
        waiters,
        answers,
        commands_per_second: commands as f64 / COUNTING.as_secs_f64() / waiters as f64,
        redis_cores: cores(after.1.since(before.1)),
        server_cores: cores(after.0.since(before.0)),
        resident: after.0.resident,
    })
}

/// Takes the lock for longer than anybody waits: with a lease on the service, else with a plain
/// `SET`.
async fn hold(bench: &Bench, server: &Server) -> anyhow::Result<()> {
    if server.peer() == Peer::Service {
        let mut client = Client::connect(server.address()).await?;
        let path = "/api/v1/users/1/lock?expire=120";
        let answer = client.call("POST", path).await?;
        ensure!(answer.status == 201, "{path}: {}", answer.status);
        return Ok(());
    }
    let words = ["SET", "user:1:lock", "somebody", "NX", "PX", "120000"];
    let set: Option<String> = bench.redis.run(&words).await;
    set.map(drop).context("the lock is taken already")
}
