//! The polling interval: how long a waiter listens for a signal before it looks at the lock.
//!
//! Pure arithmetic. The jitter keeps waiters that arrived together from looking together. The
//! longest interval is well below the silence after which a waiter counts as dead (`queue.lua`).

use std::time::Duration;

use super::attempt::LockHeld;

/// How long a waiter near the head of the queue listens before it looks: at least and at most, in
/// milliseconds. With the two `BLPOP` of a second that is under five commands a second.
const NEAR_MS: (u64, u64) = (390, 490);

/// The same for the other waiters. Wider jitter prevents a thundering herd.
const FAR_MS: (u64, u64) = (500, 800);

/// The same for the first waiter where a stranger has the lock, who may poll as often.
const STRANGER_MS: (u64, u64) = (80, 100);

/// How many waiters count as near the head of the queue.
const NEAR: u32 = 8;

/// What each command of a look adds to the least time between two looks, where a look is several.
/// A quarter of what the time would be otherwise, with its jitter, goes on top.
const PER_COMMAND: Duration = Duration::from_millis(200);

/// How many waiters look as soon as the holder's time has run out. It is the first one's turn, so
/// more would be of no use.
const LOOK_AT_EXPIRY: u32 = 3;

/// How long a waiter listens before it looks. A look is `commands`; `random` is any 64 random bits.
pub(super) fn interval(held: &LockHeld, commands: u32, random: u64) -> Duration {
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
    let interval = spaced(interval, commands);
    match held.remaining {
        // PTTL rounds down: a key with 0 ms left may live for most of another one.
        Some(remaining) if held.queue_position < LOOK_AT_EXPIRY => {
            interval.min(remaining + Duration::from_millis(1))
        }
        _ => interval,
    }
}

/// The time between two looks of so many commands, that are `interval` apart where each is one.
pub(super) fn spaced(interval: Duration, commands: u32) -> Duration {
    if commands > 1 {
        interval.max(commands * PER_COMMAND + interval / 4)
    } else {
        interval
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
            commands in 1u32..=3,
            random: u64,
        ) {
            let remaining = Some(Duration::from_millis(ms));
            let held = LockHeld { remaining, queue_position, by_stranger, arrived_at: 1 };
            let interval = interval(&held, commands, random);
            prop_assert!(interval >= Duration::from_millis(1));
            prop_assert!(interval <= Duration::from_millis(800));
            if queue_position < LOOK_AT_EXPIRY {
                prop_assert!(interval <= Duration::from_millis(ms + 1));
            } else {
                // A `BLPOP` lasts for 450 ms.
                let mean_s = if queue_position < NEAR { 0.440 } else { 0.650 };
                prop_assert!(1.0 / mean_s + 1.0 / 0.450 < 5.0);
                prop_assert!(interval >= Duration::from_millis(390));
                if commands > 1 {
                    // Nobody blocks then.
                    prop_assert!(f64::from(commands) / interval.as_secs_f64() < 5.0);
                }
            }
        }
    }
}
