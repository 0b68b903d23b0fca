//! What a request costs in Redis: the commands that Redis receives (`MONITOR`), and the connections
//! per instance.

use std::collections::BTreeMap;

use anyhow::ensure;
use serde::Serialize;

use crate::cases::throughput::warm_up;
use crate::client::Client;
use crate::peers::Peer;
use crate::plan::Bench;
use crate::server::Server;

/// Counted requests of each kind.
const REQUESTS: usize = 200;

/// The commands of requests of one kind.
#[derive(Serialize)]
pub(crate) struct CommandCounts {
    pub(crate) peer: Peer,
    /// The kind of request.
    pub(crate) request: &'static str,
    pub(crate) requests: usize,
    /// How often each command was received, including those that open connections. Commands that
    /// scripts call are left out, since they are no round trips.
    pub(crate) commands: BTreeMap<String, usize>,
}

impl CommandCounts {
    /// Commands per request.
    pub(crate) fn per_request(&self) -> f64 {
        self.commands.values().sum::<usize>() as f64 / self.requests as f64
    }
}

/// Connections to Redis that a component opened.
#[derive(Serialize)]
pub(crate) struct Connections {
    pub(crate) peer: Peer,
    /// For each instance that answers one request.
    pub(crate) per_fresh_instance: f64,
    /// Under load, for each 128 requests, which is the lifetime of an instance.
    pub(crate) per_128_requests: f64,
}

/// Counts the commands of each kind of request on one server.
///
/// # Errors
/// If an answer is not a success.
pub(crate) async fn commands(bench: &Bench, server: &Server) -> anyhow::Result<Vec<CommandCounts>> {
    let mut counted = Vec::new();
    let kinds = [
        (
            "perform-action",
            "POST",
            "/api/v1/users/perform-action?user_id={}",
        ),
        (
            "attempt-action",
            "POST",
            "/api/v1/users/attempt-action?user_id={}",
        ),
        ("cache PUT", "PUT", "/api/v1/users/{}/cache/bench"),
        ("cache GET", "GET", "/api/v1/users/{}/cache/bench"),
        ("/healthz", "GET", "/healthz"),
    ];
    for (request, method, path) in kinds {
        let mut client = Client::connect(server.address()).await?;
        // First, scripts are loaded and an instance is created.
        ask(&mut client, method, path, 0).await?;
        let mut monitor = bench.redis.monitor().await;
        for user in 0..REQUESTS {
            ask(&mut client, method, path, user).await?;
        }
        let mut commands = BTreeMap::new();
        for command in monitor.commands().await {
            let name = command.split('"').nth(1).unwrap_or_default().to_uppercase();
            *commands.entry(name).or_insert(0) += 1;
        }
        counted.push(CommandCounts {
            peer: server.peer(),
            request,
            requests: REQUESTS,
            commands,
        });
    }
    bench.forget_keys().await;
    Ok(counted)
}

async fn ask(client: &mut Client, method: &str, path: &str, user: usize) -> anyhow::Result<()> {
    let path = path.replace("{}", &user.to_string());
    let body = if method == "PUT" { "{\"a\":1}" } else { "" };
    let answer = client.call_with(method, &path, body).await?;
    ensure!(answer.status < 300, "{method} {path}: {}", answer.status);
    Ok(())
}

/// Counts the connections of a component's instances.
///
/// # Errors
/// If it does not serve.
pub(crate) async fn connections(bench: &Bench, peer: Peer) -> anyhow::Result<Connections> {
    let fresh = bench
        .start(peer, &["--max-instance-reuse-count", "1"])
        .await?;
    let mut client = Client::connect(fresh.address()).await?;
    let action = "/api/v1/users/perform-action?user_id={}";
    let before = opened(bench).await?;
    for user in 0..REQUESTS {
        ask(&mut client, "POST", action, user).await?;
    }
    let per_fresh_instance = (opened(bench).await? - before - 1.0) / REQUESTS as f64;
    drop(fresh);

    let server = bench.start(peer, &[]).await?;
    let before = opened(bench).await?;
    let loaded = warm_up(bench).put_on(bench, &server, 0).await?;
    // One connection is ours, and one is the load's, which asked for the process id.
    let connections = opened(bench).await? - before - 2.0;
    bench.forget_keys().await;
    Ok(Connections {
        peer,
        per_fresh_instance,
        per_128_requests: connections * 128.0 / loaded.requests as f64,
    })
}

/// Connections that Redis has accepted so far.
async fn opened(bench: &Bench) -> anyhow::Result<f64> {
    Ok(bench
        .redis_info("stats", "total_connections_received")
        .await? as f64)
}
