//! Torture: many clients, two services, one Redis behind a faulty network, and an origin that
//! watches from outside.
//!
//! It follows the lock tests in Jepsen's analysis of etcd (<https://jepsen.io/analyses/etcd-3.4.3>)
//! and Martin Kleppmann's *How to do distributed locking* (2016). Clients and the origin record
//! what they see, and a pure [checker] checks the history afterwards. The same seed gives the same
//! schedule of faults and the same decisions of every client. How they interleave depends on the
//! machine.

pub mod checker;
pub mod history;
pub mod plan;

mod client;
mod nemesis;
mod random;
mod report;
mod store;
mod watcher;

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::Duration;

use crate::{App, Proxy, RedisServer, Service};
use history::{Listening, Recorder};
use nemesis::Nemesis;
pub use report::Report;
use store::Store;

/// The number of clients.
const CLIENTS: u64 = 64;

/// The number of those among them that besiege one user.
const BESIEGERS: u64 = 10;

/// The number of users. They are few, so that clients compete.
pub const USERS: u64 = 9;

/// The last user, whose lock is held for seconds.
pub const BESIEGED: u64 = USERS;

/// How long one call to Redis may take.
const REDIS_TIMEOUT: Duration = Duration::from_millis(300);

/// The options of a run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Seed for the faults and for what clients do.
    pub seed: u64,
    /// How many answered actions end the run.
    pub actions: u64,
    /// How many faults to inject, spread over the actions.
    pub faults: usize,
    /// When to end the run at the latest.
    pub limit: Option<Duration>,
}

/// What all clients and the nemesis share.
pub(crate) struct Run {
    options: Options,
    recorder: Arc<Recorder>,
    /// The addresses of the two services.
    addresses: [String; 2],
    answered: AtomicU64,
    /// The port of the Redis that is the primary now.
    redis_port: AtomicU16,
}

impl Run {
    /// Whether clients continue.
    fn is_running(&self) -> bool {
        let in_time = self
            .options
            .limit
            .is_none_or(|limit| self.recorder.now() < limit);
        in_time && self.answered.load(Ordering::Relaxed) < self.options.actions
    }
}

/// Runs the torture and checks its history.
///
/// # Panics
/// If one of the processes can't be started.
pub async fn run(options: Options) -> Report {
    let redis = start_redis().await;
    let recorder = Arc::new(Recorder::new());
    let proxies = [
        proxy(&redis, 0, &recorder).await,
        proxy(&redis, 1, &recorder).await,
    ];
    let store = Store::start(Arc::clone(&recorder)).await;
    let services = proxies
        .each_ref()
        .map(|proxy| service(&redis, proxy, &store));
    let run = Arc::new(Run {
        options,
        recorder: Arc::clone(&recorder),
        addresses: services
            .each_ref()
            .map(|service| service.address().to_owned()),
        answered: AtomicU64::new(0),
        redis_port: AtomicU16::new(redis.port()),
    });
    let watcher = tokio::spawn(watcher::watch(Arc::clone(&run)));
    let nemesis = Nemesis::new(Arc::clone(&run), redis, proxies, services);
    let nemesis = tokio::spawn(nemesis.run());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| tokio::spawn(client::run(Arc::clone(&run), number)))
        .collect();
    for client in clients {
        client.await.expect("a client does not panic");
    }
    let mut nemesis = nemesis.await.expect("the nemesis does not panic");
    nemesis.settle().await;
    watcher.abort();
    drop((nemesis, store));
    Report::new(options, &recorder.history())
}

/// A Redis that keeps all that it has answered when it is killed: it writes before it answers.
async fn start_redis() -> RedisServer {
    RedisServer::start_with(&[
        "--appendonly",
        "yes",
        "--appendfsync",
        "no",
        "--auto-aof-rewrite-min-size",
        "16mb",
        "--repl-diskless-sync-delay",
        "0",
    ])
    .await
}

/// The network between Redis and this service. It records which waiter listens over which
/// connection.
async fn proxy(redis: &RedisServer, service: usize, recorder: &Arc<Recorder>) -> Proxy {
    let recorder = Arc::clone(recorder);
    let observe = move |connection, piece: &[u8]| {
        let Some(list) = blocked_on(piece) else {
            return;
        };
        let listening = Listening {
            service,
            list,
            connection,
            at: recorder.now(),
        };
        recorder.note(|history| history.listening.push(listening));
    };
    Proxy::start_watched(redis.port(), observe).await
}

/// The list of a `BLPOP`, which a waiter sends alone.
fn blocked_on(piece: &[u8]) -> Option<String> {
    let mut words = piece.split(|byte| *byte == b'\n').skip(2).step_by(2);
    let command = words.next()?.strip_suffix(b"\r")?;
    let list = words.next()?.strip_suffix(b"\r")?;
    let list = || String::from_utf8(list.to_vec()).ok();
    (command == b"BLPOP").then(list).flatten()
}

fn service(redis: &RedisServer, proxy: &Proxy, store: &Store) -> Service {
    App::builder()
        .var("redis_port", &proxy.port().to_string())
        .var("redis_timeout", &REDIS_TIMEOUT.as_secs_f64().to_string())
        .var("origin", &store.url())
        .beside(redis)
}
