//! Asking the origin under the lock of the user's fetch, and keeping what comes of it.

use std::time::{Duration, Instant, SystemTime};

use super::reading::{FetchOutcome, Reading};
use super::{FetchReason, ReadError, ReadThrough, Source, UserRead, answered};
use crate::core::lock::{Lease, LockError, Locks, Record};
use crate::platform::origin::{Answer, Defaults, Failure, Freshness};
use crate::platform::telemetry::log;
use crate::types::ttl::{FETCH_LOCK_TTL_MS, MAX_TTL_MS, Ttl};

impl ReadThrough {
    /// Fetches under the lock and keeps what came of it; `None` if the lock was lost meanwhile,
    /// since the user has changed, or because it was held for too long.
    pub(super) async fn fetch(
        &self,
        mut lease: Lease,
        before: Option<Reading>,
        reason: FetchReason,
    ) -> Result<Option<UserRead>, ReadError> {
        let began = Instant::now();
        let fetched = lease.keep_during(self.ask()).await;
        self.telemetry.stopwatches.add_action(began.elapsed());
        let Ok(fetched) = fetched else {
            return Ok(None);
        };
        let number = lease.fencing_token().get();
        match self.judge(number, fetched) {
            Verdict::Cacheable(reading) => {
                let kept = self.keep(lease, &reading).await;
                answered(reading, Source::Fetched { reason, kept }).map(Some)
            }
            Verdict::Uncacheable(reading) => {
                let reading_key = self.keys.read_through(self.user);
                // An earlier reading may not be kept either.
                self.leave(lease, &FetchOutcome::Uncacheable, &[&reading_key])
                    .await;
                let kept = false;
                answered(reading, Source::Fetched { reason, kept }).map(Some)
            }
            Verdict::Failed(failure) => {
                let outcome = FetchOutcome::Failed(failure.clone());
                self.leave(lease, &outcome, &[]).await;
                self.stale_if_error(before, failure, reason).map(Some)
            }
        }
    }

    /// Asks for this request alone, since the origin's answers may not be kept.
    pub(super) async fn unshared(&self, reason: FetchReason) -> Result<UserRead, ReadError> {
        let began = Instant::now();
        let fetched = self.ask().await;
        self.telemetry.stopwatches.add_action(began.elapsed());
        match self.judge(0, fetched) {
            Verdict::Cacheable(reading) | Verdict::Uncacheable(reading) => {
                let kept = false;
                answered(reading, Source::Fetched { reason, kept })
            }
            Verdict::Failed(failure) => self.stale_if_error(None, failure, reason),
        }
    }

    async fn ask(&self) -> Result<Answer, Failure> {
        let span = self.telemetry.trace.span("fetch");
        let answer = self.source.fetch(self.user, &span).await;
        span.ended(&answer);
        answer
    }

    /// Whether the origin's answer may be kept, and for how long.
    fn judge(&self, number: i64, fetched: Result<Answer, Failure>) -> Verdict {
        let now = SystemTime::now();
        match fetched {
            Ok(answer) => {
                let freshness = answer.freshness(&self.defaults(), now);
                let reading = Reading::found(
                    number,
                    answer.content_type().map(str::to_owned).as_deref(),
                    answer.body,
                    &freshness.unwrap_or(Freshness::NONE),
                );
                Verdict::of(reading, freshness)
            }
            Err(failure) if failure.is_not_found() => {
                let freshness = failure.freshness(&self.negative_defaults(), now);
                let freshness = freshness.filter(|freshness| !freshness.lifetime.is_zero());
                let none = Freshness::NONE;
                let reading = Reading::refused(number, failure, &freshness.unwrap_or(none));
                Verdict::of(reading, freshness)
            }
            Err(failure) => Verdict::Failed(failure),
        }
    }

    fn defaults(&self) -> Defaults {
        let default = self.cache_expire;
        let longest = Ttl::of_millis(MAX_TTL_MS);
        Defaults {
            lifetime: self.expire.unwrap_or(default).as_duration(),
            longest: self.expire.unwrap_or(longest).as_duration(),
            stale_while_revalidate: self.source.origin().stale_while_revalidate,
            stale_if_error: self.source.origin().stale_if_error,
        }
    }

    /// Those for an origin that knows no such user.
    fn negative_defaults(&self) -> Defaults {
        let lifetime = self.source.origin().negative_expire.as_duration();
        Defaults {
            lifetime,
            longest: lifetime,
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
        }
    }

    /// Keeps an entry and gives the lock back; returns whether it is kept. It is an answer all the
    /// same where the lock was lost, or where Redis fails.
    async fn keep(&self, lease: Lease, reading: &Reading) -> bool {
        let reading_key = self.keys.read_through(self.user);
        let outcome_key = self.keys.read_outcome(self.user);
        let (value, ttl) = reading.write();
        let record = Record {
            key: &reading_key,
            value: &value,
            ttl,
        };
        lease.commit(&[record], &[&outcome_key]).await.is_ok()
    }

    /// Notes how the fetch ended, removes what is no longer to be kept, and gives the lock back.
    async fn leave(&self, lease: Lease, outcome: &FetchOutcome, removed: &[&str]) {
        let outcome_key = self.keys.read_outcome(self.user);
        let record = Record {
            key: &outcome_key,
            value: &outcome.write(lease.fencing_token().get()),
            ttl: self.source.origin().negative_expire,
        };
        // Without the note the others ask for themselves.
        let _ = lease.commit(&[record], removed).await;
    }
    /// Fetches in a task of its own, unless somebody is at it.
    pub(super) fn refresh_later(self) {
        wit_bindgen::spawn(async move {
            let Ok(lease) = self.lock().await else {
                return;
            };
            match self.lookup().await {
                Ok(lookup) if !lookup.is_fresh() => {
                    if let Err(ReadError::Origin(origin_failed)) =
                        self.fetch(lease, None, FetchReason::Stale).await
                    {
                        let id = &self.telemetry.request_id;
                        let cause = &origin_failed.failure.detail;
                        log::background_failure(id, "refresh-failed", cause);
                    }
                }
                _ => drop(lease),
            }
        });
    }

    pub(super) async fn lock(&self) -> Result<Lease, LockError> {
        let key = self.keys.read_lock(self.user);
        let ttl = Ttl::of_millis(FETCH_LOCK_TTL_MS);
        let longest = self.source.origin().timeout + ttl.as_duration();
        let locks = Locks::new(self.redis.clone(), longest);
        locks.try_acquire(&key, ttl).await
    }
}

/// What is done with the origin's answer.
enum Verdict {
    Cacheable(Reading),
    Uncacheable(Reading),
    Failed(Failure),
}

impl Verdict {
    fn of(reading: Reading, freshness: Option<Freshness>) -> Self {
        if freshness.is_some() {
            Self::Cacheable(reading)
        } else {
            Self::Uncacheable(reading)
        }
    }
}
