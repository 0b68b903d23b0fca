//! One waiter: how many connections to Redis it opens while it waits, and how many commands it
//! sends, near Redis and far from it.

use std::time::Duration;

use anyhow::ensure;
use serde::Serialize;
use tokio::time::sleep;

use crate::client::Client;
use crate::delay::at_distance;
use crate::peers::Peer;
use crate::plan::Bench;
use crate::server::{Server, StartOptions};

/// Round trips to Redis, in milliseconds.
pub(crate) const ROUND_TRIPS_MS: [u64; 3] = [0, 10, 80];

/// Our own connections while we count: that of the monitor, and two that ask Redis something.
const OWN: u64 = 3;

/// One waiter at one distance.
#[derive(Serialize)]
pub(crate) struct Waiter {
    /// The round trip to Redis, in milliseconds.
    pub(crate) round_trip_ms: u64,
    pub(crate) seconds: f64,
    /// Connections to Redis that were opened in this time.
    pub(crate) connections: u64,
    /// Redis commands per second.
    pub(crate) commands_per_second: f64,
}

/// One waiter at each distance, on the service.
///
/// # Errors
/// If it is not served after the release.
pub(crate) async fn waiter(bench: &Bench) -> anyhow::Result<Vec<Waiter>> {
    let mut all = Vec::new();
    for round_trip_ms in ROUND_TRIPS_MS {
        let waited = wait(bench, round_trip_ms).await;
        bench.forget_servers().await;
        all.push(waited?);
    }
    Ok(all)
}

async fn wait(bench: &Bench, round_trip_ms: u64) -> anyhow::Result<Waiter> {
    let (_proxy, redis_port) = at_distance(bench.redis.port(), round_trip_ms)?;
    let options = StartOptions {
        redis_port,
        ..bench.options()
    };
    let server = Server::start(&bench.programs, Peer::Service, options).await?;
    let mut holder = Client::connect(server.address()).await?;
    // The lease opens the instance's shared connection and loads the script.
    let (take, give_back) = ("/api/v1/users/1/lock?expire=60", "/api/v1/users/1/lock");
    let token = "Lock-Token: the-token-of-the-benchmark\r\n";
    let taken = holder.call_headed("POST", take, token, "").await?.status;
    ensure!(taken == 201, "{take}: {taken}");

    let before = opened(bench).await?;
    let mut monitor = bench.redis.monitor().await;
    let address = server.address().to_owned();
    let waiting = tokio::spawn(async move {
        let mut client = Client::connect(&address).await?;
        let path = "/api/v1/users/perform-action?user_id=1&timeout=55";
        client.call("POST", path).await
    });
    let seconds = bench.plan.waiter_seconds;
    sleep(Duration::from_secs(seconds.into())).await;
    let commands = monitor.commands().await.len();
    let connections = opened(bench).await?.saturating_sub(before + OWN);

    let released = holder.call_headed("DELETE", give_back, token, "").await?;
    let released = released.status;
    ensure!(released == 204, "{give_back}: {released}");
    let served = waiting.await??.status;
    ensure!(served == 200, "the waiter was answered {served}");
    Ok(Waiter {
        round_trip_ms,
        seconds: seconds.into(),
        connections,
        commands_per_second: commands as f64 / f64::from(seconds),
    })
}

async fn opened(bench: &Bench) -> anyhow::Result<u64> {
    bench
        .redis_info("stats", "total_connections_received")
        .await
}
