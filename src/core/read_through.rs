//! Reads users from the origin through Redis: one fetch at a time per user, however many instances
//! and hosts ask; stale while revalidating, and stale if error (RFC 5861).
//!
//! A request that finds no fresh reading takes the lock of the user's fetch, in the same step,
//! fetches, and commits the result in the step that gives the lock back. The others poll Redis
//! until the fetch has ended: with a reading, with a failure that they share, or with an answer
//! that may not be kept; then each of those who waited fetches for itself.
//!
//! A reading carries the user's fencing number as it was when its fetch began. It is fresh only if
//! nobody had the user's lock then, and nobody has had it since: the number is still the same, and
//! the lock is free. So nothing has to invalidate readings.

mod ended_fetch;
mod fetch;
mod lookup;
mod meta_and_body;
mod reading;
mod waiting;

use std::time::{Duration, Instant};

use crate::platform::origin::{Failure, UserSource};
use crate::platform::redis::{Redis, RedisError};
use crate::platform::telemetry::Telemetry;
use crate::types::backoff::Backoff;
use crate::types::keys::Keys;
use crate::types::random;
use crate::types::ttl::Ttl;
use crate::types::user_id::UserId;
pub(crate) use lookup::holders_may_go_on;
use lookup::{Claim, Lookup, When};
pub(crate) use reading::Reading;
use waiting::{FetchEnd, Patience, Shared};

/// Who has waited for another request's fetch for longer than this gives way to those who need a
/// connection.
const LONG_WAIT: Duration = Duration::from_millis(250);

/// How many looks of a request may find no fetch under way and take no lock. From the second on they
/// take it whatever they find.
const MOST_VAIN_LOOKS: usize = 3;

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
    /// Whether the failure is that of another request's fetch, which this one has waited for.
    pub(crate) collapsed: bool,
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
    /// Whether what is fetched for the request may be kept.
    pub(crate) keeps: bool,
    /// See [`holders_may_go_on`].
    pub(crate) holders_may_go_on: Duration,
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
        let mut lookup = self.lookup(self.claim(When::Unspared, None), None).await?;
        let Some(reading) = &lookup.reading else {
            return self.fetched(FetchReason::Miss, lookup).await;
        };
        if reading.fresh_for().is_none() {
            if reading.serves_while_revalidating() {
                let reading = reading.clone();
                if let Some(lease) = lookup.lease.take() {
                    self.clone().refresh_later(lease, lookup);
                }
                return answered(reading, Source::Cache);
            }
            // An origin that has just failed is spared for a while.
            if !(lookup.origin_is_down() && reading.serves_if_error()) {
                return self.fetched(FetchReason::Stale, lookup).await;
            }
        }
        let reading = reading.clone();
        answered(reading, Source::Cache)
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
        let lookup = self.lookup(self.claim(When::Always, None), None).await?;
        self.fetched(FetchReason::Request, lookup).await
    }

    /// What a look may claim: nothing for a request whose answer may not be kept.
    fn claim(&self, when: When, unless_ended: Option<i64>) -> Claim {
        Claim {
            when: if self.keeps { when } else { When::Never },
            unless_ended,
        }
    }

    /// Fetches, or waits for the fetches of other requests, for `origin_timeout` each at most, and
    /// not longer than the request has left.
    async fn fetched(
        &self,
        reason: FetchReason,
        mut lookup: Lookup,
    ) -> Result<UserRead, ReadError> {
        let began = Instant::now();
        let mut patience = Patience::new(self.source.origin().timeout, self.redis.deadline());
        let mut backoff = Backoff::new();
        let mut shared = Shared::at_arrival(reason, &lookup);
        let mut has_waited = false;
        let mut vain_looks = 0;
        loop {
            if let Some(lease) = lookup.lease.take() {
                self.telemetry.stopwatches.add_wait(began.elapsed());
                return self.fetch(lease, lookup, reason, has_waited).await;
            }
            if let Some(end) = shared.end_of(&lookup) {
                self.telemetry.stopwatches.add_wait(began.elapsed());
                return match end {
                    FetchEnd::Reading(reading) => answered(reading, Source::Collapsed(reason)),
                    FetchEnd::Failure(failure) => {
                        let collapsed = true;
                        self.stale_if_error(lookup.reading, failure, reason, collapsed)
                    }
                    FetchEnd::Uncacheable => self.unshared(lookup.reading, reason).await,
                };
            }
            if lookup.fetching > 0 {
                let left = match patience.left(lookup.fetching, Instant::now()) {
                    Ok(left) => left,
                    Err(failure) => {
                        let collapsed = true;
                        return self.stale_if_error(lookup.reading, failure, reason, collapsed);
                    }
                };
                has_waited = true;
                let pause = backoff.next_pause(random::bits64()).min(left);
                spin_sdk::time::sleep(pause).await;
                if began.elapsed() > LONG_WAIT {
                    self.redis.give_way_at_rest().await;
                }
            } else if self.keeps && vain_looks < MOST_VAIN_LOOKS {
                // Nobody fetches, and the last look took no lock: an outcome was there, or a
                // reading that is of no use, or a stranger's value that only the script takes for a
                // reading.
                vain_looks += 1;
            } else {
                return self.unshared(lookup.reading, reason).await;
            }
            let claim = shared.claim(self, vain_looks);
            lookup = self.lookup(claim, Some(lookup)).await?;
            shared.see(&lookup);
        }
    }

    /// An earlier reading, if it may stand in for an origin that is down (RFC 5861, section 4).
    fn stale_if_error(
        &self,
        before: Option<Reading>,
        failure: Failure,
        reason: FetchReason,
        collapsed: bool,
    ) -> Result<UserRead, ReadError> {
        let may_be_stale = reason != FetchReason::Request && failure.is_down();
        match before {
            Some(reading) if may_be_stale && reading.serves_if_error() => {
                answered(reading, Source::StaleIfError(failure))
            }
            _ => Err(ReadError::Origin(Box::new(OriginFailed {
                failure,
                reason,
                collapsed,
            }))),
        }
    }
}

fn answered(reading: Reading, source: Source) -> Result<UserRead, ReadError> {
    Ok(UserRead { reading, source })
}
