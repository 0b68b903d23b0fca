//! The JSON cache: values of one user, kept in Redis for a while.
//!
//! An entry is stored as a line with its entity tag and the JSON as it came ([`format`]), so a read
//! costs what moving the bytes costs, and a condition is compared where the write happens, in one
//! step. What another program writes there is served too: it is checked and hashed as it is read.
//! What is no JSON counts as absent for readers, and as present for writers.

mod compute;
pub(crate) mod format;
pub(crate) mod merge_patch;
mod patch;
mod read;
mod write;

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use spin_sdk::redis::RedisResult;

use crate::platform::redis::{Argument, Redis, RedisError, Repeat, Script, lua};
use crate::types::error_code::ErrorCode;
use crate::types::etag::{Conditions, ETag};
use crate::types::keys::Keys;
use crate::types::name::Name;
use crate::types::ttl::Ttl;
use crate::types::user_id::UserId;
pub(crate) use compute::{ComputeRequest, Computed};
pub(crate) use patch::PatchError;
use write::Write;

const ENTRY: &[u8] = lua!("cache/entry.lua");
const CONDITIONS: &[u8] = lua!("cache/conditions.lua");
static DELETE: Script = Script::new(&[ENTRY, CONDITIONS, lua!("cache/delete.lua")]);

/// The longest value that goes through a script, in bytes. Lua copies it several times, which for
/// 100 KB takes Redis ten times as long as a command: longer values have a command of their own.
const LONGEST_IN_SCRIPT: usize = 16 << 10;

/// Reads and writes cache entries.
#[derive(Clone)]
pub struct JsonCache {
    redis: Redis,
    keys: Keys,
}

/// What is stored under a key.
#[derive(Debug, Clone)]
pub enum Stored {
    /// JSON.
    Entry(CacheEntry),
    /// Something else, which another program wrote.
    NotJson,
    /// Nothing.
    Nothing,
}

/// A cache entry.
#[derive(Debug, Clone)]
pub struct CacheEntry {
    /// The JSON, byte for byte as it came.
    pub json: Bytes,
    /// How long it has left; `None` if another program stored it without expiry.
    pub remaining: Option<Duration>,
    /// Its entity tag: the one that conditions of writers are compared with.
    pub etag: ETag,
}

/// How long a written entry lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// For so long from now on.
    In(Ttl),
    /// For as long as the entry that it replaces had left; where that had no expiry, for so long.
    KeepOr(Ttl),
}

/// What a write came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The tag of what was written.
    pub etag: ETag,
    /// There was nothing before.
    pub is_new: bool,
}

/// Why a cache entry could not be read or written.
#[derive(Debug)]
pub enum CacheError {
    /// The conditions did not hold; nothing was changed.
    PreconditionFailed,
    /// The token is not that of the entry's computing, or no longer; nothing was changed.
    NotComputing,
    /// Redis failed.
    Redis(RedisError),
    /// The value can't be written as JSON.
    Json(serde_json::Error),
}

impl std::fmt::Display for CacheError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::PreconditionFailed => f.write_str("the conditions do not hold"),
            Self::NotComputing => f.write_str("the token does not hold the entry's computing"),
            Self::Redis(error) => error.fmt(f),
            Self::Json(error) => write!(f, "not representable as JSON: {error}"),
        }
    }
}

impl std::error::Error for CacheError {}

impl ErrorCode for CacheError {
    fn code(&self) -> &'static str {
        match self {
            Self::PreconditionFailed => "precondition-failed",
            Self::NotComputing => "not-lock-owner",
            Self::Redis(error) => error.code(),
            Self::Json(_) => "internal",
        }
    }
}

impl From<RedisError> for CacheError {
    fn from(error: RedisError) -> Self {
        Self::Redis(error)
    }
}

impl JsonCache {
    /// A cache in the Redis behind `redis`, under the keys that `keys` builds.
    pub fn new(redis: Redis, keys: Keys) -> Self {
        Self { redis, keys }
    }

    /// Stores JSON, if the conditions hold when it is stored. That `json` is JSON is the caller's
    /// to see to. Callers that wait for the entry to be computed get it, and the computing ends.
    ///
    /// # Errors
    /// [`CacheError::PreconditionFailed`] if they do not; [`CacheError::Redis`] if Redis fails:
    /// where it did not answer, the value may have been stored. A write is never repeated on its
    /// own.
    ///
    /// # Cancellation
    /// A future dropped half-way may have stored the value.
    pub(crate) async fn set(
        &self,
        user: UserId,
        name: &Name,
        json: &[u8],
        expiry: Expiry,
        conditions: &Conditions,
    ) -> Result<Written, CacheError> {
        let write = Write {
            json,
            expiry,
            conditions,
            token: None,
        };
        self.write(user, name, write).await
    }

    /// Stores JSON for `ttl`, only if what is there has the tag `current`, or if nothing is there
    /// where that is `None`. Returns whether it did. That `json` is JSON is the caller's to see to.
    ///
    /// # Errors
    /// [`CacheError::Redis`] if Redis fails: where it did not answer, the value may have been
    /// stored. A write is never repeated on its own.
    ///
    /// # Cancellation
    /// A future dropped half-way may have stored the value.
    pub async fn compare_and_set(
        &self,
        user: UserId,
        name: &Name,
        current: Option<&ETag>,
        json: &[u8],
        ttl: Ttl,
    ) -> Result<bool, CacheError> {
        let conditions = Conditions::expecting(current);
        match self
            .set(user, name, json, Expiry::In(ttl), &conditions)
            .await
        {
            Ok(_) => Ok(true),
            Err(CacheError::PreconditionFailed) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes an entry, if the conditions hold; returns whether there was one.
    ///
    /// # Errors
    /// [`CacheError::PreconditionFailed`] if they do not; [`CacheError::Redis`] if Redis fails:
    /// where it did not answer, the entry may be gone.
    pub async fn delete(
        &self,
        user: UserId,
        name: &Name,
        conditions: &Conditions,
    ) -> Result<bool, CacheError> {
        let key = self.keys.cache(user, name);
        let (if_match, if_none_match) = arguments(conditions);
        let arguments = [
            Argument::Bytes(if_match.as_bytes()),
            Argument::Bytes(if_none_match.as_bytes()),
        ];
        // A removal that is repeated removes what another has written since.
        let keys = [key.as_str()];
        let reply = self
            .redis
            .script(&DELETE, &keys, &arguments, Repeat::Unsafe);
        match reply.await?.as_slice() {
            [RedisResult::Int64(-1)] => Err(CacheError::PreconditionFailed),
            [RedisResult::Int64(removed)] => Ok(*removed > 0),
            _ => Err(RedisError::unexpected("not a reply of delete.lua").into()),
        }
    }

    /// The value of an entry as a type of yours. `None` if there is none, or if what is there is no
    /// JSON for a `T` (written by something else, or by an earlier version): a cache may forget, so
    /// that is a miss.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn get_as<T: DeserializeOwned>(
        &self,
        user: UserId,
        name: &Name,
    ) -> Result<Option<T>, RedisError> {
        match self.get(user, name).await? {
            Stored::Entry(entry) => Ok(serde_json::from_slice(&entry.json).ok()),
            Stored::NotJson | Stored::Nothing => Ok(None),
        }
    }

    /// Stores a value of a type of yours for `ttl`, whatever was there before.
    ///
    /// # Errors
    /// [`CacheError::Json`] if it can't be written as JSON; else as [`JsonCache::compare_and_set`].
    ///
    /// # Cancellation
    /// As [`JsonCache::compare_and_set`].
    pub async fn set_as<T: Serialize>(
        &self,
        user: UserId,
        name: &Name,
        value: &T,
        ttl: Ttl,
    ) -> Result<Written, CacheError> {
        let json = serde_json::to_vec(value).map_err(CacheError::Json)?;
        let expiry = Expiry::In(ttl);
        self.set(user, name, &json, expiry, &Conditions::NONE).await
    }
}

fn arguments(conditions: &Conditions) -> (String, String) {
    (
        conditions.if_match.argument(),
        conditions.if_none_match.argument(),
    )
}
