//! Waiting for a lock that somebody else has.
//!
//! Whoever gives the lock back hands it to the one who has waited longest, and signals that: a waiter blocks on a key of its own
//! (`BLPOP`), on a connection that no other request needs meanwhile. Signals may be lost, and strangers give none, so each waiter looks
//! now and then, which is what it does after a signal too: looking alone is correct, the signal makes it quick. A waiter that was
//! handed the lock and died costs the others the second that it had to take it up.

use std::time::{Duration, Instant};

use super::LockError;
use super::scripts::{Attempt, Owned, Patience, Queued};
use crate::random;
use crate::redis::{Heard, Listener};

/// How long a waiter blocks at a time: at least and at most, in milliseconds. Shorter than 500 ms, after which some clients of Redis give up
/// on an answer. Those who are soon to have their turn look after each time: with the `BLPOP` that is under five commands a second.
const NEAR_MS: (u64, u64) = (390, 490);

/// The same for the others. As they may have come all at once, it is more by chance when they do.
const FAR_MS: (u64, u64) = (250, 490);

/// How many are soon to have their turn.
const NEAR: u32 = 8;

/// How often the others block before they look, unless a signal or a broken connection makes them.
const FAR_BLOCKS: usize = 4;

/// The same for the first in the queue where a stranger has the lock, who may be polling for it as often.
const STRANGER_MS: (u64, u64) = (80, 100);

/// How many look as soon as the holder's time has run out. All of them at once would be no use: it is the first one's turn.
const LOOK_AT_EXPIRY: u32 = 3;

/// What waiting came to.
pub(super) struct Outcome {
    /// The last try's.
    pub(super) attempt: Attempt,
    /// When its call was sent.
    pub(super) sent: Instant,
    /// When that was answered.
    pub(super) answered: Instant,
}

/// Tries until something else comes of it than that somebody else holds the lock, or `timeout` has passed since `began`, which is now.
pub(super) async fn acquire(
    owned: &Owned,
    began: Instant,
    timeout: Duration,
    result: Option<&str>,
) -> Result<Outcome, LockError> {
    let mut sent = began;
    let deadline = began + timeout;
    let call = random::hex128();
    let mut listener: Option<Listener> = None;
    let mut came = None;
    loop {
        let patience = match (timeout.is_zero(), sent < deadline) {
            (true, _) => Patience::Once,
            (false, true) => Patience::Wait(came),
            (false, false) => Patience::Last,
        };
        let (attempt, answered) = match owned.acquire(sent, &call, patience, result).await {
            Ok(answer) => answer,
            Err(error) => {
                // Of a token that a client brought nothing is given back: the client may be trying again with it.
                if !owned.token.is_brought() && (error.unanswered().is_some() || came.is_some()) {
                    let unanswered = error.unanswered().unwrap_or_default();
                    owned.clone().release_later(unanswered, Some(call));
                }
                return Err(error.into());
            }
        };
        let (Attempt::Held(queued), Patience::Wait(_)) = (&attempt, patience) else {
            return Ok(Outcome {
                attempt,
                sent,
                answered,
            });
        };
        came = Some(queued.came);
        let listener = listener.get_or_insert_with(|| owned.redis.listener(owned.key.wake(&call)));
        listen(listener, queued, deadline).await;
        sent = Instant::now();
    }
}

/// Blocks until it is time to look.
async fn listen(listener: &mut Listener, queued: &Queued, deadline: Instant) {
    let blocks = if queued.place < NEAR { 1 } else { FAR_BLOCKS };
    for _ in 0..blocks {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        let pause = pause(queued, random::bits64()).min(left);
        if listener.wait(pause).await != Heard::Nothing {
            return;
        }
    }
}

/// How long to block at a time: by chance, so that those who came together do not look together. `random` is any 64 random bits.
fn pause(queued: &Queued, random: u64) -> Duration {
    let (least, most) = match queued {
        Queued {
            place: 0,
            by_stranger: true,
            ..
        } => STRANGER_MS,
        Queued { place, .. } if *place < NEAR => NEAR_MS,
        _ => FAR_MS,
    };
    let pause = Duration::from_micros(least * 1000 + random % ((most - least) * 1000 + 1));
    match queued.remaining {
        // PTTL rounds down: a key with 0 ms left may live for most of another one.
        Some(remaining) if queued.place < LOOK_AT_EXPIRY => {
            pause.min(remaining + Duration::from_millis(1))
        }
        _ => pause,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_pause_is_bounded_and_never_nothing(ms in 0u64..100_000, place in 0u32..10, by_stranger: bool, random: u64) {
            let remaining = Some(Duration::from_millis(ms));
            let pause = pause(&Queued { remaining, place, by_stranger, came: 1 }, random);
            prop_assert!(pause >= Duration::from_millis(1));
            prop_assert!(pause < Duration::from_millis(500));
            if place < LOOK_AT_EXPIRY {
                prop_assert!(pause <= Duration::from_millis(ms + 1));
            } else {
                // Two commands for the near ones, five for four times of the others.
                let commands = if place < NEAR { 2.0 } else { 1.25 };
                let mean_s = if place < NEAR { 0.440 } else { 0.370 };
                prop_assert!(commands / mean_s < 5.0 && pause >= Duration::from_millis(250));
            }
        }
    }
}
