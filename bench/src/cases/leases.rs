//! Leases taken and given back: the service's POST and DELETE of a lock, beside etcd's lease,
//! transaction that creates a key if it is absent, and revocation.
//!
//! etcd writes to a disk before it answers. So the service is measured twice: with a Redis in
//! memory, as everywhere, and with one that writes each command to a disk, too.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use edgelatch_tests::RedisServer;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::client::Client;
use crate::peers::Peer;
use crate::plan::{Bench, in_turn};
use crate::server::Server;
use crate::stats::{ms, percentile, sorted};

/// Clients at the same time. Each takes locks of its own users.
const CLIENTS: usize = 16;

/// The time to live of a lease, in seconds.
const TTL: u32 = 10;

/// What keeps the leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Store {
    /// The service, with a Redis in memory.
    Memory,
    /// The service, with a Redis that writes each command to a disk before it answers.
    Disk,
    /// etcd, which does the same.
    Etcd,
}

/// The leases of one store, by round.
#[derive(Serialize)]
pub(crate) struct Leases {
    pub(crate) store: Store,
    /// Leases that were taken and given back, per second.
    pub(crate) per_second: Vec<f64>,
    /// Both together, in milliseconds.
    pub(crate) p50_ms: Vec<f64>,
    pub(crate) p99_ms: Vec<f64>,
}

/// Measures all stores in turn.
///
/// # Errors
/// If one does not serve, or a lease is refused.
pub(crate) async fn leases(bench: &Bench) -> anyhow::Result<Vec<Leases>> {
    // The folder for temporary files may be in memory.
    let folder = tempfile::tempdir_in(bench.programs.root.join("target"))?;
    let directory = folder.path().display().to_string();
    let durable = ["--appendonly", "yes", "--appendfsync", "always"];
    let durable = [&durable[..], &["--dir", directory.as_str()][..]].concat();
    let on_disk = Bench {
        redis: RedisServer::start_with(&durable).await,
        programs: bench.programs.clone(),
        plan: bench.plan,
    };
    let servers = [
        (Store::Memory, bench.start(Peer::Service, &[]).await?),
        (Store::Disk, on_disk.start(Peer::Service, &[]).await?),
        (Store::Etcd, bench.start(Peer::Etcd, &[]).await?),
    ];
    let mut all: Vec<Leases> = servers
        .iter()
        .map(|(store, _)| Leases {
            store: *store,
            per_second: Vec::new(),
            p50_ms: Vec::new(),
            p99_ms: Vec::new(),
        })
        .collect();
    let second = Duration::from_secs(1);
    for (store, server) in &servers {
        put_on(server, *store, second / 2).await?;
    }
    for round in 0..bench.plan.rounds {
        for (store, server) in in_turn(&servers, round) {
            let length = second * bench.plan.seconds;
            let took = sorted(&put_on(server, *store, length).await?);
            if let Some(own) = all.iter_mut().find(|it| it.store == *store) {
                own.per_second
                    .push(took.len() as f64 / length.as_secs_f64());
                own.p50_ms.extend(percentile(&took, 50.0));
                own.p99_ms.extend(percentile(&took, 99.0));
            }
        }
    }
    bench.forget_keys().await;
    Ok(all)
}

/// How long each lease took from the first request to the last answer, in milliseconds.
async fn put_on(server: &Server, store: Store, length: Duration) -> anyhow::Result<Vec<f64>> {
    let end = Instant::now() + length;
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let address = server.address().to_owned();
        clients.spawn(async move {
            let mut client = Client::connect(&address).await?;
            let mut took = Vec::new();
            while Instant::now() < end {
                // No two clients want one lock.
                let user = number + CLIENTS * (took.len() % 1000);
                let began = Instant::now();
                match store {
                    Store::Memory | Store::Disk => of_the_service(&mut client, user).await?,
                    Store::Etcd => of_etcd(&mut client, user).await?,
                }
                took.push(ms(began.elapsed()));
            }
            anyhow::Ok(took)
        });
    }
    let mut all = Vec::new();
    while let Some(took) = clients.join_next().await {
        all.extend(took??);
    }
    Ok(all)
}

async fn of_the_service(client: &mut Client, user: usize) -> anyhow::Result<()> {
    let path = format!("/api/v1/users/{user}/lock");
    let take = format!("{path}?expire={TTL}");
    let answer = client.call("POST", &take).await?;
    ensure!(answer.status == 201, "POST {take}: {}", answer.status);
    let lease: Value = serde_json::from_slice(client.body())?;
    let token = lease["token"].as_str().context("no token")?;
    let token = format!("Lock-Token: {token}\r\n");
    let answer = client.call_headed("DELETE", &path, &token, "").await?;
    ensure!(answer.status == 204, "DELETE {path}: {}", answer.status);
    Ok(())
}

async fn of_etcd(client: &mut Client, user: usize) -> anyhow::Result<()> {
    let granted = ask_etcd(client, "/v3/lease/grant", &json!({ "TTL": TTL })).await?;
    let lease = granted["ID"].as_str().context("no lease")?.to_owned();
    // Keys and values are in base64, as JSON has no bytes. Four digits of it are three bytes.
    let key = format!("user{user:08}");
    let take = json!({
        "compare": [
            { "key": key, "result": "EQUAL", "target": "CREATE", "create_revision": "0" }
        ],
        "success": [{ "request_put": { "key": key, "value": "MTIz", "lease": lease } }],
    });
    let taken = ask_etcd(client, "/v3/kv/txn", &take).await?;
    ensure!(taken["succeeded"] == true, "{key} is taken");
    ask_etcd(client, "/v3/lease/revoke", &json!({ "ID": lease })).await?;
    Ok(())
}

async fn ask_etcd(client: &mut Client, path: &str, body: &Value) -> anyhow::Result<Value> {
    let answer = client.call_with("POST", path, &body.to_string()).await?;
    ensure!(answer.status == 200, "{path}: {}", answer.status);
    Ok(serde_json::from_slice(client.body())?)
}
