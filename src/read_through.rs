//! Reads users from the origin through Redis: one fetch at a time per user, however many ask and on however many instances and hosts;
//! stale while it is fetched anew, and stale rather than down (RFC 5861).
//!
//! Whoever finds nothing fresh takes a lock of its own kind, fetches, and commits what came of it in the step that gives the lock back.
//! The others look at Redis until something has come of that fetch: an entry, a failure that they share, or that the answer may not be
//! kept, and then each asks for itself. An action that changes the user takes the fetch its lock away, so that what was read
//! before the change is not kept after it.

mod fetch;
mod lookup;
mod stored;

use std::sync::Arc;
use std::time::Instant;

use http::HeaderMap;

use crate::backoff::Backoff;
use crate::config::Origin;
use crate::keys::{Keys, UserId};
use crate::lock::LockError;
use crate::origin::Failure;
use crate::random;
use crate::redis_error::RedisError;
use crate::request::RequestContext;
use crate::seconds::Ttl;
use lookup::Seen;
pub(crate) use lookup::{forgotten, outdate};
pub(crate) use stored::Entry;
use stored::Outcome;

/// Where a user came from.
#[derive(Debug)]
pub(crate) enum Source {
    /// What was kept, fresh or stale; the origin was not waited for.
    Kept,
    /// The origin's answer, by a fetch of this request's own.
    Fetched {
        /// Why it was fetched.
        why: Why,
        /// Whether it was kept.
        kept: bool,
    },
    /// The origin's answer, by a fetch that this request has waited for.
    Collapsed(Why),
    /// What was kept, since the origin was asked and is down.
    Rescued(Failure),
}

/// Why the origin was asked (RFC 9211, section 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// There was nothing.
    Miss,
    /// What there was is too old.
    Stale,
    /// The caller wanted it so.
    Request,
}

/// A user, and where it came from.
#[derive(Debug)]
pub(crate) struct Found {
    /// What is known.
    pub(crate) entry: Entry,
    /// Where it came from.
    pub(crate) source: Source,
}

/// No user, since the origin failed.
pub(crate) struct Missed {
    /// What it did.
    pub(crate) failure: Failure,
    /// Why it was asked.
    pub(crate) why: Why,
}

/// Why a reading has no result.
pub(crate) enum ReadError {
    /// The origin failed.
    Missed(Box<Missed>),
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
    context: RequestContext,
    origin: Arc<Origin>,
    /// The request's headers.
    headers: HeaderMap,
    user: UserId,
    /// How long the request wants it kept at most.
    expire: Option<Ttl>,
}
impl ReadThrough {
    /// A reading of `user` in the name of the request with these headers.
    pub(crate) fn new(
        context: RequestContext,
        origin: Arc<Origin>,
        headers: HeaderMap,
        user: UserId,
        expire: Option<Ttl>,
    ) -> Self {
        Self {
            context,
            origin,
            headers,
            user,
            expire,
        }
    }

    /// What is kept of the user, if it may be served: fresh, or stale while it is fetched anew, in a task that outlives the request's
    /// answer; else what the origin says.
    ///
    /// # Errors
    /// If the origin fails and there is nothing to serve instead, or if Redis fails.
    ///
    /// # Cancellation
    /// A future dropped half-way may leave the lock of the fetch taken for some seconds.
    pub(crate) async fn read(self) -> Result<Found, ReadError> {
        let seen = self.lookup().await?;
        let Some(entry) = &seen.entry else {
            return self.fetched(Why::Miss, seen).await;
        };
        let failed = matches!(seen.outcome, Some((_, Outcome::Failed(_))));
        if entry.fresh_for().is_none() {
            if entry.serves_while_revalidating() {
                if seen.reading == 0 && !failed {
                    self.clone().refresh_later();
                }
            } else if !(failed && entry.serves_if_error()) {
                return self.fetched(Why::Stale, seen).await;
            }
            // The origin has just failed: it is spared for a while.
        }
        Ok(kept(entry.clone()))
    }

    /// What the origin says, by a fetch that began after this request did. Its failure is told.
    ///
    /// # Errors
    /// As [`ReadThrough::read`].
    ///
    /// # Cancellation
    /// As [`ReadThrough::read`].
    pub(crate) async fn read_anew(self) -> Result<Found, ReadError> {
        let seen = self.lookup().await?;
        self.fetched(Why::Request, seen).await
    }

    /// Fetches, or waits for another's fetch, for `origin_timeout` each at most.
    async fn fetched(&self, why: Why, mut seen: Seen) -> Result<Found, ReadError> {
        let began = Instant::now();
        let deadline = began + self.origin.timeout;
        let mut backoff = Backoff::new();
        // The fetch that was under way when this request came: its end is of use, unless the request wants one that began later.
        let mut since = (seen.reading > 0).then_some(seen.reading);
        loop {
            let of_use = |number: i64| {
                since.is_some_and(|since| number > since || number == since && why != Why::Request)
            };
            if let Some(end) = end_of(&seen, why, of_use) {
                self.context.waited(began.elapsed());
                return match end {
                    End::Entry(entry) => answered(entry, Source::Collapsed(why)),
                    End::Failure(failure) => self.rescued(seen.entry, failure, why),
                    End::Pass => self.unshared(why).await,
                };
            }
            if seen.reading == 0 {
                match self.lock().await {
                    Ok(lease) => {
                        // Another may have ended between our look and our lock.
                        let again = self.lookup().await?;
                        if why == Why::Request || !again.is_fresh() {
                            self.context.waited(began.elapsed());
                            if let Some(found) = self.fetch(lease, again.entry, why).await? {
                                return Ok(found);
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
                let failure = Failure::timed_out(self.origin.timeout);
                return self.rescued(seen.entry, failure, why);
            }
            let pause = backoff.next_pause(random::bits64()).min(left);
            spin_sdk::time::sleep(pause).await;
            seen = self.lookup().await?;
            since = since.or((seen.reading > 0).then_some(seen.reading));
        }
    }
    /// What was kept before, if it may stand in for an origin that is down.
    fn rescued(
        &self,
        before: Option<Entry>,
        failure: Failure,
        why: Why,
    ) -> Result<Found, ReadError> {
        match before {
            Some(entry) if why != Why::Request && failure.is_down() && entry.serves_if_error() => {
                answered(entry, Source::Rescued(failure))
            }
            _ => Err(missed(failure, why)),
        }
    }
    fn keys(&self) -> &Keys {
        &self.context.instance.keys
    }
}

/// How a fetch has ended that was waited for.
enum End {
    Entry(Entry),
    Failure(Failure),
    Pass,
}

fn end_of(seen: &Seen, why: Why, of_use: impl Fn(i64) -> bool) -> Option<End> {
    if let Some(entry) = &seen.entry {
        let shared = entry.fresh_for().is_some() && why != Why::Request;
        if shared || of_use(entry.number()) {
            return Some(End::Entry(entry.clone()));
        }
    }
    match &seen.outcome {
        Some((_, Outcome::Pass)) => Some(End::Pass),
        Some((number, Outcome::Failed(failure))) if of_use(*number) => {
            Some(End::Failure(failure.clone()))
        }
        _ => None,
    }
}
fn kept(entry: Entry) -> Found {
    Found {
        entry,
        source: Source::Kept,
    }
}

fn answered(entry: Entry, source: Source) -> Result<Found, ReadError> {
    Ok(Found { entry, source })
}

fn missed(failure: Failure, why: Why) -> ReadError {
    ReadError::Missed(Box::new(Missed { failure, why }))
}
