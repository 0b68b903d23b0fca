//! Waits for conditions, with a limit.

use std::future::Future;
use std::time::{Duration, Instant};

/// How long a condition may take.
const LIMIT: Duration = Duration::from_secs(20);

/// Waits until `condition` holds.
///
/// # Panics
/// With `what`, if it does not within 20 seconds.
pub async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let began = Instant::now();
    while !condition().await {
        assert!(began.elapsed() < LIMIT, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Runs a future and asserts that it takes `limit` at most. Returns its output and its duration.
///
/// # Panics
/// If it takes longer.
pub async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> (T, Duration) {
    let began = Instant::now();
    let output = tokio::time::timeout(limit + LIMIT, future).await;
    let took = began.elapsed();
    assert!(took <= limit, "took {took:?}, more than {limit:?}");
    (output.expect("it ended in time"), took)
}
