//! Exponential backoff with jitter, for events that nobody signals: the end of another request's
//! fetch, or a chance to write a contended entry. Pure arithmetic, no clock and no random source of
//! its own. Waiters of a lock have intervals of their own: `core/lock/poll_interval.rs`.
//!
//! Short first pauses catch quick ends, growing pauses spare Redis, and jitter prevents a
//! thundering herd ("decorrelation", as in the AWS Architecture Blog's *Exponential Backoff And
//! Jitter*, here with half of each pause fixed so that both the delay and the load have a bound).

use std::time::Duration;

/// The first pause is at most this long (milliseconds).
const FIRST_MS: u64 = 10;

/// No pause is longer than this (milliseconds).
const CEILING_MS: u64 = 100;

/// A growing, jittered series of pauses.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    upper_us: u64,
}

impl Backoff {
    /// A series at its beginning.
    pub(crate) fn new() -> Self {
        Self {
            upper_us: FIRST_MS * 1000,
        }
    }

    /// The next pause: between half of the current bound and the bound itself, which then grows by
    /// half up to 100 ms. `random` is any 64 random bits.
    pub(crate) fn next_pause(&mut self, random: u64) -> Duration {
        let half = self.upper_us / 2;
        let pause = half + random % (self.upper_us - half + 1);
        self.upper_us = (self.upper_us + half).min(CEILING_MS * 1000);
        Duration::from_micros(pause)
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pauses_stay_between_their_bounds(randoms in prop::collection::vec(any::<u64>(), 1..60)) {
            let mut backoff = Backoff::new();
            for random in randoms {
                let pause = backoff.next_pause(random);
                prop_assert!(pause >= Duration::from_millis(FIRST_MS / 2));
                prop_assert!(pause <= Duration::from_millis(CEILING_MS));
            }
        }

        #[test]
        fn the_bound_grows_until_the_ceiling(random in any::<u64>()) {
            let mut backoff = Backoff::new();
            let mut before = 0;
            for _ in 0..20 {
                prop_assert!(backoff.upper_us >= before);
                before = backoff.upper_us;
                backoff.next_pause(random);
            }
            prop_assert_eq!(backoff.upper_us, CEILING_MS * 1000);
        }
    }
}
