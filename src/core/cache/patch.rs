//! Merging into an entry: a compare-and-set, repeated while others write in between.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::merge_patch::{MergeError, memory, merge};
use super::{CacheEntry, CacheError, Expiry, JsonCache, Stored};
use crate::platform::long_work::check_json;
use crate::platform::memory_budget::{MemoryBudget, Reserved};
use crate::platform::redis::RedisError;
use crate::platform::time_limit::within;
use crate::types::backoff::Backoff;
use crate::types::etag::{Conditions, ETag};
use crate::types::name::Name;
use crate::types::random;
use crate::types::user_id::UserId;

/// How often a merge is tried when others write in between, with growing pauses: for some 5 s. Each
/// failure means that another write went through. Without the pauses, patches that come at once
/// would fail each other.
const MERGE_TRIES: usize = 64;

/// How much memory the merges of an instance take at once, in bytes. One that needs more is alone.
static MERGES: MemoryBudget = MemoryBudget::new(24 << 20);

/// A merge of no more does not wait for others.
const SMALL: usize = 256 << 10;

/// How long a merge waits for others. Each of them takes far less.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Why a merge patch was not applied. Nothing was stored.
#[derive(Debug)]
pub(crate) enum PatchError {
    /// There is no entry.
    Absent,
    /// The value in Redis is not JSON.
    NotJson,
    /// The merged entry would be longer than allowed.
    TooLarge,
    /// Others kept writing in between, at every try or for as long as the request may take.
    Overtaken,
    /// This instance had so much to merge that its memory or its processor left this merge no time.
    TooMuchToMerge,
    /// The conditions did not hold.
    PreconditionFailed,
    /// Redis failed: where it did not answer, the entry may have been stored.
    Redis(RedisError),
}

impl From<RedisError> for PatchError {
    fn from(error: RedisError) -> Self {
        Self::Redis(error)
    }
}

impl From<CacheError> for PatchError {
    fn from(error: CacheError) -> Self {
        match error {
            CacheError::PreconditionFailed => Self::PreconditionFailed,
            CacheError::Redis(error) => Self::Redis(error),
            // Neither comes of a write without a token, and of JSON.
            CacheError::NotComputing | CacheError::Json(_) => Self::NotJson,
        }
    }
}

impl JsonCache {
    /// Merges `patch` (RFC 7396) into an entry and stores it, if the conditions hold for the entry
    /// and the merged one is not longer than `max_bytes`. Returns the merged JSON and its tag.
    ///
    /// # Errors
    /// [`PatchError`].
    ///
    /// # Cancellation
    /// A future dropped half-way may have stored the merged entry.
    pub(crate) async fn patch(
        &self,
        user: UserId,
        name: &Name,
        patch: &str,
        expiry: Expiry,
        conditions: &Conditions,
        max_bytes: usize,
    ) -> Result<(Bytes, ETag), PatchError> {
        let mut backoff = Backoff::new();
        for _ in 0..MERGE_TRIES {
            let entry = self.current(user, name, conditions).await?;
            let before = str::from_utf8(&entry.json).map_err(|_| PatchError::NotJson)?;
            let had_time = self.has_time_to_store();
            let reserved = self.room_for(memory(before, patch).await).await?;
            let merged = match merge(Some(before), patch, max_bytes).await {
                Ok(merged) => merged,
                Err(MergeError::Malformed) => return Err(PatchError::NotJson),
                Err(MergeError::TooLong) => return Err(PatchError::TooLarge),
            };
            drop(reserved);
            // Redis is not to be told as too slow where the merge has left it no time.
            if had_time && !self.has_time_to_store() {
                return Err(PatchError::TooMuchToMerge);
            }
            let unchanged = Conditions::expecting(Some(&entry.etag));
            drop(entry);
            match self.set(user, name, &merged, expiry, &unchanged).await {
                Ok(written) => return Ok((merged.into(), written.etag)),
                Err(CacheError::PreconditionFailed) => {
                    let pause = backoff.next_pause(random::bits64());
                    let left = self.redis.deadline().clamp(pause);
                    if left < pause {
                        break;
                    }
                    spin_sdk::time::sleep(pause).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(PatchError::Overtaken)
    }

    /// Whether a call to Redis has most of its time left.
    fn has_time_to_store(&self) -> bool {
        let timeout = self.redis.timeout();
        self.redis.deadline().clamp_call(Instant::now(), timeout) >= timeout / 2
    }

    /// Waits until the merges of this instance leave room for one that takes so many bytes.
    async fn room_for(&self, bytes: usize) -> Result<Option<Reserved<'static>>, PatchError> {
        if bytes <= SMALL {
            return Ok(None);
        }
        let limit = self.redis.deadline().clamp(LONGEST_WAIT);
        let reserved = within(limit, MERGES.reserve(bytes)).await;
        reserved.map(Some).ok_or(PatchError::TooMuchToMerge)
    }

    /// The entry to merge into.
    async fn current(
        &self,
        user: UserId,
        name: &Name,
        conditions: &Conditions,
    ) -> Result<CacheEntry, PatchError> {
        let entry = match self.get(user, name).await? {
            // An entry of ours is served as it is; what is merged is checked again, since a stranger
            // may have changed it.
            Stored::Entry(entry) if check_json(&entry.json).await.is_ok() => entry,
            Stored::Entry(_) => return Err(PatchError::NotJson),
            Stored::Nothing => return Err(PatchError::Absent),
            Stored::NotJson => return Err(PatchError::NotJson),
        };
        let etag = Some(&entry.etag);
        if conditions.match_holds(etag) && conditions.none_match_holds(etag) {
            Ok(entry)
        } else {
            Err(PatchError::PreconditionFailed)
        }
    }
}
