//! The lock: acquire, wait, renew, commit, release.
//!
//! One Redis key per lock, set only if absent and with an expiry, holding its owner's random token; every change
//! compares that token and acts in one script (<https://redis.io/docs/latest/develop/clients/patterns/distributed-locks/>).
//! Each acquisition also has a fencing token, a number that only ever grows, for whatever the work writes to: a store
//! that refuses a smaller number than it has seen is safe even from a holder that was paused beyond its expiry (Martin
//! Kleppmann, *How to do distributed locking*, 2016).
//!
//! Here is the order in which waiters are served left out on purpose: they poll, and whoever asks first after a release has it.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use futures::future::{Either, select};
use spin_sdk::redis::RedisResult;

use crate::backoff::{Backoff, bounded_pause};
use crate::keys::LockKey;
use crate::random;
use crate::redis::{Argument, Redis, Script, within};
use crate::redis_error::{RedisError, Unanswered};
use crate::seconds::Ttl;

static ACQUIRE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lock/acquire.lua")));
static RENEW: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lock/renew.lua")));
static RELEASE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lock/release.lua")));
static COMMIT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lock/commit.lua")));

/// How long a fence outlives its lock's last use, so that idle users leave no key behind for good.
const FENCE_TTL_MS: u64 = 7 * 24 * 3600 * 1000;

/// The longest that a release goes on waiting behind an acquisition whose answer was lost.
const LONGEST_CLEANUP: Duration = Duration::from_secs(30);

/// The number of one acquisition: greater than that of every earlier acquisition of the same lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FencingToken(i64);

impl FencingToken {
    /// The number, greater than zero and below 2^53.
    pub fn get(self) -> i64 {
        self.0
    }
}

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why there is no lock, or no longer.
#[derive(Debug)]
pub enum LockError {
    /// Somebody else holds it, also after any waiting; `remaining` until it expires, `None` if it never does.
    Held {
        /// The holder's time left when last seen.
        remaining: Option<Duration>,
    },
    /// It was ours, and it expired, was taken, or was held for as long as allowed.
    Lost,
    /// Redis failed.
    Redis(RedisError),
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held { .. } => f.write_str("the lock is held by someone else"),
            Self::Lost => f.write_str("the lock was lost"),
            Self::Redis(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for LockError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Redis(error) => Some(error),
            _ => None,
        }
    }
}

impl From<RedisError> for LockError {
    fn from(error: RedisError) -> Self {
        Self::Redis(error)
    }
}

/// Acquires locks.
#[derive(Clone)]
pub struct Locks {
    redis: Redis,
    max_hold: Duration,
}

impl Locks {
    /// Locks in the Redis behind `redis`. `max_hold` bounds how long [`Lease::keep_during`] renews a lock, counted from its
    /// acquisition; a lock whose time to live is longer than that is not renewed at all.
    pub fn new(redis: Redis, max_hold: Duration) -> Self {
        Self { redis, max_hold }
    }

    /// Tries once to take the lock for `ttl`.
    ///
    /// # Errors
    /// [`LockError::Held`] if somebody else has it, [`LockError::Redis`] if Redis fails; never [`LockError::Lost`]. Where
    /// the answer of Redis was lost and the lock may have been taken, a task in the background gives it back.
    ///
    /// # Cancellation
    /// A future dropped half-way may leave the lock taken until `ttl` has passed.
    pub async fn try_acquire(&self, key: &LockKey, ttl: Ttl) -> Result<Lease, LockError> {
        self.acquire(key, Duration::ZERO, ttl).await
    }

    /// Takes the lock for `ttl`, waiting for it up to `timeout`: tries at once, then after growing pauses of 5 to 100 ms,
    /// never sleeping past the holder's expiry, and a last time when `timeout` has passed.
    ///
    /// # Errors
    /// As [`Locks::try_acquire`].
    ///
    /// # Cancellation
    /// As [`Locks::try_acquire`].
    pub async fn acquire(
        &self,
        key: &LockKey,
        timeout: Duration,
        ttl: Ttl,
    ) -> Result<Lease, LockError> {
        let began = Instant::now();
        let deadline = began + timeout;
        let token = random::hex128();
        let mut backoff = Backoff::new();
        loop {
            let sent = Instant::now();
            match self.attempt(key, &token, ttl).await? {
                Attempt::Acquired(fencing_token) => {
                    return Ok(Lease {
                        redis: self.redis.clone(),
                        key: key.clone(),
                        token,
                        fencing_token,
                        ttl,
                        waited: began.elapsed(),
                        valid_until: sent + ttl.as_duration(),
                        hold_until: sent + self.max_hold.max(ttl.as_duration()),
                        renewable: ttl.as_duration() <= self.max_hold,
                        settled: false,
                    });
                }
                Attempt::Held(remaining) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    let pause = backoff.next_pause(random::bits64());
                    match bounded_pause(pause, left, remaining) {
                        Some(pause) => spin_sdk::time::sleep(pause).await,
                        None => return Err(LockError::Held { remaining }),
                    }
                }
            }
        }
    }

    /// Runs `work` under the lock: takes it as [`Locks::acquire`] does, renews it as [`Lease::keep_during`] does, and gives
    /// it back. `work` gets the fencing token.
    ///
    /// # Errors
    /// [`LockError::Held`] or [`LockError::Redis`] if the lock was not had: then `work` was not called.
    /// [`LockError::Lost`] if it was lost on the way: then `work` was stopped where it was, or had ended and its last part may
    /// not have been alone. That the lock could not be given back because Redis failed is no error: it expires.
    ///
    /// # Cancellation
    /// Dropping the future drops `work` and gives the lock back in the background.
    pub async fn with_lock<T, F>(
        &self,
        key: &LockKey,
        timeout: Duration,
        ttl: Ttl,
        work: impl FnOnce(FencingToken) -> F,
    ) -> Result<T, LockError>
    where
        F: Future<Output = T>,
    {
        let mut lease = self.acquire(key, timeout, ttl).await?;
        let output = lease.keep_during(work(lease.fencing_token())).await?;
        match lease.release().await {
            Ok(()) | Err(LockError::Redis(_)) => Ok(output),
            Err(lost) => Err(lost),
        }
    }

    async fn attempt(&self, key: &LockKey, token: &str, ttl: Ttl) -> Result<Attempt, LockError> {
        let arguments = [
            Argument::Bytes(token.as_bytes()),
            Argument::Millis(ttl.as_millis()),
            Argument::Millis(fence_ttl_ms(ttl)),
        ];
        let keys = [key.lock(), key.fence()];
        match self.redis.script(&ACQUIRE, &keys, &arguments).await {
            Ok(reply) => Ok(Attempt::from_reply(&reply)?),
            Err(error) => {
                if let Some(unanswered) = error.unanswered() {
                    let limit = ttl.as_duration().min(LONGEST_CLEANUP);
                    let (redis, key) = (self.redis.clone(), key.clone());
                    give_back_later(redis, key, token.to_owned(), unanswered, limit);
                }
                Err(error.into())
            }
        }
    }
}

/// What one try to acquire came to.
enum Attempt {
    Acquired(FencingToken),
    Held(Option<Duration>),
}

impl Attempt {
    fn from_reply(reply: &[RedisResult]) -> Result<Self, RedisError> {
        match reply {
            [RedisResult::Int64(1), RedisResult::Int64(number)] => {
                Ok(Self::Acquired(FencingToken(*number)))
            }
            // PTTL is -1 for a key without expiry.
            [RedisResult::Int64(0), RedisResult::Int64(ms)] => Ok(Self::Held(
                u64::try_from(*ms).ok().map(Duration::from_millis),
            )),
            _ => Err(RedisError::unexpected("not a reply of acquire.lua")),
        }
    }
}

/// What [`Lease::commit`] writes.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// The Redis key, in the lock's hash slot.
    pub key: &'a str,
    /// The bytes. They must hold the fencing token: a commit that is repeated after a lost answer knows itself by them.
    pub value: &'a [u8],
    /// How long they are kept.
    pub ttl: Ttl,
}

/// A lock that is ours until it expires, is renewed, or is given back. Dropping it gives it back in the background.
pub struct Lease {
    redis: Redis,
    key: LockKey,
    token: String,
    fencing_token: FencingToken,
    ttl: Ttl,
    waited: Duration,
    /// Up to when the lock is surely ours: counted from before the last call that set its expiry was sent.
    valid_until: Instant,
    /// When `max_hold` is used up; with a longer time to live, when that is.
    hold_until: Instant,
    renewable: bool,
    /// Nothing is left to be given back.
    settled: bool,
}

impl Lease {
    /// The number of this acquisition.
    pub fn fencing_token(&self) -> FencingToken {
        self.fencing_token
    }

    /// How long the acquisition took, from the first try to the answer.
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// Runs `work` while the lock is kept: renewed at every third of its time to live, for `max_hold` at most.
    ///
    /// # Errors
    /// [`LockError::Lost`] as soon as the lock is known to be lost, or can no longer be known to be ours, or `max_hold` is
    /// used up: `work` is dropped where it is. A renewal that Redis fails to answer is repeated for as long as the lock lives.
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
        let third = self.ttl.as_duration() / 3;
        let mut renew_at = self.valid_until - self.ttl.as_duration() + third;
        loop {
            let end = self.valid_until.min(self.hold_until);
            let next = if self.renewable {
                renew_at.min(end)
            } else {
                end
            };
            spin_sdk::time::sleep(next.saturating_duration_since(Instant::now())).await;
            let now = Instant::now();
            if now >= end {
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
    /// [`LockError::Lost`] if it had expired or is somebody else's; [`LockError::Redis`] if Redis failed: it may have been
    /// renewed or not.
    ///
    /// # Cancellation
    /// A future dropped half-way may have renewed the lock.
    pub async fn renew(&mut self) -> Result<(), LockError> {
        let sent = Instant::now();
        let arguments = [
            Argument::Bytes(self.token.as_bytes()),
            Argument::Millis(self.ttl.as_millis()),
            Argument::Millis(fence_ttl_ms(self.ttl)),
        ];
        let keys = [self.key.lock(), self.key.fence()];
        let reply = self.redis.script(&RENEW, &keys, &arguments).await?;
        if still_ours(&reply)? {
            self.valid_until = sent + self.ttl.as_duration();
            return Ok(());
        }
        self.settled = true;
        Err(LockError::Lost)
    }

    /// Gives the lock back.
    ///
    /// # Errors
    /// [`LockError::Lost`] if it had expired or is somebody else's: then nothing is touched. [`LockError::Redis`] if Redis
    /// failed: then it is tried once more in the background, and the lock's expiry is the backstop.
    ///
    /// # Cancellation
    /// A future dropped half-way gives the lock back in the background.
    pub async fn release(mut self) -> Result<(), LockError> {
        let arguments = [Argument::Bytes(self.token.as_bytes())];
        let reply = self
            .redis
            .script(&RELEASE, &[self.key.lock()], &arguments)
            .await;
        self.settle(reply)
    }

    /// Writes `record` and gives the lock back in one step, only if the lock is still ours.
    ///
    /// # Errors
    /// [`LockError::Lost`] if it had expired or is somebody else's: then nothing is written. [`LockError::Redis`] if Redis
    /// failed: if it refused, nothing is written; if it did not answer, both may have happened.
    ///
    /// # Cancellation
    /// A future dropped half-way may have written the record; the lock is given back in any case.
    pub async fn commit(mut self, record: Record<'_>) -> Result<(), LockError> {
        let arguments = [
            Argument::Bytes(self.token.as_bytes()),
            Argument::Bytes(record.value),
            Argument::Millis(record.ttl.as_millis()),
        ];
        let keys = [self.key.lock(), record.key];
        let reply = self.redis.script(&COMMIT, &keys, &arguments).await;
        self.settle(reply)
    }

    /// Reads the reply of a script that ends the lease.
    fn settle(&mut self, reply: Result<Vec<RedisResult>, RedisError>) -> Result<(), LockError> {
        match reply {
            Ok(reply) => {
                self.settled = true;
                if still_ours(&reply)? {
                    Ok(())
                } else {
                    Err(LockError::Lost)
                }
            }
            Err(error) => {
                self.abandon(error.unanswered().unwrap_or_default());
                Err(error.into())
            }
        }
    }

    fn abandon(&mut self, unanswered: Unanswered) {
        if self.settled {
            return;
        }
        self.settled = true;
        let limit = self.ttl.as_duration().min(LONGEST_CLEANUP);
        let (redis, key) = (self.redis.clone(), self.key.clone());
        give_back_later(redis, key, self.token.clone(), unanswered, limit);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.abandon(Unanswered::default());
    }
}

/// Whether a script that compares the token found it.
fn still_ours(reply: &[RedisResult]) -> Result<bool, RedisError> {
    match reply {
        [RedisResult::Int64(1)] => Ok(true),
        [RedisResult::Int64(0)] => Ok(false),
        _ => Err(RedisError::unexpected("not a reply of a lock's script")),
    }
}

fn fence_ttl_ms(ttl: Ttl) -> u64 {
    // A fence that expired before its lock would forget whose fencing token it was.
    FENCE_TTL_MS.max(ttl.as_millis().saturating_mul(2))
}

/// Releases a lock behind a call that was not answered, in a task that outlives the request's answer. Whether it
/// succeeds is nobody's to know: the lock's expiry is the backstop.
fn give_back_later(
    redis: Redis,
    key: LockKey,
    token: String,
    unanswered: Unanswered,
    limit: Duration,
) {
    wit_bindgen::spawn(async move {
        let arguments = [Argument::Bytes(token.as_bytes())];
        let _ = redis
            .script_after(unanswered, limit, &RELEASE, &[key.lock()], &arguments)
            .await;
    });
}
