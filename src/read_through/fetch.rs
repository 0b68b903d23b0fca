//! Asking the origin under the lock of the user's fetch, and keeping what comes of it.

use std::time::{Duration, Instant, SystemTime};

use http::StatusCode;

use super::stored::{Entry, Outcome};
use super::{Found, ReadError, ReadThrough, Source, Why, answered};
use crate::cache_control::{Defaults, Freshness, freshness};
use crate::lock::{Lease, LockError, Locks, Record};
use crate::log;
use crate::origin::{self, Answer, Failure};
use crate::seconds::{MAX_TTL_MS, Ttl};

/// How long the lock of a fetch lives without renewal: how long the others wait for an instance that died.
const LOCK_TTL_MS: u64 = 3000;

impl ReadThrough {
    /// Fetches under the lock and keeps what came of it; `None` if the lock was lost meanwhile, since the user has changed, or
    /// because it was held for too long.
    pub(super) async fn fetch(
        &self,
        mut lease: Lease,
        before: Option<Entry>,
        why: Why,
    ) -> Result<Option<Found>, ReadError> {
        let began = Instant::now();
        let fetched = lease.keep_during(self.ask()).await;
        self.context.acted(began.elapsed());
        let Ok(fetched) = fetched else {
            return Ok(None);
        };
        let number = lease.fencing_token().get();
        match self.judge(number, fetched) {
            Judged::Kept(entry) => {
                let kept = self.keep(lease, &entry).await;
                answered(entry, Source::Fetched { why, kept }).map(Some)
            }
            Judged::Unkept(entry) => {
                let keys = self.keys();
                let entry_key = keys.read_through(self.user);
                // What was kept before may not be kept either.
                self.leave(lease, &Outcome::Pass, &[&entry_key]).await;
                answered(entry, Source::Fetched { why, kept: false }).map(Some)
            }
            Judged::Failed(failure) => {
                self.leave(lease, &Outcome::Failed(failure.clone()), &[])
                    .await;
                self.rescued(before, failure, why).map(Some)
            }
        }
    }

    /// Asks for this request alone, since the origin's answers may not be kept.
    pub(super) async fn unshared(&self, why: Why) -> Result<Found, ReadError> {
        let began = Instant::now();
        let fetched = self.ask().await;
        self.context.acted(began.elapsed());
        match self.judge(0, fetched) {
            Judged::Kept(entry) | Judged::Unkept(entry) => {
                answered(entry, Source::Fetched { why, kept: false })
            }
            Judged::Failed(failure) => self.rescued(None, failure, why),
        }
    }

    async fn ask(&self) -> Result<Answer, Failure> {
        let limit = self.context.instance.config.max_body_bytes;
        let id = &self.context.id;
        let span = self.context.trace.span("fetch");
        let headers = span.headers(&self.headers);
        let answer = origin::fetch(&self.origin, self.user, id, &headers, limit).await;
        span.ended(&answer);
        answer
    }

    /// What is to be done with what the origin said.
    fn judge(&self, number: i64, fetched: Result<Answer, Failure>) -> Judged {
        let (status, headers, body) = match fetched {
            Ok(answer) => (StatusCode::OK, answer.headers, answer.body),
            Err(failure) if failure.status() == Some(StatusCode::NOT_FOUND) => {
                (StatusCode::NOT_FOUND, *failure.headers, failure.body)
            }
            Err(failure) => return Judged::Failed(failure),
        };
        let defaults = if status.is_success() {
            self.defaults()
        } else {
            self.negative_defaults()
        };
        let kept = freshness(&headers, &defaults, SystemTime::now());
        let kept = kept.filter(|kept| status.is_success() || !kept.lifetime.is_zero());
        let entry = Entry::new(
            number,
            status,
            &headers,
            body,
            &kept.unwrap_or(Freshness::NONE),
        );
        if kept.is_some() {
            Judged::Kept(entry)
        } else {
            Judged::Unkept(entry)
        }
    }

    fn defaults(&self) -> Defaults {
        let default = self.context.instance.config.cache_expire;
        let longest = Ttl::of_millis(MAX_TTL_MS);
        Defaults {
            lifetime: self.expire.unwrap_or(default).as_duration(),
            longest: self.expire.unwrap_or(longest).as_duration(),
            stale_while_revalidate: self.origin.stale_while_revalidate,
            stale_if_error: self.origin.stale_if_error,
        }
    }

    /// Those for an origin that knows no such user.
    fn negative_defaults(&self) -> Defaults {
        let lifetime = self.origin.negative_expire.as_duration();
        Defaults {
            lifetime,
            longest: lifetime,
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
        }
    }

    /// Keeps an entry and gives the lock back; returns whether it is kept. It is an answer all the same where the lock was lost, or
    /// where Redis fails.
    async fn keep(&self, lease: Lease, entry: &Entry) -> bool {
        let keys = self.keys();
        let (entry_key, outcome_key) = (keys.read_through(self.user), keys.read_outcome(self.user));
        let (value, ttl) = entry.write();
        let record = Record {
            key: &entry_key,
            value: &value,
            ttl,
        };
        lease.commit(&[record], &[&outcome_key]).await.is_ok()
    }

    /// Notes how the fetch ended, removes what is no longer to be kept, and gives the lock back.
    async fn leave(&self, lease: Lease, outcome: &Outcome, removed: &[&str]) {
        let outcome_key = self.keys().read_outcome(self.user);
        let record = Record {
            key: &outcome_key,
            value: &outcome.write(lease.fencing_token().get()),
            ttl: self.origin.negative_expire,
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
                Ok(seen) if !seen.is_fresh() => {
                    if let Err(ReadError::Missed(missed)) =
                        self.fetch(lease, None, Why::Stale).await
                    {
                        let id = &self.context.id;
                        log::failed_behind(id, "refresh-failed", &missed.failure.detail);
                    }
                }
                _ => drop(lease),
            }
        });
    }

    pub(super) async fn lock(&self) -> Result<Lease, LockError> {
        let key = self.keys().read_lock(self.user);
        let ttl = Ttl::of_millis(LOCK_TTL_MS);
        let longest = self.origin.timeout + ttl.as_duration();
        let locks = Locks::new(self.context.redis.clone(), longest);
        locks.try_acquire(&key, ttl).await
    }
}

/// What is to be done with what the origin said.
enum Judged {
    Kept(Entry),
    Unkept(Entry),
    Failed(Failure),
}
