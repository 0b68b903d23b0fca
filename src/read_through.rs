//! Reads users from the origin through Redis: one fetch at a time per user, however many ask and on however many instances and hosts;
//! stale while it is fetched anew, and stale rather than down (RFC 5861).
//!
//! Whoever finds nothing fresh takes a lock of its own kind, fetches, and commits what came of it in the step that gives the lock back.
//! The others look at Redis until something has come of that fetch: an entry, a failure that they share, or that the answer may not be
//! kept, and then each asks for itself. An action that changes the user takes the fetch its lock away, so that what was read
//! before the change is not kept after it.

mod stored;

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

use http::{HeaderMap, StatusCode};
use spin_sdk::redis::RedisResult;

use crate::backoff::{Backoff, bounded_pause};
use crate::cache_control::{Defaults, Freshness, freshness};
use crate::config::Origin;
use crate::keys::{Keys, UserId};
use crate::lock::{FencingToken, Lease, LockError, Record};
use crate::origin::{self, Answer, Failure};
use crate::random;
use crate::redis::{Redis, Repeat, Script};
use crate::redis_error::RedisError;
use crate::request::RequestContext;
use crate::seconds::{MAX_TTL_MS, Ttl};
pub(crate) use stored::Entry;
use stored::Outcome;

static LOOKUP: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("read_through/lookup.lua")));
static OUTDATE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("read_through/outdate.lua")));

/// How long the lock of a fetch lives without renewal: how long the others wait for an instance that died.
const LOCK_TTL_MS: u64 = 3000;

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
    origin: Origin,
    /// The request's headers.
    headers: HeaderMap,
    user: UserId,
    /// How long the request wants it kept at most.
    expire: Option<Ttl>,
}

/// What Redis knows of a user.
struct Seen {
    entry: Option<Entry>,
    outcome: Option<(i64, Outcome)>,
    /// The fencing token of the fetch under way, 0 where there is none.
    reading: i64,
}

impl ReadThrough {
    /// A reading of `user` in the name of the request with these headers.
    pub(crate) fn new(
        context: RequestContext,
        origin: Origin,
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
            let Some(pause) = bounded_pause(backoff.next_pause(random::bits64()), left, None)
            else {
                let failure = Failure::timed_out(self.origin.timeout);
                return self.rescued(seen.entry, failure, why);
            };
            spin_sdk::time::sleep(pause).await;
            seen = self.lookup().await?;
            since = since.or((seen.reading > 0).then_some(seen.reading));
        }
    }

    /// Fetches under the lock and keeps what came of it; `None` if the lock was lost meanwhile, since the user has changed, or
    /// because it was held for too long.
    async fn fetch(
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
        let number = lease.fencing_token();
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
    async fn unshared(&self, why: Why) -> Result<Found, ReadError> {
        let began = Instant::now();
        let fetched = self.ask().await;
        self.context.acted(began.elapsed());
        match self.judge_number(0, fetched) {
            Judged::Kept(entry) | Judged::Unkept(entry) => {
                answered(entry, Source::Fetched { why, kept: false })
            }
            Judged::Failed(failure) => self.rescued(None, failure, why),
        }
    }

    async fn ask(&self) -> Result<Answer, Failure> {
        let limit = self.context.instance.config.max_body_bytes;
        let id = &self.context.id;
        origin::fetch(&self.origin, self.user, id, &self.headers, limit).await
    }

    fn judge(&self, number: FencingToken, fetched: Result<Answer, Failure>) -> Judged {
        self.judge_number(number.get(), fetched)
    }

    /// What is to be done with what the origin said.
    fn judge_number(&self, number: i64, fetched: Result<Answer, Failure>) -> Judged {
        let (status, headers, body) = match fetched {
            Ok(answer) => (StatusCode::OK, answer.headers, answer.body),
            Err(failure) if failure.status() == Some(StatusCode::NOT_FOUND) => {
                (StatusCode::NOT_FOUND, failure.headers, failure.body)
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

    /// Fetches in a task of its own, unless somebody is at it.
    fn refresh_later(self) {
        wit_bindgen::spawn(async move {
            let Ok(lease) = self.lock().await else {
                return;
            };
            match self.lookup().await {
                Ok(seen) if !seen.is_fresh() => {
                    if let Err(ReadError::Missed(missed)) =
                        self.fetch(lease, None, Why::Stale).await
                    {
                        let (id, user) = (self.context.id.as_str(), self.user);
                        let detail = &missed.failure.detail;
                        eprintln!(
                            "edgelatch: {id} refreshing user {user} behind its answer: {detail}"
                        );
                    }
                }
                _ => drop(lease),
            }
        });
    }

    async fn lock(&self) -> Result<Lease, LockError> {
        let key = self.keys().read_lock(self.user);
        let ttl = Ttl::of_millis(LOCK_TTL_MS);
        let longest = self.origin.timeout + ttl.as_duration();
        let locks = crate::lock::Locks::new(self.context.redis.clone(), longest);
        locks.try_acquire(&key, ttl).await
    }

    async fn lookup(&self) -> Result<Seen, RedisError> {
        let keys = self.keys();
        let lock = keys.read_lock(self.user);
        let (entry, outcome) = (keys.read_through(self.user), keys.read_outcome(self.user));
        let keys = [entry.as_str(), &outcome, lock.lock(), lock.fence()];
        let redis = &self.context.redis;
        let reply = redis.script(&LOOKUP, &keys, &[], Repeat::Safe).await?;
        match reply.as_slice() {
            [
                RedisResult::Binary(entry),
                RedisResult::Int64(left),
                RedisResult::Binary(outcome),
                RedisResult::Int64(reading),
            ] => Ok(Seen {
                entry: Entry::read(entry, *left),
                outcome: Outcome::read(outcome),
                reading: *reading,
            }),
            _ => Err(RedisError::unexpected("not a reply of lookup.lua")),
        }
    }

    fn keys(&self) -> &Keys {
        &self.context.instance.keys
    }
}

impl Seen {
    fn is_fresh(&self) -> bool {
        let fresh = self.entry.as_ref().and_then(Entry::fresh_for);
        fresh.is_some()
    }
}

enum Judged {
    Kept(Entry),
    Unkept(Entry),
    Failed(Failure),
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

/// After an action that has changed a user, or may have: what was read before is not served before the origin was asked again, but
/// for when it is down. Best done in the action's own commit, where that is known to have succeeded: see [`forgotten`].
///
/// # Errors
/// If Redis fails.
pub(crate) async fn outdate(redis: &Redis, keys: &Keys, user: UserId) -> Result<(), RedisError> {
    let lock = keys.read_lock(user);
    let keys = [keys.read_through(user), lock.lock().to_owned()];
    let keys = [keys[0].as_str(), &keys[1]];
    redis.script(&OUTDATE, &keys, &[], Repeat::Safe).await?;
    Ok(())
}

/// The keys to remove in the step that commits a change of a user: what was read, and the lock of a fetch under way, which then
/// keeps nothing.
pub(crate) fn forgotten(keys: &Keys, user: UserId) -> [String; 2] {
    [
        keys.read_through(user),
        keys.read_lock(user).lock().to_owned(),
    ]
}
