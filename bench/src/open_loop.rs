//! Requests at a fixed rate, whatever the answers do (an open loop).
//!
//! wrk sends the next request of a connection when the last one is answered (a closed loop): a
//! server that stalls is asked less during the stall, and the requests that would have come are not
//! counted ("coordinated omission", Gil Tene). Here each request has its time, and its latency is
//! counted from that time, as in [wrk2](https://github.com/giltene/wrk2).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::client::Client;
use crate::stats::ms;

/// Connections. More requests than these are never under way; those that wait for a connection are
/// late, and that counts.
const CONNECTIONS: usize = 256;

/// The first requests, which open connections and create instances, are not counted.
const WARM_UP: Duration = Duration::from_millis(300);

/// Requests at a fixed rate.
#[derive(Clone)]
pub(crate) struct Schedule {
    pub(crate) method: &'static str,
    /// The path of the nth request.
    pub(crate) path: Arc<dyn Fn(u64) -> String + Send + Sync>,
    pub(crate) per_second: f64,
    /// How long requests are counted.
    pub(crate) length: Duration,
}

/// The answers.
#[derive(Default)]
pub(crate) struct Outcome {
    /// Milliseconds from when each request should have been sent to the end of its answer.
    pub(crate) took: Vec<f64>,
    /// Answers other than 200, and requests without an answer.
    pub(crate) failed: u64,
}

impl Schedule {
    /// Sends all requests to a server and waits for the answers.
    ///
    /// # Errors
    /// If the server accepts no connection.
    pub(crate) async fn send_to(&self, address: &str) -> anyhow::Result<Outcome> {
        let mut clients = Vec::new();
        for _ in 0..CONNECTIONS {
            clients.push(Client::connect(address).await?);
        }
        let counted_from = (WARM_UP.as_secs_f64() * self.per_second) as u64;
        let counted = (self.length.as_secs_f64() * self.per_second) as u64;
        let clock = Arc::new(Clock {
            // By then all clients wait.
            began: Instant::now() + Duration::from_millis(20),
            interval: 1.0 / self.per_second,
            total: counted_from + counted,
            due: Semaphore::new(0),
            next: AtomicU64::new(0),
        });
        let mut sending = JoinSet::new();
        for client in clients {
            let (schedule, clock) = (self.clone(), Arc::clone(&clock));
            let address = address.to_owned();
            sending
                .spawn(async move { schedule.work(client, &address, &clock, counted_from).await });
        }
        // The timers of an async runtime are a millisecond coarse.
        let ticking = Arc::clone(&clock);
        thread::spawn(move || ticking.tick());
        let mut outcome = Outcome::default();
        while let Some(part) = sending.join_next().await {
            let part = part?;
            outcome.took.extend(part.took);
            outcome.failed += part.failed;
        }
        Ok(outcome)
    }

    /// Sends over one connection what is due, until nothing is left.
    async fn work(
        &self,
        mut client: Client,
        address: &str,
        clock: &Clock,
        counted_from: u64,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        while let Some((number, due)) = clock.next().await {
            let answer = client.call(self.method, &(self.path)(number)).await;
            if number >= counted_from {
                match &answer {
                    Ok(answer) if answer.status == 200 => {
                        let took = answer.end.saturating_duration_since(due);
                        outcome.took.push(ms(took));
                    }
                    _ => outcome.failed += 1,
                }
            }
            if answer.is_err()
                && let Ok(again) = Client::connect(address).await
            {
                client = again;
            }
        }
        outcome
    }
}

/// When each request is due.
struct Clock {
    began: Instant,
    /// Seconds between two requests.
    interval: f64,
    total: u64,
    /// A permit for each request that is due.
    due: Semaphore,
    next: AtomicU64,
}

impl Clock {
    /// The number of the next request and when it was due. Waits until then. `None` after the last.
    async fn next(&self) -> Option<(u64, Instant)> {
        self.due.acquire().await.ok()?.forget();
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        (number < self.total).then(|| (number, self.at(number)))
    }

    fn at(&self, number: u64) -> Instant {
        self.began + Duration::from_secs_f64(number as f64 * self.interval)
    }

    /// Adds a permit whenever a request is due, and in the end one for each connection, which ends
    /// it.
    fn tick(&self) {
        for number in 0..self.total {
            thread::sleep(self.at(number).saturating_duration_since(Instant::now()));
            self.due.add_permits(1);
        }
        self.due.add_permits(CONNECTIONS);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::stats::{percentile, sorted};

    /// A server that answers at once, except for a stall of 200 ms.
    async fn stalling() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let stall = Instant::now() + Duration::from_millis(700);
        let stalled = move || {
            let now = Instant::now();
            let since = now.checked_duration_since(stall)?;
            Duration::from_millis(200).checked_sub(since)
        };
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut request = [0; 1024];
                    while let Ok(1..) = stream.read(&mut request).await {
                        if let Some(left) = stalled() {
                            tokio::time::sleep(left).await;
                        }
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                        stream.write_all(answer).await.unwrap();
                    }
                });
            }
        });
        address
    }

    #[tokio::test]
    async fn a_stall_delays_all_requests_that_were_due() {
        let address = stalling().await;
        let schedule = Schedule {
            method: "GET",
            path: Arc::new(|number| format!("/{number}")),
            per_second: 500.0,
            length: Duration::from_secs(1),
        };
        let outcome = schedule.send_to(&address).await.unwrap();
        assert_eq!((outcome.took.len(), outcome.failed), (500, 0));
        // A fifth of the second was a stall, so a twentieth of the requests waited for 150 ms. In a
        // closed loop one request for each connection would.
        let took = sorted(&outcome.took);
        assert!(percentile(&took, 97.0).unwrap() > 100.0);
        assert!(percentile(&took, 50.0).unwrap() < 50.0);
    }
}
