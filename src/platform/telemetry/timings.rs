//! How long the parts of a request take: **a new measurement begins here.**

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long the parts of a request took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Timings {
    /// Waiting for Redis.
    pub(crate) redis: Duration,
    /// Waiting for the lock, which includes asking Redis for it.
    pub(crate) wait: Duration,
    /// The action, or the fetch from the origin.
    pub(crate) action: Duration,
}

/// The stopwatches of one request. Clones add to the same sums.
#[derive(Clone, Default)]
pub(crate) struct Stopwatches(Arc<Sums>);

#[derive(Default)]
struct Sums {
    wait_us: AtomicU64,
    action_us: AtomicU64,
}

impl Stopwatches {
    /// Adds a time spent waiting for a lock.
    pub(crate) fn add_wait(&self, duration: Duration) {
        add(&self.0.wait_us, duration);
    }

    /// Adds a time that the action ran.
    pub(crate) fn add_action(&self, duration: Duration) {
        add(&self.0.action_us, duration);
    }

    /// The sums so far; `redis` is kept by the handle on Redis.
    pub(crate) fn timings(&self, redis: Duration) -> Timings {
        let sum = |us: &AtomicU64| Duration::from_micros(us.load(Ordering::Relaxed));
        Timings {
            redis,
            wait: sum(&self.0.wait_us),
            action: sum(&self.0.action_us),
        }
    }
}

fn add(sum: &AtomicU64, duration: Duration) {
    sum.fetch_add(duration.as_micros() as u64, Ordering::Relaxed);
}
