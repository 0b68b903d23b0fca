//! Asking the origin under the lock of the user's fetch, and keeping what comes of it.

use std::pin::pin;
use std::time::{Duration, Instant, SystemTime};

use super::ended_fetch::{EndedFetch, FetchOutcome};
use super::lookup::{Lookup, USERS_LOCK};
use super::reading::{FetchStart, Reading};
use super::{FetchReason, ReadError, ReadThrough, Source, UserRead, answered};
use crate::core::lock::{
    COMMITTING, CommitScript, FENCE, FORMATS, GIVE_BACK, HOLDER, Lease, QUEUE, Record,
};
use crate::platform::origin::{Answer, Arrival, Defaults, Failure, Freshness};
use crate::platform::redis::{Argument, Script, lua};
use crate::platform::telemetry::log;
use crate::types::ttl::{MAX_TTL_MS, Ttl};

static KEEP: Script = Script::new(&[
    FORMATS,
    FENCE,
    HOLDER,
    QUEUE,
    GIVE_BACK,
    COMMITTING,
    USERS_LOCK,
    lua!("keep.lua"),
]);

/// How long those who waited for a fetch are told that there is nothing to share. They look more
/// often than this, and whoever comes later fetches anew.
const NOT_SHARED_TTL: Ttl = Ttl::of_millis(2000);

impl ReadThrough {
    /// Fetches under the lock, which `lookup` has taken, and keeps what came of it. If the lock is
    /// lost meanwhile, the fetch goes on and is answered, but nothing is kept. `has_waited` says
    /// whether the request has waited for the fetches of others before.
    pub(super) async fn fetch(
        &self,
        mut lease: Lease,
        lookup: Lookup,
        reason: FetchReason,
        has_waited: bool,
    ) -> Result<UserRead, ReadError> {
        let began = Instant::now();
        let timeout = self.source.origin().timeout;
        let is_cut = has_waited && self.redis.deadline().clamp_since(began, timeout) < timeout;
        let start = lookup.start(lease.fencing_token().get());
        let mut asking = pin!(self.ask());
        let (asked, lease) = match lease.keep_during(asking.as_mut()).await {
            Ok(asked) => (asked, Some(lease)),
            Err(_) => (asking.await, None),
        };
        self.telemetry.stopwatches.add_action(began.elapsed());
        match self.judge(start, asked) {
            Verdict::Cacheable(mut reading) => {
                let kept = self.keep(lease, &mut reading, lookup.follows_lock).await;
                answered(reading, Source::Fetched { reason, kept })
            }
            Verdict::Uncacheable {
                reading,
                replaces_older,
            } => {
                let reading_key = self.keys.read_through(self.user);
                let removed = if replaces_older {
                    &[&*reading_key][..]
                } else {
                    &[]
                };
                let ended = EndedFetch::new(start, FetchOutcome::Uncacheable);
                self.leave(lease, &ended, NOT_SHARED_TTL, removed).await;
                let kept = false;
                answered(reading, Source::Fetched { reason, kept })
            }
            Verdict::Failed(failure) if failure.came_late() || failure.is_timeout() && is_cut => {
                // Others have more time to ask in. One of them takes the lock.
                if let Some(lease) = lease {
                    let _ = lease.release().await;
                }
                self.stale_if_error(lookup.reading, failure, reason, false)
            }
            Verdict::Failed(failure) => {
                let (outcome, ttl) = if failure.is_callers_own() {
                    (FetchOutcome::CallersOwn, NOT_SHARED_TTL)
                } else {
                    let ttl = self.source.origin().negative_expire;
                    (FetchOutcome::Failed(failure.clone()), ttl)
                };
                let ended = EndedFetch::new(start, outcome);
                self.leave(lease, &ended, ttl, &[]).await;
                self.stale_if_error(lookup.reading, failure, reason, false)
            }
        }
    }

    /// Asks for this request alone, since the origin's answers may not be kept, or not this one.
    pub(super) async fn unshared(
        &self,
        before: Option<Reading>,
        reason: FetchReason,
    ) -> Result<UserRead, ReadError> {
        let began = Instant::now();
        let asked = self.ask().await;
        self.telemetry.stopwatches.add_action(began.elapsed());
        let start = FetchStart::default();
        match self.judge(start, asked) {
            Verdict::Cacheable(reading) | Verdict::Uncacheable { reading, .. } => {
                let kept = false;
                answered(reading, Source::Fetched { reason, kept })
            }
            Verdict::Failed(failure) => self.stale_if_error(before, failure, reason, false),
        }
    }

    async fn ask(&self) -> (Result<Answer, Failure>, Arrival) {
        let began = Instant::now();
        let span = self.telemetry.trace.span("fetch");
        let answer = self.source.fetch(self.user, &span).await;
        span.ended(&answer);
        let arrival = Arrival {
            at: SystemTime::now(),
            delay: began.elapsed(),
        };
        (answer, arrival)
    }

    /// Whether the origin's answer may be kept, and for how long.
    fn judge(
        &self,
        start: FetchStart,
        (answer, arrival): (Result<Answer, Failure>, Arrival),
    ) -> Verdict {
        match answer {
            Ok(answer) => {
                let freshness = answer.freshness(&self.defaults(), arrival);
                let replaces_older = answer.replaces_older();
                Verdict::of(freshness, replaces_older, |freshness| {
                    Reading::found(start, answer, freshness)
                })
            }
            Err(failure) if failure.is_not_found() && failure.is_whole => {
                let freshness = failure.freshness(&self.negative_defaults(), arrival);
                let freshness = freshness.and_then(|freshness| {
                    if freshness.was_fresh {
                        Ok(freshness)
                    } else {
                        Err(freshness)
                    }
                });
                // There is no such user any longer.
                Verdict::of(freshness, true, |freshness| {
                    Reading::refused(start, failure, freshness)
                })
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

    /// Keeps an entry and gives the lock back. The reading is no longer current if anybody has had
    /// the user's lock meanwhile. Returns whether it is kept as fresh. It is an answer all the same
    /// where the lock was lost, or where Redis fails.
    async fn keep(&self, lease: Option<Lease>, reading: &mut Reading, follows_lock: bool) -> bool {
        let Some(lease) = lease else {
            return false;
        };
        let reading_key = self.keys.read_through(self.user);
        let outcome_key = self.keys.read_outcome(self.user);
        let users = self.keys.user_lock(self.user);
        let (value, ttl) = reading.write();
        let record = Record {
            key: &reading_key,
            value: &value,
            ttl,
        };
        let runs_on = if follows_lock {
            self.runs_on()
        } else {
            Argument::Integer(0)
        };
        let by = CommitScript {
            script: &KEEP,
            keys: &[users.lock(), users.fence()],
            arguments: &[runs_on],
        };
        let Ok(fence) = lease.commit_by(by, &[record], &[&outcome_key]).await else {
            return false;
        };
        if follows_lock {
            reading.see_fence(fence);
        }
        reading.is_current()
    }

    /// Notes how the fetch ended, removes what is no longer to be kept, and gives the lock back.
    async fn leave(&self, lease: Option<Lease>, ended: &EndedFetch, ttl: Ttl, removed: &[&str]) {
        let Some(lease) = lease else {
            return;
        };
        let outcome_key = self.keys.read_outcome(self.user);
        let record = Record {
            key: &outcome_key,
            value: &ended.write(),
            ttl,
        };
        // Without the note the others ask for themselves.
        let _ = lease.commit(&[record], removed).await;
    }

    /// Fetches in a task of its own, under the lock that `lookup` has taken.
    pub(super) fn refresh_later(self, lease: Lease, mut lookup: Lookup) {
        // Nobody waits for it, so nothing need stand in for it.
        lookup.reading = None;
        wit_bindgen::spawn(async move {
            let read = self.fetch(lease, lookup, FetchReason::Stale, false).await;
            if let Err(ReadError::Origin(origin_failed)) = read {
                let id = &self.telemetry.request_id;
                let cause = &origin_failed.failure.detail;
                log::background_failure(id, "refresh-failed", cause);
            }
        });
    }
}

/// What is done with the origin's answer.
enum Verdict {
    Cacheable(Reading),
    Uncacheable {
        reading: Reading,
        /// Whether what was kept before is no longer to be kept either.
        replaces_older: bool,
    },
    Failed(Failure),
}

impl Verdict {
    fn of(
        freshness: Result<Freshness, Freshness>,
        replaces_older: bool,
        reading: impl FnOnce(&Freshness) -> Reading,
    ) -> Self {
        match freshness {
            Ok(freshness) => Self::Cacheable(reading(&freshness)),
            Err(freshness) => Self::Uncacheable {
                reading: reading(&freshness),
                replaces_older,
            },
        }
    }
}
