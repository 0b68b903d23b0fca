//! Full load for some time, and the memory that the service uses under it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::Client;

use crate::App;

/// Clients that send one request after the other: more than one instance takes at once.
const CLIENTS: u64 = 64;

/// Users that the clients act for. They seldom meet.
const USERS: u64 = 10_000;

/// The number of parts of the run, each with one reading of the memory.
const PARTS: u32 = 20;

/// The result of a run.
pub struct SoakReport {
    /// How often each status was answered.
    pub statuses: BTreeMap<u16, u64>,
    /// The resident memory at the end of each part, in bytes.
    pub resident: Vec<u64>,
    /// How long it took.
    pub took: Duration,
}

impl SoakReport {
    /// The most memory in the last quarter of the run over the most in the third quarter: 1 if it
    /// is flat. We leave out the first half: the pool keeps the memory of the most instances that
    /// ran at once, and that peak comes when the machine is busiest.
    pub fn growth(&self) -> f64 {
        let quarter = self.resident.len() / 4;
        let most = |parts: &[u64]| parts.iter().max().copied().unwrap_or(0) as f64;
        most(&self.resident[3 * quarter..]) / most(&self.resident[2 * quarter..3 * quarter])
    }
}

impl fmt::Display for SoakReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let requests: u64 = self.statuses.values().sum();
        let seconds = self.took.as_secs_f64();
        writeln!(
            f,
            "requests   {requests} in {seconds:.0} s, {:.0}/s",
            requests as f64 / seconds
        )?;
        writeln!(f, "statuses   {:?}", self.statuses)?;
        let mib: Vec<u64> = self.resident.iter().map(|bytes| bytes >> 20).collect();
        writeln!(f, "resident   {mib:?} MiB")?;
        write!(
            f,
            "growth     {:.3}, last quarter over third quarter",
            self.growth()
        )
    }
}

/// Loads a service with actions, cache entries and leases.
///
/// # Panics
/// If it can't be started, or leaves a request without an answer.
pub async fn soak(duration: Duration) -> SoakReport {
    let app = App::start().await;
    let statuses = Arc::new(Mutex::new(BTreeMap::new()));
    let next = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (address, statuses) = (app.address().to_owned(), Arc::clone(&statuses));
            tokio::spawn(ask(address, statuses, Arc::clone(&next), began + duration))
        })
        .collect();
    let mut resident = Vec::new();
    for part in 1..=PARTS {
        tokio::time::sleep_until((began + duration * part / PARTS).into()).await;
        resident.push(app.resident_bytes());
    }
    for client in clients {
        client.await.expect("every request is answered");
    }
    let statuses = statuses.lock().unwrap().clone();
    SoakReport {
        statuses,
        resident,
        took: began.elapsed(),
    }
}

/// One client, on its own connection.
async fn ask(
    address: String,
    statuses: Arc<Mutex<BTreeMap<u16, u64>>>,
    next: Arc<AtomicU64>,
    end: Instant,
) {
    let client = Client::builder().no_proxy().build().unwrap();
    let users = format!("http://{address}/api/v1/users");
    while Instant::now() < end {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let user = number % USERS;
        let request = match number % 5 {
            0 | 1 => client.post(format!("{users}/perform-action?user_id={user}")),
            2 => client
                .put(format!("{users}/{user}/cache/k?expire=30"))
                .json(&number),
            3 => client.get(format!("{users}/{user}/cache/k")),
            _ => client.post(format!("{users}/{user}/lock?expire=0.05")),
        };
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        response.bytes().await.unwrap();
        *statuses.lock().unwrap().entry(status).or_insert(0) += 1;
    }
}
