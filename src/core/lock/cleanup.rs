//! What is given back in the background, after a request's answer.

use std::time::{Duration, Instant};

use super::FencingToken;
use super::cancel::CANCELLATION_TTL;
use super::owned_lock::OwnedLock;
use super::release::HoldersWork;
use crate::platform::redis::RedisError;

/// How long a lock is tried to be given back at least, however short its time to live.
const LEAST_LIMIT: Duration = Duration::from_secs(5);

/// What depends on a lock being given back.
#[derive(Debug, Clone, Copy)]
pub(super) enum GivenBackFor {
    /// Those who wait for it: nobody once it has expired.
    Waiters,
    /// Also those who read what its holder worked on. They are to learn that this may be half done,
    /// however long Redis is away, since it may come back as it was before.
    Readers,
}

/// The pauses between two tries of a cleanup, at least and at most.
const CLEANUP_PAUSES: (Duration, Duration) =
    (Duration::from_millis(50), Duration::from_millis(1000));

impl OwnedLock {
    /// Cancels an acquisition in the background: see [`OwnedLock::cancel`]. The task outlives the
    /// request's answer and tries again until Redis answers, for as long as the call may yet arrive:
    /// a stopped Redis carries out what waits in its sockets when it goes on. Nobody learns whether
    /// it succeeds: the lock's expiry is the backstop.
    pub(super) fn cancel_later(mut self, call: String) {
        self.redis = self.redis.in_background();
        wit_bindgen::spawn(async move {
            until_done(CANCELLATION_TTL, async || self.cancel(&call).await).await;
        });
    }

    /// Gives the lock back in the background, as [`OwnedLock::cancel_later`] does, for as long as it
    /// lives or as a cancellation is tried. The holder's work may go on; `number` is its fencing
    /// token, where that is known.
    pub(super) fn release_later(mut self, number: Option<FencingToken>, whom: GivenBackFor) {
        self.redis = self.redis.in_background();
        let limit = match whom {
            GivenBackFor::Waiters => self.ttl.as_duration().max(LEAST_LIMIT),
            GivenBackFor::Readers => CANCELLATION_TTL,
        };
        let limit = limit.min(CANCELLATION_TTL);
        wit_bindgen::spawn(async move {
            until_done(limit, async || {
                let work = HoldersWork::MayGoOn;
                self.release(work, number).await.map(|_| ())
            })
            .await;
        });
    }
}

/// Tries with growing pauses until it is done, or `limit` has passed. Each try goes over a
/// connection that works, as far as is known: one that was not answered in time is used no more.
/// What an ACL forbids is not tried for long: the task keeps its instance.
async fn until_done(limit: Duration, try_once: impl AsyncFn() -> Result<(), RedisError>) {
    let began = Instant::now();
    let (mut pause, longest) = CLEANUP_PAUSES;
    while let Err(error) = try_once().await {
        let limit = match error.forbids_command() {
            true => limit.min(LEAST_LIMIT),
            false => limit,
        };
        if began.elapsed() >= limit {
            return;
        }
        spin_sdk::time::sleep(pause).await;
        pause = (2 * pause).min(longest);
    }
}
