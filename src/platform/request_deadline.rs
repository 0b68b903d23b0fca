//! When a request has to be over: the variable `request_limit`.
//!
//! Some hosts end a request after a fixed time, with an answer of their own. So that ours comes
//! first, what takes long is cut to what is left of the request: waits, actions and reads of the
//! origin. Two calls to Redis fit between that cut and the end, for instance the last try of a wait
//! and a commit, and no call to Redis outlasts the request.

use std::time::{Duration, Instant};

/// What is kept free at the end of a request, beside two calls to Redis: for a component that has no
/// processor for a while.
pub(crate) const SPARE: Duration = Duration::from_millis(500);

/// How long before the end of a request its last call to Redis ends.
const SPARE_AFTER_CALLS: Duration = Duration::from_millis(250);

/// How much longer than everything else a lock is held for its work: an origin that is too slow is
/// told as such, and not as a lock that was lost.
const SPARE_FOR_WORK: Duration = Duration::from_millis(50);

/// When one request has to be over.
#[derive(Debug, Clone, Copy, Default)]
pub struct RequestDeadline(Option<Ends>);

#[derive(Debug, Clone, Copy)]
struct Ends {
    of_waits: Instant,
    of_calls: Instant,
}

impl RequestDeadline {
    /// A request that may take any time.
    pub(crate) const NONE: Self = Self(None);

    /// A request that began at `began` and has to be over after `limit`, if there is one. Each call
    /// to Redis takes `redis_timeout` at most.
    pub(crate) fn new(began: Instant, limit: Option<Duration>, redis_timeout: Duration) -> Self {
        let ends = |limit: Duration| {
            let waits = limit.saturating_sub(kept_free(redis_timeout));
            let calls = limit.saturating_sub(SPARE_AFTER_CALLS);
            Some(Ends {
                of_waits: began.checked_add(waits)?,
                of_calls: began.checked_add(calls)?,
            })
        };
        Self(limit.and_then(ends))
    }

    /// What is left of `wanted` if it begins now and must not outlast the request: **for whatever
    /// waits.** Zero where nothing is left.
    pub fn clamp(&self, wanted: Duration) -> Duration {
        match self.0 {
            Some(_) => self.clamp_since(Instant::now(), wanted),
            None => wanted,
        }
    }

    /// The same, where it begins at `began`.
    pub(crate) fn clamp_since(&self, began: Instant, wanted: Duration) -> Duration {
        self.0.map_or(wanted, |ends| {
            wanted.min(ends.of_waits.saturating_duration_since(began))
        })
    }

    /// `end` or the end of the work under a lock, whichever comes first.
    pub(crate) fn clamp_work(&self, end: Instant) -> Instant {
        self.0
            .map_or(end, |ends| end.min(ends.of_waits + SPARE_FOR_WORK))
    }

    /// What is left of the `timeout` of a call to Redis that begins at `began`.
    pub(crate) fn clamp_call(&self, began: Instant, timeout: Duration) -> Duration {
        self.0.map_or(timeout, |ends| {
            timeout.min(ends.of_calls.saturating_duration_since(began))
        })
    }
}

/// What is kept free at the end of a request where each call to Redis takes `redis_timeout` at most.
pub(crate) fn kept_free(redis_timeout: Duration) -> Duration {
    redis_timeout.saturating_mul(2).saturating_add(SPARE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn waits_end_two_calls_before_the_request() {
        let began = Instant::now();
        let deadline = RequestDeadline::new(began, Some(30_000 * MS), 1000 * MS);
        let left = |at: u32, wanted: u32| deadline.clamp_since(began + at * MS, wanted * MS);
        assert_eq!(left(0, 60_000), 27_500 * MS);
        assert_eq!(left(0, 27_499), 27_499 * MS);
        assert_eq!(left(27_499, 60_000), MS);
        assert_eq!(left(27_500, 60_000), Duration::ZERO);
        assert_eq!(left(31_000, 60_000), Duration::ZERO);
        assert_eq!(deadline.clamp(Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn a_call_ends_before_the_request() {
        let began = Instant::now();
        let deadline = RequestDeadline::new(began, Some(30_000 * MS), 1000 * MS);
        let left = |at: u32| deadline.clamp_call(began + at * MS, 1000 * MS);
        assert_eq!(left(28_000), 1000 * MS);
        assert_eq!(left(29_000), 750 * MS);
        assert_eq!(left(30_000), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn without_a_limit_nothing_is_cut(ms in any::<u32>()) {
            let wanted = ms * MS;
            prop_assert_eq!(RequestDeadline::NONE.clamp(wanted), wanted);
            let now = Instant::now();
            prop_assert_eq!(RequestDeadline::NONE.clamp_call(now, wanted), wanted);
            prop_assert_eq!(RequestDeadline::NONE.clamp_work(now + wanted), now + wanted);
        }

        #[test]
        fn a_wait_and_two_calls_fit(limit in 2_000u32..3_600_000, wanted in any::<u32>(), timeout in 10u32..500) {
            let began = Instant::now();
            let (limit, timeout) = (limit * MS, timeout * MS);
            let deadline = RequestDeadline::new(began, Some(limit), timeout);
            let waited = deadline.clamp_since(began, wanted * MS);
            prop_assert!(waited <= wanted * MS);
            prop_assert!(waited + 2 * timeout < limit);
        }
    }
}
