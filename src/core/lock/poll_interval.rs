//! The polling interval: how long a waiter listens for a signal before it looks at the lock.
//!
//! Pure arithmetic. The jitter keeps waiters that arrived together from looking together. The
//! longest interval is well below the silence after which a waiter counts as dead (`queue.lua`).

use std::time::Duration;

use super::scripts::LockHeld;

/// How long a waiter near the head of the queue listens before it looks: at least and at most, in
/// milliseconds. With the two `BLPOP` of a second that is under five commands a second.
const NEAR_MS: (u64, u64) = (390, 490);

/// The same for the other waiters. Wider jitter prevents a thundering herd.
const FAR_MS: (u64, u64) = (500, 800);

/// The same for the first waiter where a stranger has the lock, who may poll as often.
const STRANGER_MS: (u64, u64) = (80, 100);

/// How many waiters count as near the head of the queue.
const NEAR: u32 = 8;

/// How many waiters look as soon as the holder's time has run out. It is the first one's turn, so
/// more would be of no use.
const LOOK_AT_EXPIRY: u32 = 3;

/// How long a waiter listens before it looks. `random` is any 64 random bits.
pub(super) fn interval(held: &LockHeld, random: u64) -> Duration {
    let (least, most) = match held {
        LockHeld {
            queue_position: 0,
            by_stranger: true,
            ..
        } => STRANGER_MS,
        LockHeld { queue_position, .. } if *queue_position < NEAR => NEAR_MS,
        _ => FAR_MS,
    };
    let interval = Duration::from_micros(least * 1000 + random % ((most - least) * 1000 + 1));
    match held.remaining {
        // PTTL rounds down: a key with 0 ms left may live for most of another one.
        Some(remaining) if held.queue_position < LOOK_AT_EXPIRY => {
            interval.min(remaining + Duration::from_millis(1))
        }
        _ => interval,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_interval_is_bounded_and_never_zero(
            ms in 0u64..100_000,
            queue_position in 0u32..10,
            by_stranger: bool,
            random: u64,
        ) {
            let remaining = Some(Duration::from_millis(ms));
            let held = LockHeld { remaining, queue_position, by_stranger, arrived_at: 1 };
            let interval = interval(&held, random);
            prop_assert!(interval >= Duration::from_millis(1));
            prop_assert!(interval <= Duration::from_millis(800));
            if queue_position < LOOK_AT_EXPIRY {
                prop_assert!(interval <= Duration::from_millis(ms + 1));
            } else {
                // A `BLPOP` lasts for 450 ms.
                let mean_s = if queue_position < NEAR { 0.440 } else { 0.650 };
                prop_assert!(1.0 / mean_s + 1.0 / 0.450 < 5.0);
                prop_assert!(interval >= Duration::from_millis(390));
            }
        }
    }
}
