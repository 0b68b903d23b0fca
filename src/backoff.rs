//! When to try a held lock again: pure arithmetic, no clock and no random source of its own.
//!
//! A waiter polls. Short first pauses catch a lock that is given back at once, growing ones spare Redis while the
//! holder works, and the jitter keeps waiters that came together from asking together ("decorrelation", as in the
//! AWS Architecture Blog's *Exponential Backoff And Jitter*, here with half of each pause fixed so that the
//! upper bound on the hand-off and the lower bound on the load both hold).

use std::time::Duration;

/// The first pause is at most this long (milliseconds).
const FIRST_MS: u64 = 10;

/// No pause is longer than this (milliseconds): a waiter sees a release within 100 ms and one round trip.
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

    /// The next pause: between half of the current bound and the bound itself, which then grows by half up to
    /// 100 ms. `random` is any 64 random bits.
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

/// How long to sleep before the next try: the pause, cut to the time left until the waiter's deadline and to the
/// holder's remaining time (`None`: the holder's key has no expiry), so that neither is slept through.
///
/// `None` when the deadline has come: the last try was already made.
pub(crate) fn bounded_pause(
    pause: Duration,
    until_deadline: Duration,
    holder_remaining: Option<Duration>,
) -> Option<Duration> {
    if until_deadline.is_zero() {
        return None;
    }
    // PTTL rounds down: a key with 0 ms left may live for most of another one.
    let least = Duration::from_millis(1);
    let holder = holder_remaining.map_or(pause, |remaining| remaining.max(least));
    Some(pause.min(holder).min(until_deadline))
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

        #[test]
        fn never_sleeps_past_the_deadline_or_the_holder(
            pause in 1u64..200_000,
            left in 0u64..200_000,
            remaining in prop::option::of(0u64..200_000),
        ) {
            let left = Duration::from_micros(left);
            let holder = remaining.map(Duration::from_micros);
            match bounded_pause(Duration::from_micros(pause), left, holder) {
                None => prop_assert!(left.is_zero()),
                Some(sleep) => {
                    prop_assert!(sleep <= left);
                    prop_assert!(!sleep.is_zero());
                    if let Some(holder) = holder {
                        prop_assert!(sleep <= holder.max(Duration::from_millis(1)));
                    }
                }
            }
        }
    }
}
