//! Reads users from the origin through Redis: one fetch at a time per user, however many instances
//! and hosts ask; stale while revalidating, and stale if error (RFC 5861).
//!
//! A request that finds no fresh reading takes the lock of the user's fetch, fetches, and commits
//! the result in the step that gives the lock back. The others poll Redis until the fetch has
//! ended: with a reading, with a failure that they share, or with an answer that may not be kept;
//! then each fetches for itself. An action deletes the lock of a fetch under way, so a reading from
//! before the change is not kept after it.

mod fetch;
mod lookup;
mod reading;

use std::time::Instant;

use super::lock::LockError;
use crate::platform::origin::{Failure, UserSource};
use crate::platform::redis::{Redis, RedisError};
use crate::platform::telemetry::Telemetry;
use crate::types::backoff::Backoff;
use crate::types::keys::Keys;
use crate::types::random;
use crate::types::ttl::Ttl;
use crate::types::user_id::UserId;
use lookup::Lookup;
pub(crate) use lookup::{invalidated_by_action, outdate};
use reading::FetchOutcome;
pub(crate) use reading::Reading;

/// Where a user came from.
#[derive(Debug)]
pub(crate) enum Source {
    /// The cache, fresh or stale; the origin was not waited for.
    Cache,
    /// The origin, by a fetch of this request's own.
    Fetched {
        /// Why it was fetched.
        reason: FetchReason,
        /// Whether it was kept.
        kept: bool,
    },
    /// The origin, by a fetch that this request has waited for.
    Collapsed(FetchReason),
    /// The cache, since the origin was asked and is down.
    StaleIfError(Failure),
}

/// Why the origin was asked (RFC 9211, section 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FetchReason {
    /// There was no reading.
    Miss,
    /// The reading is stale.
    Stale,
    /// The caller wanted it so.
    Request,
}

/// A user, and where it came from.
#[derive(Debug)]
pub(crate) struct UserRead {
    /// The user.
    pub(crate) reading: Reading,
    /// Where it came from.
    pub(crate) source: Source,
}

/// The origin failed, and no reading may stand in for it.
pub(crate) struct OriginFailed {
    /// What it did.
    pub(crate) failure: Failure,
    /// Why it was asked.
    pub(crate) reason: FetchReason,
}

/// Why a user was not read.
pub(crate) enum ReadError {
    /// The origin failed.
    Origin(Box<OriginFailed>),
    /// Redis failed.
    Redis(RedisError),
}

impl From<RedisError> for ReadError {
    fn from(error: RedisError) -> Self {
        Self::Redis(error)
    }
}

/// One request's reading of one user.
#[derive(Clone)]
pub(crate) struct ReadThrough {
    pub(crate) redis: Redis,
    pub(crate) keys: Keys,
    pub(crate) telemetry: Telemetry,
    /// The origin, asked in the name of the request.
    pub(crate) source: UserSource,
    pub(crate) user: UserId,
    /// How long the request wants the reading kept at most.
    pub(crate) expire: Option<Ttl>,
    /// How long it is kept where neither the request nor the origin says.
    pub(crate) cache_expire: Ttl,
}

impl ReadThrough {
    /// The user as it is kept, if that may be served: fresh, or stale while it is refreshed by a
    /// task that outlives the request's answer; else as the origin has it.
    ///
    /// # Errors
    /// If the origin fails and there is nothing to serve instead, or if Redis fails.
    ///
    /// # Cancellation
    /// A future dropped half-way may leave the lock of the fetch taken for some seconds.
    pub(crate) async fn read(self) -> Result<UserRead, ReadError> {
        let lookup = self.lookup().await?;
        let Some(reading) = &lookup.reading else {
            return self.fetched(FetchReason::Miss, lookup).await;
        };
        let failed = matches!(lookup.outcome, Some((_, FetchOutcome::Failed(_))));
        if reading.fresh_for().is_none() {
            if reading.serves_while_revalidating() {
                if lookup.fetching == 0 && !failed {
                    self.clone().refresh_later();
                }
            } else if !(failed && reading.serves_if_error()) {
                return self.fetched(FetchReason::Stale, lookup).await;
            }
            // The origin has just failed: it is spared for a while.
        }
        Ok(UserRead {
            reading: reading.clone(),
            source: Source::Cache,
        })
    }

    /// The user as the origin has it, by a fetch that began after this request did. Its failure is
    /// told.
    ///
    /// # Errors
    /// As [`ReadThrough::read`].
    ///
    /// # Cancellation
    /// As [`ReadThrough::read`].
    pub(crate) async fn read_anew(self) -> Result<UserRead, ReadError> {
        let lookup = self.lookup().await?;
        self.fetched(FetchReason::Request, lookup).await
    }

    /// Fetches, or waits for another request's fetch, for `origin_timeout` each at most.
    async fn fetched(
        &self,
        reason: FetchReason,
        mut lookup: Lookup,
    ) -> Result<UserRead, ReadError> {
        let began = Instant::now();
        let timeout = self.source.origin().timeout;
        let deadline = began + timeout;
        let mut backoff = Backoff::new();
        // The fetch that was under way when this request came. Its end is of use, unless the
        // request wants a fetch that began later.
        let mut since = (lookup.fetching > 0).then_some(lookup.fetching);
        loop {
            let of_use = |number: i64| {
                since.is_some_and(|since| {
                    number > since || number == since && reason != FetchReason::Request
                })
            };
            if let Some(end) = end_of(&lookup, reason, of_use) {
                self.telemetry.stopwatches.add_wait(began.elapsed());
                return match end {
                    FetchEnd::Reading(reading) => answered(reading, Source::Collapsed(reason)),
                    FetchEnd::Failure(failure) => {
                        self.stale_if_error(lookup.reading, failure, reason)
                    }
                    FetchEnd::Uncacheable => self.unshared(reason).await,
                };
            }
            if lookup.fetching == 0 {
                match self.lock().await {
                    Ok(lease) => {
                        // Another fetch may have ended between our look and our lock.
                        let again = self.lookup().await?;
                        if reason == FetchReason::Request || !again.is_fresh() {
                            self.telemetry.stopwatches.add_wait(began.elapsed());
                            if let Some(read) = self.fetch(lease, again.reading, reason).await? {
                                return Ok(read);
                            }
                        } else {
                            let _ = lease.release().await;
                        }
                    }
                    Err(LockError::Redis(error)) => return Err(error.into()),
                    Err(_) => {}
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let failure = Failure::timed_out(timeout);
                return self.stale_if_error(lookup.reading, failure, reason);
            }
            let pause = backoff.next_pause(random::bits64()).min(left);
            spin_sdk::time::sleep(pause).await;
            lookup = self.lookup().await?;
            since = since.or((lookup.fetching > 0).then_some(lookup.fetching));
        }
    }

    /// An earlier reading, if it may stand in for an origin that is down (RFC 5861, section 4).
    fn stale_if_error(
        &self,
        before: Option<Reading>,
        failure: Failure,
        reason: FetchReason,
    ) -> Result<UserRead, ReadError> {
        let may_be_stale = reason != FetchReason::Request && failure.is_down();
        match before {
            Some(reading) if may_be_stale && reading.serves_if_error() => {
                answered(reading, Source::StaleIfError(failure))
            }
            _ => Err(ReadError::Origin(Box::new(OriginFailed {
                failure,
                reason,
            }))),
        }
    }
}

/// How a fetch ended that was waited for.
enum FetchEnd {
    Reading(Reading),
    Failure(Failure),
    Uncacheable,
}

fn end_of(lookup: &Lookup, reason: FetchReason, of_use: impl Fn(i64) -> bool) -> Option<FetchEnd> {
    if let Some(reading) = &lookup.reading {
        let shared = reading.fresh_for().is_some() && reason != FetchReason::Request;
        if shared || of_use(reading.number()) {
            return Some(FetchEnd::Reading(reading.clone()));
        }
    }
    match &lookup.outcome {
        Some((_, FetchOutcome::Uncacheable)) => Some(FetchEnd::Uncacheable),
        Some((number, FetchOutcome::Failed(failure))) if of_use(*number) => {
            Some(FetchEnd::Failure(failure.clone()))
        }
        _ => None,
    }
}

fn answered(reading: Reading, source: Source) -> Result<UserRead, ReadError> {
    Ok(UserRead { reading, source })
}
