//! A lock that is ours for a while.

use std::future::Future;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures::future::{Either, select};
use spin_sdk::redis::RedisResult;

use super::cleanup::GivenBackFor;
use super::commit::{CommitScript, Record};
use super::owned_lock::OwnedLock;
use super::release::HoldersWork;
use super::{FencingToken, LockError};
use crate::platform::redis::RedisError;
use crate::platform::time_limit::within;

/// How long work that has to end now is looked at, while its lock is still ours. A component that
/// had no processor for a while learns of the end of the hold, of a reply and of the work's own
/// limits at the same moment, and in any order: a hold that was used up comes last, after the last
/// look of a time limit (`platform/time_limit.rs`).
const LAST_LOOK: Duration = Duration::from_millis(150);

/// The times of an acquisition.
#[derive(Debug, Clone, Copy)]
pub(super) struct AcquisitionTimes {
    /// When the first try began.
    pub(super) began: Instant,
    /// When the call that succeeded was sent.
    pub(super) sent: Instant,
    /// When it was answered.
    pub(super) answered: Instant,
}

/// A lock that is ours until it expires or is given back. Dropping it gives it back in the
/// background.
pub struct Lease {
    owned: OwnedLock,
    fencing_token: FencingToken,
    began: Instant,
    acquired_at: Instant,
    /// Up to when the lock is surely ours: counted from before the last call that set its expiry
    /// was sent.
    valid_until: Instant,
    /// When `max_hold` is used up; with a longer time to live, when that is. No later than the end
    /// of the request.
    hold_until: Instant,
    renewable: bool,
    given_back_for: GivenBackFor,
    /// Nothing is left to be given back.
    settled: bool,
}

impl Lease {
    /// A lease that was taken just now.
    pub(super) fn new(
        owned: OwnedLock,
        fencing_token: FencingToken,
        times: AcquisitionTimes,
        max_hold: Duration,
        given_back_for: GivenBackFor,
    ) -> Self {
        let ttl = owned.ttl.as_duration();
        let hold_until = times.sent + max_hold.max(ttl);
        let hold_until = owned.redis.deadline().clamp_work(hold_until);
        Self {
            owned,
            fencing_token,
            began: times.began,
            acquired_at: times.answered,
            valid_until: times.sent + ttl,
            hold_until,
            renewable: ttl <= max_hold,
            given_back_for,
            settled: false,
        }
    }

    /// The number of this acquisition.
    pub fn fencing_token(&self) -> FencingToken {
        self.fencing_token
    }

    /// How long the acquisition took, from the first try to the answer.
    pub fn waited(&self) -> Duration {
        self.acquired_at.saturating_duration_since(self.began)
    }

    /// When the lock was had.
    pub(crate) fn acquired_at(&self) -> Instant {
        self.acquired_at
    }

    /// Runs `work` while the lock is kept: renewed at every third of its time to live, for
    /// `max_hold` at most.
    ///
    /// # Errors
    /// [`LockError::Lost`] as soon as the lock is known to be lost, or can no longer be known to be
    /// ours, or 150 ms after `max_hold` is used up: `work` is dropped where it is. A renewal that
    /// Redis fails to answer is repeated for as long as the lock lives.
    ///
    /// # Cancellation
    /// Dropping the future drops `work`; the lease stays as it is.
    pub async fn keep_during<F: Future>(&mut self, work: F) -> Result<F::Output, LockError> {
        // `select` polls the work first: work that ends at once needs no timer.
        match select(pin!(work), pin!(self.keep())).await {
            Either::Left((output, _)) => Ok(output),
            Either::Right((lost, _)) => Err(lost),
        }
    }

    /// Renews until the lock is lost.
    async fn keep(&mut self) -> LockError {
        let third = self.owned.ttl.as_duration() / 3;
        let mut renew_at = self.valid_until - self.owned.ttl.as_duration() + third;
        loop {
            let end = self.valid_until.min(self.hold_until);
            let next = if self.renewable {
                renew_at.min(end)
            } else {
                end
            };
            let pause = next.saturating_duration_since(Instant::now());
            self.owned.redis.rest(pause).await;
            let now = Instant::now();
            if now >= end {
                let valid = self.valid_until.saturating_duration_since(now);
                self.owned.redis.rest(valid.min(LAST_LOOK)).await;
                return LockError::Lost;
            }
            match within(end - now, self.renew()).await {
                Some(Ok(())) => renew_at = now + third,
                Some(Err(LockError::Redis(_))) => {
                    // A failure may come back at once: the pause keeps this from spinning.
                    renew_at = Instant::now() + (third / 4).max(Duration::from_millis(1));
                }
                Some(Err(lost)) => return lost,
                None => return LockError::Lost,
            }
        }
    }

    /// Begins the lock's time to live anew.
    ///
    /// # Errors
    /// [`LockError::Lost`] if it had expired or is somebody else's; [`LockError::Redis`] if Redis
    /// failed: it may have been renewed or not.
    ///
    /// # Cancellation
    /// A future dropped half-way may have renewed the lock.
    pub async fn renew(&mut self) -> Result<(), LockError> {
        let sent = Instant::now();
        if self.owned.renew(Some(self.fencing_token)).await?.is_some() {
            self.valid_until = sent + self.owned.ttl.as_duration();
            return Ok(());
        }
        self.settled = true;
        Err(LockError::Lost)
    }

    /// Gives the lock back.
    ///
    /// # Errors
    /// [`LockError::Lost`] if it had expired or is somebody else's: then nothing is touched.
    /// [`LockError::Redis`] if Redis failed: then it is tried once more in the background, and the
    /// lock's expiry is the backstop.
    ///
    /// # Cancellation
    /// A future dropped half-way gives the lock back in the background.
    pub async fn release(mut self) -> Result<(), LockError> {
        let given = Some(self.fencing_token);
        let reply = self.owned.release(HoldersWork::Ended, given).await;
        self.settle(reply)
    }

    /// Gives the lock back though what was done under it may still go on elsewhere: an origin that
    /// was too slow, for one. For some time after, nothing that is read of the user counts as
    /// fresh.
    ///
    /// # Errors
    /// As [`Lease::release`].
    ///
    /// # Cancellation
    /// As [`Lease::release`].
    pub(crate) async fn release_early(mut self) -> Result<(), LockError> {
        let given = Some(self.fencing_token);
        let reply = self.owned.release(HoldersWork::MayGoOn, given).await;
        self.settle(reply)
    }

    /// Writes `records`, removes what is at the Redis keys `removed` (in the lock's hash slot), and
    /// gives the lock back, in one step, only if the lock is still ours.
    ///
    /// # Errors
    /// [`LockError::Lost`] if it had expired or is somebody else's: then nothing is changed.
    /// [`LockError::Redis`] if Redis failed: if it refused, nothing is changed; if it did not
    /// answer, all of it may have happened.
    ///
    /// # Cancellation
    /// A future dropped half-way may have written the records; the lock is given back in any case.
    pub async fn commit(self, records: &[Record<'_>], removed: &[&str]) -> Result<(), LockError> {
        self.commit_since(Instant::now(), records, removed).await
    }

    /// Commits as [`Lease::commit`] does, at `began`, which is now.
    ///
    /// # Errors
    /// As [`Lease::commit`].
    ///
    /// # Cancellation
    /// As [`Lease::commit`].
    pub(crate) async fn commit_since(
        mut self,
        began: Instant,
        records: &[Record<'_>],
        removed: &[&str],
    ) -> Result<(), LockError> {
        let given = self.fencing_token;
        let reply = self.owned.commit(began, given, records, removed).await;
        self.settle(reply)
    }

    /// Commits as [`Lease::commit`] does, by a script that does more in the same step. Returns the
    /// number that it replies beside whether the lock was still ours.
    ///
    /// # Errors
    /// As [`Lease::commit`].
    ///
    /// # Cancellation
    /// As [`Lease::commit`].
    pub(crate) async fn commit_by(
        mut self,
        by: CommitScript<'_>,
        records: &[Record<'_>],
        removed: &[&str],
    ) -> Result<i64, LockError> {
        let given = self.fencing_token;
        let now = Instant::now();
        let reply = self.owned.commit_by(now, by, given, records, removed).await;
        let reply = reply.and_then(|reply| match reply.as_slice() {
            [RedisResult::Int64(ours), RedisResult::Int64(more)] => Ok((*ours == 1, *more)),
            _ => Err(RedisError::unexpected("not a reply of a commit")),
        });
        let more = reply.as_ref().map_or(0, |(_, more)| *more);
        self.settle(reply.map(|(ours, _)| ours))?;
        Ok(more)
    }

    /// Reads the reply of a script that ends the lease.
    fn settle(&mut self, reply: Result<bool, RedisError>) -> Result<(), LockError> {
        match reply {
            Ok(ours) => {
                self.settled = true;
                if ours { Ok(()) } else { Err(LockError::Lost) }
            }
            Err(error) => {
                self.abandon();
                Err(error.into())
            }
        }
    }

    fn abandon(&mut self) {
        if !self.settled {
            self.settled = true;
            let number = Some(self.fencing_token);
            self.owned
                .clone()
                .release_later(number, self.given_back_for);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.abandon();
    }
}
