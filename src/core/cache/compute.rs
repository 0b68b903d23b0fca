//! One computes, the others wait: a value that is dear to compute is computed by one caller, who is
//! given a token for it.
//!
//! The task is a lock of its own for each entry, held for as long as the caller may take. Others
//! wait for that lock, or for the entry, whichever comes first. `set.lua` stores the result, takes
//! the lock away and wakes all who wait, in one step.

use std::time::{Duration, Instant};

use super::{CacheEntry, CacheError, Expiry, JsonCache, Stored, Write, Written};
use crate::core::lock::{GrantUnlessDone, LockError, Locks, OwnerToken};
use crate::platform::redis::RedisError;
use crate::types::etag::Conditions;
use crate::types::name::Name;
use crate::types::ttl::Ttl;
use crate::types::user_id::UserId;

/// What a caller offers that would compute an entry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ComputeRequest {
    /// How long it takes at the most.
    pub(crate) compute: Ttl,
    /// How long it would wait for somebody else's result.
    pub(crate) timeout: Duration,
    /// How long before its expiry an entry is to be computed anew.
    pub(crate) refresh: Duration,
}

/// What such a caller gets.
#[derive(Debug)]
pub(crate) enum Computed {
    /// The entry.
    Entry(CacheEntry),
    /// The entry, and the task to compute it anew before it expires.
    Expiring(CacheEntry, OwnerToken),
    /// There is none: it is for this caller to compute.
    Granted(OwnerToken),
}

impl JsonCache {
    /// Reads an entry. Where there is none, the caller gets the task to compute it, or waits for
    /// the one who has it. The task to compute an entry anew is given only where `If-Match` holds
    /// for it.
    ///
    /// # Errors
    /// [`LockError::Held`] where somebody else still computed it at the end of the wait;
    /// [`LockError::Redis`] if Redis fails.
    ///
    /// # Cancellation
    /// A future dropped half-way may leave the task taken for as long as was offered.
    pub(crate) async fn get_or_compute(
        &self,
        locks: &Locks,
        user: UserId,
        name: &Name,
        request: &ComputeRequest,
        conditions: &Conditions,
    ) -> Result<Computed, LockError> {
        let deadline = Instant::now() + request.timeout;
        let (key, lock) = (
            self.keys.cache(user, name),
            self.keys.compute_lock(user, name),
        );
        let token = OwnerToken::random();
        let mut may_break = true;
        loop {
            let result = match self.get(user, name).await? {
                Stored::Entry(entry) if request.is_due(&entry, conditions) => {
                    let refreshed = self.refresh(locks, (user, name), &token, request, conditions);
                    return Ok(refreshed.await.unwrap_or(Computed::Entry(entry)));
                }
                Stored::Entry(entry) => return Ok(Computed::Entry(entry)),
                Stored::Nothing => Some(key.as_str()),
                // It is there, and is no result. While it stays, nobody who waits sees one come.
                Stored::NotJson => None,
            };
            let began = Instant::now();
            let left = deadline.saturating_duration_since(began);
            let ttl = request.compute;
            let granted = locks.grant_unless_done(began, &lock, &token, left, ttl, result);
            match granted.await {
                Ok(GrantUnlessDone::Granted(_)) if result.is_some() => {
                    return Ok(Computed::Granted(token));
                }
                // The result may have been stored while we waited for the task.
                Ok(GrantUnlessDone::Granted(_)) => {
                    let task = self.confirm(locks, (user, name), token, request, conditions);
                    return Ok(task.await?);
                }
                // It was stored meanwhile: read it with the time that it has left.
                Ok(GrantUnlessDone::ResultExists) => {}
                // A stranger's, since ours expires. Nobody else would ever remove it.
                Err(LockError::Held(by)) if by.remaining.is_none() && may_break => {
                    may_break = false;
                    locks.break_lock(&lock).await?;
                }
                // Those who were handed the task before us, to find the result, may be many.
                Err(error @ LockError::Held(_)) if result.is_none() => {
                    return match self.get(user, name).await {
                        Ok(Stored::Entry(entry)) => Ok(Computed::Entry(entry)),
                        _ => Err(error),
                    };
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The task to compute an entry anew, if nobody has it. `None` where somebody does, and where
    /// Redis fails: the entry is there.
    async fn refresh(
        &self,
        locks: &Locks,
        (user, name): (UserId, &Name),
        token: &OwnerToken,
        request: &ComputeRequest,
        conditions: &Conditions,
    ) -> Option<Computed> {
        let lock = self.keys.compute_lock(user, name);
        let granted = locks.grant(&lock, token, Duration::ZERO, request.compute);
        granted.await.ok()?;
        let task = self.confirm(locks, (user, name), token.clone(), request, conditions);
        task.await.ok()
    }

    /// What becomes of a task that was granted apart from our look at the entry: that may have been
    /// computed in between. Then the task goes to the next.
    async fn confirm(
        &self,
        locks: &Locks,
        (user, name): (UserId, &Name),
        token: OwnerToken,
        request: &ComputeRequest,
        conditions: &Conditions,
    ) -> Result<Computed, RedisError> {
        let done = match self.get(user, name).await {
            Ok(Stored::Entry(entry)) if request.is_due(&entry, conditions) => {
                return Ok(Computed::Expiring(entry, token));
            }
            Ok(Stored::Nothing | Stored::NotJson) => return Ok(Computed::Granted(token)),
            Ok(Stored::Entry(entry)) => Ok(Computed::Entry(entry)),
            Err(error) => Err(error),
        };
        // Should this fail, the task is free when its time is up.
        let lock = self.keys.compute_lock(user, name);
        let _ = locks.release(&lock, &token).await;
        done
    }

    /// Stores what was computed under `token`, if the task is still that token's and the conditions
    /// hold. Those who wait for the entry get it.
    ///
    /// # Errors
    /// [`CacheError::NotComputing`] if it is not; else as [`JsonCache::set`].
    ///
    /// # Cancellation
    /// As [`JsonCache::set`].
    pub(crate) async fn set_computed(
        &self,
        user: UserId,
        name: &Name,
        json: &[u8],
        expiry: Expiry,
        conditions: &Conditions,
        token: &OwnerToken,
    ) -> Result<Written, CacheError> {
        let write = Write {
            json,
            expiry,
            conditions,
            token: Some(token),
        };
        self.write(user, name, write).await
    }

    /// Gives up the task of computing an entry: the next who waits gets it. The entry stays.
    ///
    /// # Errors
    /// [`LockError::Lost`] if the task is not that token's, or no longer; [`LockError::Redis`] if
    /// Redis fails.
    ///
    /// # Cancellation
    /// A future dropped half-way may have given it up.
    pub(crate) async fn give_up_computing(
        &self,
        locks: &Locks,
        user: UserId,
        name: &Name,
        token: &OwnerToken,
    ) -> Result<(), LockError> {
        let lock = self.keys.compute_lock(user, name);
        locks.release(&lock, token).await
    }

    /// The same in the background, for a caller that never learnt of its task, and could have taken
    /// `compute` for it. That time is the backstop.
    pub(crate) fn give_up_later(
        &self,
        locks: &Locks,
        user: UserId,
        name: &Name,
        token: &OwnerToken,
        compute: Ttl,
    ) {
        locks.release_later(&self.keys.compute_lock(user, name), token, compute);
    }
}

impl ComputeRequest {
    /// Whether an entry is to be computed anew: in its last `refresh` seconds, and if the caller
    /// gets it at all.
    fn is_due(&self, entry: &CacheEntry, conditions: &Conditions) -> bool {
        let expires_soon = entry.remaining.is_some_and(|left| left <= self.refresh);
        expires_soon && !self.refresh.is_zero() && conditions.match_holds(Some(&entry.etag))
    }
}
