//! How long the machine delays a thread that is ready to run. Nothing on it answers faster than
//! that. We measure as jHiccup does (Gil Tene, <https://github.com/giltene/jHiccup>): a thread
//! sleeps briefly, again and again, and records how late it wakes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::stats::ms;

/// The length of each sleep.
const MOMENT: Duration = Duration::from_micros(500);

/// A thread that measures stalls until it is asked or dropped.
pub(crate) struct Stalls {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<Duration>>,
}

impl Stalls {
    /// Starts to measure.
    pub(crate) fn watch() -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&ended);
        let thread = thread::spawn(move || {
            let mut longest = Duration::ZERO;
            while !seen.load(Ordering::Relaxed) {
                let began = Instant::now();
                thread::sleep(MOMENT);
                longest = longest.max(began.elapsed().saturating_sub(MOMENT));
            }
            longest
        });
        Self {
            ended,
            thread: Some(thread),
        }
    }

    /// The longest stall, in milliseconds. `None` if the thread has died.
    pub(crate) fn longest_ms(mut self) -> Option<f64> {
        self.ended.store(true, Ordering::Relaxed);
        let longest = self.thread.take()?.join().ok()?;
        Some(ms(longest))
    }
}

impl Drop for Stalls {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stalls_are_measured() {
        let stalls = Stalls::watch();
        thread::sleep(10 * MOMENT);
        let longest = stalls.longest_ms();
        assert!(longest.is_some_and(|ms| ms > 0.0), "{longest:?}");
    }
}
