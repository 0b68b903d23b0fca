//! Watching a lock: waiting until it is free or has another holder, without wanting it.
//!
//! A watcher looks now and then over the connection that all requests share. It is not in the
//! queue, so it holds no waiter up, and it listens to no signal, so it needs no connection of its
//! own. Between two looks it gives the shared one up, should others need the room.

use std::time::{Duration, Instant};

use super::poll_interval::spaced;
use super::{FencingToken, LockStatus, Locks};
use crate::platform::redis::RedisError;
use crate::types::keys::LockKey;
use crate::types::random;

/// How long a watcher sleeps between two looks: at least and at most, in milliseconds. That is
/// under four looks a second. The jitter keeps watchers that came together from looking together.
const INTERVAL_MS: (u64, u64) = (300, 360);

impl Locks {
    /// Looks at the lock until it is free or held under another number than `after`, a stranger
    /// included, and until `timeout` has passed at the most. Without `after`, until it is free.
    /// Returns what it saw last. A lock that is free between two looks only is not seen to be free.
    ///
    /// # Errors
    /// If Redis fails, at once.
    pub async fn watch(
        &self,
        key: &LockKey,
        after: Option<i64>,
        timeout: Duration,
    ) -> Result<LockStatus, RedisError> {
        let deadline = Instant::now() + timeout;
        loop {
            let status = self.inspect(key).await?;
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || has_changed(&status, after) {
                return Ok(status);
            }
            let interval = spaced(interval(random::bits64()), self.redis.commands_per_call());
            self.redis.rest(pause(left, interval)).await;
        }
    }
}

/// Whether a lock is free, or has another holder than the one with the number `after`.
fn has_changed(status: &LockStatus, after: Option<i64>) -> bool {
    match (&status.holder, after) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(holder), after) => holder.fencing_token.map(FencingToken::get) != after,
    }
}

/// The time between two looks. `random` is any 64 random bits.
fn interval(random: u64) -> Duration {
    let (least, most) = INTERVAL_MS;
    Duration::from_micros(least * 1000 + random % ((most - least) * 1000 + 1))
}

/// How long to sleep before the next look, with `left` until the end of the wait. The last look is
/// at the end, and none shortly before it.
fn pause(left: Duration, interval: Duration) -> Duration {
    if left < interval + interval / 2 {
        left
    } else {
        interval
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::lock::Holder;
    use proptest::prelude::*;

    fn held(number: Option<i64>) -> LockStatus {
        LockStatus {
            holder: Some(Holder {
                remaining: None,
                fencing_token: number.map(FencingToken),
                owner: None,
            }),
            waiting: 1,
        }
    }

    #[test]
    fn another_number_is_a_change_and_a_stranger_is_another() {
        let free = LockStatus {
            holder: None,
            waiting: 0,
        };
        for after in [None, Some(7)] {
            assert!(has_changed(&free, after));
        }
        assert!(!has_changed(&held(Some(7)), Some(7)));
        assert!(has_changed(&held(Some(8)), Some(7)));
        assert!(has_changed(&held(None), Some(7)));
        assert!(!has_changed(&held(Some(7)), None));
        assert!(!has_changed(&held(None), None));
    }

    proptest! {
        #[test]
        fn a_watcher_looks_fewer_than_five_times_in_a_second(
            timeout_ms in 0u64..60_000,
            commands in 1u32..=3,
            randoms in prop::collection::vec(any::<u64>(), 230),
        ) {
            let mut looks = vec![Duration::ZERO];
            let mut left = Duration::from_millis(timeout_ms);
            let mut at = Duration::ZERO;
            for random in randoms {
                if left.is_zero() {
                    break;
                }
                let pause = pause(left, spaced(interval(random), commands));
                prop_assert!(pause <= left);
                at += pause;
                left -= pause;
                looks.push(at);
            }
            prop_assert!(left.is_zero());
            for five in looks.windows(5) {
                prop_assert!(five[4] - five[0] >= Duration::from_secs(1));
            }
        }
    }
}
