//! The lock: acquire, wait, renew, commit, release.
//!
//! One Redis key per lock, set only if absent and with an expiry, holding its owner's random token;
//! every change compares that token and acts in one script
//! (<https://redis.io/docs/latest/develop/clients/patterns/distributed-locks/>). Each acquisition
//! also has a fencing token, a number that only ever grows, for whatever the work writes to: a
//! store that refuses a smaller number than it has seen is safe even from a holder that was paused
//! beyond its expiry (Martin Kleppmann, *How to do distributed locking*, 2016).
//!
//! Those who wait are served in the order in which they came: whoever gives a lock back hands it to
//! the one who has waited longest. They look now and then all the same ([`poll_interval`]), and
//! that alone would be correct.

mod acquire;
mod attempt;
mod cancel;
mod cleanup;
mod commit;
mod error;
mod fencing_token;
mod lease;
mod owned_lock;
mod owner_name;
mod poll_interval;
mod release;
mod renew;
mod scripts;
mod status;
mod token;
mod watch;
mod without_token;

use std::future::Future;
use std::time::{Duration, Instant};

pub use acquire::Grant;
pub(crate) use acquire::{Acquisition, GrantUnlessDone};
pub use commit::Record;
pub(crate) use commit::{COMMITTING, CommitScript};
pub use error::LockError;
pub use fencing_token::FencingToken;
pub use lease::Lease;
#[cfg(not(target_family = "wasm"))]
pub(crate) use owner_name::MAX_OWNER_NAME;
pub use owner_name::OwnerName;
pub(crate) use scripts::{FENCE, FORMATS, GIVE_BACK, HOLDER, QUEUE};
pub use status::{Broken, HeldBy, Holder, LockStatus};
pub use token::OwnerToken;
#[cfg(not(target_family = "wasm"))]
pub(crate) use token::TOKEN_LENGTHS;

use crate::platform::redis::{Redis, RedisError};
use crate::types::keys::LockKey;
use crate::types::ttl::Ttl;
use cleanup::GivenBackFor;
use lease::AcquisitionTimes;
use owned_lock::OwnedLock;
use release::HoldersWork;

/// The original service's words for a lock that was not acquired.
pub(crate) const COULD_NOT_ACQUIRE: &str = "Could not acquire lock";

/// Acquires locks.
#[derive(Clone)]
pub struct Locks {
    redis: Redis,
    max_hold: Duration,
    name: Option<OwnerName>,
}

impl Locks {
    /// Locks in the Redis behind `redis`. `max_hold` bounds how long [`Lease::keep_during`] renews
    /// a lock, counted from its acquisition; a lock whose time to live is longer than that is not
    /// renewed at all.
    pub fn new(redis: Redis, max_hold: Duration) -> Self {
        Self {
            redis,
            max_hold,
            name: None,
        }
    }

    /// The same locks, whose acquisitions say this of their owner. [`Locks::inspect`] and
    /// [`LockError::Held`] tell it while the lock is held.
    #[must_use]
    pub fn as_owner(mut self, name: Option<OwnerName>) -> Self {
        self.name = name;
        self
    }

    /// Tries once to take the lock for `ttl`.
    ///
    /// # Errors
    /// [`LockError::Held`] if somebody else has it, [`LockError::Redis`] if Redis fails; never
    /// [`LockError::Lost`]. Where the answer of Redis was lost and the lock may have been taken, a
    /// task in the background gives it back.
    ///
    /// # Cancellation
    /// A future dropped half-way may leave the lock taken until `ttl` has passed, and where it
    /// waited, for a second and a half when its turn comes.
    pub async fn try_acquire(&self, key: &LockKey, ttl: Ttl) -> Result<Lease, LockError> {
        self.acquire(key, Duration::ZERO, ttl).await
    }

    /// Takes the lock for `ttl`, waiting for it up to `timeout`: tries at once, then in the order
    /// in which those who wait have come, each as soon as it is handed the lock, and a last time
    /// when `timeout` has passed.
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
        let acquisition = self.acquire_unless_done(began, key, timeout, ttl, None);
        match acquisition.await? {
            Acquisition::Lease(lease) => Ok(lease),
            Acquisition::ResultExists(_) => {
                Err(RedisError::unexpected("a result nobody asked for").into())
            }
        }
    }

    /// Runs `work` under the lock: takes it as [`Locks::acquire`] does, renews it as
    /// [`Lease::keep_during`] does, and gives it back. `work` gets the fencing token.
    ///
    /// # Errors
    /// [`LockError::Held`] or [`LockError::Redis`] if the lock was not had: then `work` was not
    /// called. [`LockError::Lost`] if it was lost on the way: then `work` was stopped where it was,
    /// or had ended and its last part may not have been alone. That the lock could not be given
    /// back because Redis failed is no error: it expires.
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
        let output = match lease.keep_during(work(lease.fencing_token())).await {
            Ok(output) => output,
            Err(lost) => {
                // With `max_hold` used up it may still be ours.
                let _ = lease.release().await;
                return Err(lost);
            }
        };
        match lease.release().await {
            Ok(()) | Err(LockError::Redis(_)) => Ok(output),
            Err(lost) => Err(lost),
        }
    }

    /// Takes the lock for `token`, to be held across requests, waiting up to `timeout` as
    /// [`Locks::acquire`] does. Where the token has the lock already, its time to live begins anew
    /// and its fencing token stays.
    ///
    /// # Errors
    /// [`LockError::Held`] if somebody else has it, [`LockError::Redis`] if Redis fails. Then the
    /// call no longer waits. Where the answer of Redis was lost and the lock may have been taken,
    /// it is given back in the background, but not from a token that a client brought: it may be
    /// trying again with it.
    ///
    /// # Cancellation
    /// A future dropped half-way may leave the lock taken until `ttl` has passed.
    pub async fn grant(
        &self,
        key: &LockKey,
        token: &OwnerToken,
        timeout: Duration,
        ttl: Ttl,
    ) -> Result<Grant, LockError> {
        let began = Instant::now();
        let granted = self.grant_unless_done(began, key, token, timeout, ttl, None);
        match granted.await? {
            GrantUnlessDone::Granted(grant) => Ok(grant),
            GrantUnlessDone::ResultExists => {
                Err(RedisError::unexpected("a result nobody asked for").into())
            }
        }
    }

    /// Begins the time to live of a lock that `token` holds anew.
    ///
    /// # Errors
    /// [`LockError::Lost`] if the token does not hold it, [`LockError::Redis`] if Redis fails: it
    /// may have been renewed or not.
    ///
    /// # Cancellation
    /// A future dropped half-way may have renewed the lock.
    pub async fn renew(
        &self,
        key: &LockKey,
        token: &OwnerToken,
        ttl: Ttl,
    ) -> Result<FencingToken, LockError> {
        let owned = self.owned(key, token.clone(), ttl);
        owned.renew(None).await?.ok_or(LockError::Lost)
    }

    /// Gives back a lock that `token` holds. Calls of [`Locks::grant`] that wait with it wait no
    /// longer: they end with [`LockError::Held`].
    ///
    /// # Errors
    /// [`LockError::Lost`] if the token does not hold it and no call waits with it: then nothing is
    /// touched.
    /// [`LockError::Redis`] if Redis fails: it may have been given back or not.
    ///
    /// # Cancellation
    /// A future dropped half-way may have given the lock back.
    pub async fn release(&self, key: &LockKey, token: &OwnerToken) -> Result<(), LockError> {
        // A release has no time to live; the field only bounds cleaning up, which this never does.
        let owned = self.owned(key, token.clone(), Ttl::of_millis(1));
        if owned.withdraw(HoldersWork::Ended).await? {
            Ok(())
        } else {
            Err(LockError::Lost)
        }
    }

    /// Gives back a lock that `token` holds, in the background; its expiry after `ttl` is the
    /// backstop.
    pub(crate) fn release_later(&self, key: &LockKey, token: &OwnerToken, ttl: Ttl) {
        self.owned(key, token.clone(), ttl)
            .release_later(None, GivenBackFor::Waiters);
    }

    /// Who holds the lock, and how many wait for it.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn inspect(&self, key: &LockKey) -> Result<LockStatus, RedisError> {
        without_token::inspect(&self.redis, key).await
    }

    /// Takes the lock from whoever holds it, a stranger too, and hands it to the longest waiter.
    /// The holder finds out at its next renewal, release or commit: [`LockError::Lost`]. Returns
    /// whose lock it was; `None` if nobody held it.
    ///
    /// # Errors
    /// If Redis fails: it may have been broken or not.
    ///
    /// # Cancellation
    /// A future dropped half-way may have broken the lock.
    pub async fn break_lock(&self, key: &LockKey) -> Result<Option<Broken>, RedisError> {
        without_token::break_lock(&self.redis, key).await
    }

    /// The lease of a lock that a script outside of this module has taken for `token`, by a call
    /// that was sent at `sent` and answered at `answered`. `number` is its fencing token. Nobody
    /// depends on it once it has expired.
    pub(crate) fn taken(
        &self,
        key: &LockKey,
        token: OwnerToken,
        ttl: Ttl,
        number: i64,
        [sent, answered]: [Instant; 2],
    ) -> Lease {
        let owned = self.owned(key, token, ttl);
        let times = AcquisitionTimes {
            began: sent,
            sent,
            answered,
        };
        let whom = GivenBackFor::Waiters;
        Lease::new(owned, FencingToken(number), times, self.max_hold, whom)
    }

    fn owned(&self, key: &LockKey, token: OwnerToken, ttl: Ttl) -> OwnedLock {
        OwnedLock {
            redis: self.redis.clone(),
            key: key.clone(),
            token,
            name: self.name.clone(),
            ttl,
        }
    }
}
