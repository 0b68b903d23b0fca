//! What is given back in the background, after a request's answer.

use std::time::{Duration, Instant};

use super::scripts::{HoldersWork, OwnedLock};

/// How long a cleanup in the background is tried, at least and at most: as long as the lock lives.
const CLEANUP_LIMITS: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(30));

/// The pauses between two tries of a cleanup, at least and at most.
const CLEANUP_PAUSES: (Duration, Duration) =
    (Duration::from_millis(50), Duration::from_millis(1000));

impl OwnedLock {
    /// Cancels an acquisition in the background: see [`OwnedLock::cancel`]. The task outlives the
    /// request's answer and tries again until Redis answers. Nobody learns whether it succeeds: the
    /// lock's expiry is the backstop.
    pub(super) fn cancel_later(mut self, call: String) {
        self.redis = self.redis.in_background();
        wit_bindgen::spawn(async move {
            until_done(self.cleanup_limit(), async || {
                self.cancel(&call).await.is_ok()
            })
            .await;
        });
    }

    /// Gives the lock back in the background, as [`OwnedLock::cancel_later`] does. The holder's
    /// work may go on.
    pub(super) fn release_later(mut self) {
        self.redis = self.redis.in_background();
        wit_bindgen::spawn(async move {
            until_done(self.cleanup_limit(), async || {
                self.release(HoldersWork::MayGoOn).await.is_ok()
            })
            .await;
        });
    }

    fn cleanup_limit(&self) -> Duration {
        let (least, most) = CLEANUP_LIMITS;
        self.ttl.as_duration().clamp(least, most)
    }
}

/// Tries with growing pauses until it is done, or `limit` has passed. Each try goes over a
/// connection that works, as far as is known: one that was not answered in time is used no more.
async fn until_done(limit: Duration, try_once: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + limit;
    let (mut pause, longest) = CLEANUP_PAUSES;
    while !try_once().await && Instant::now() < deadline {
        spin_sdk::time::sleep(pause).await;
        pause = (2 * pause).min(longest);
    }
}
