//! An origin whose users are counters: each action adds one, and a read answers the count.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// How the origin is doing.
struct Counters {
    counts: Mutex<HashMap<String, u64>>,
    reads: Mutex<usize>,
    /// The longest that a read takes, before and after it looks at the count each.
    read: Duration,
    /// The longest that an action takes.
    action: Duration,
}

/// An HTTP server of a test's own on 127.0.0.1.
pub struct CountingOrigin {
    port: u16,
    counters: Arc<Counters>,
    server: JoinHandle<()>,
}

impl CountingOrigin {
    /// An origin whose reads and actions take up to so long. What it answers may be kept for an
    /// hour.
    pub async fn start(read: Duration, action: Duration) -> Self {
        let counters = Arc::new(Counters {
            counts: Mutex::default(),
            reads: Mutex::default(),
            read,
            action,
        });
        let router = Router::new()
            .route("/users/{user}", get(count))
            .route("/users/{user}/{action}", post(add))
            .with_state(Arc::clone(&counters));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Self {
            port,
            counters,
            server,
        }
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// How many actions of a user have ended.
    pub fn count(&self, user: u64) -> u64 {
        self.counters.count(&user.to_string())
    }

    /// How often it was read.
    pub fn reads(&self) -> usize {
        *self.counters.reads.lock().unwrap()
    }
}

impl Drop for CountingOrigin {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Counters {
    fn count(&self, user: &str) -> u64 {
        let counts = self.counts.lock().unwrap();
        counts.get(user).copied().unwrap_or_default()
    }
}

/// Sleeps for a part of `longest`, by chance.
async fn pause(longest: Duration) {
    // Each hasher of the standard library has keys of its own.
    let chance = RandomState::new().hash_one(0) >> 40;
    let part = chance as f64 / f64::from(1 << 24);
    tokio::time::sleep(longest.mul_f64(part)).await;
}

async fn count(
    State(counters): State<Arc<Counters>>,
    Path(user): Path<String>,
) -> impl IntoResponse {
    *counters.reads.lock().unwrap() += 1;
    pause(counters.read).await;
    let count = counters.count(&user);
    pause(counters.read).await;
    answer(count)
}

async fn add(
    State(counters): State<Arc<Counters>>,
    Path((user, _)): Path<(String, String)>,
) -> impl IntoResponse {
    // It goes on where the caller hangs up, as a transaction would.
    let adding = tokio::spawn(async move {
        pause(counters.action).await;
        let mut counts = counters.counts.lock().unwrap();
        let count = counts.entry(user).or_default();
        *count += 1;
        *count
    });
    answer(adding.await.unwrap_or_default())
}

fn answer(count: u64) -> impl IntoResponse {
    let headers = [
        (CONTENT_TYPE, "application/json"),
        (CACHE_CONTROL, "max-age=3600"),
    ];
    (headers, count.to_string())
}
