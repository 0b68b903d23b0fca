//! The JSON cache: values of one user, kept in Redis for a while.
//!
//! A value is the JSON's bytes under its key, nothing around them: `redis-cli GET` shows them, and
//! what another program writes there is served. Entity tags are made of these bytes, so that a
//! condition is compared where the write happens, in one step. What is there but is not JSON counts
//! as absent for whoever reads, and as present for whoever writes.

pub(crate) mod merge_patch;
mod patch;

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use spin_sdk::redis::RedisResult;

use crate::platform::redis::{Argument, Redis, RedisError, Repeat, Script, lua};
use crate::types::error_code::ErrorCode;
use crate::types::etag::{Conditions, ETag};
use crate::types::json;
use crate::types::keys::Keys;
use crate::types::name::Name;
use crate::types::ttl::Ttl;
use crate::types::user_id::UserId;
pub(crate) use patch::PatchError;

const CONDITIONS: &[u8] = lua!("cache/conditions.lua");
static GET: Script = Script::new(&[lua!("cache/get.lua")]);
static SET: Script = Script::new(&[CONDITIONS, lua!("cache/set.lua")]);
static DELETE: Script = Script::new(&[CONDITIONS, lua!("cache/delete.lua")]);

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
    /// The JSON, byte for byte as it was stored.
    pub json: Vec<u8>,
    /// How long it has left; `None` if another program stored it without expiry.
    pub remaining: Option<Duration>,
}

impl CacheEntry {
    /// The tag of the bytes.
    pub fn etag(&self) -> ETag {
        ETag::of(&self.json)
    }
}

/// How long a written entry lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// For so long from now on.
    In(Ttl),
    /// For as long as the entry that it replaces had left; where that had no expiry, for so long.
    KeepOr(Ttl),
}

/// What a write came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// There was nothing before.
    Created,
    /// Something was replaced.
    Replaced,
}

/// Why a cache entry could not be read or written.
#[derive(Debug)]
pub enum CacheError {
    /// The conditions did not hold; nothing was changed.
    PreconditionFailed,
    /// Redis failed.
    Redis(RedisError),
    /// The value can't be written as JSON.
    Json(serde_json::Error),
}

impl std::fmt::Display for CacheError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::PreconditionFailed => f.write_str("the conditions do not hold"),
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

    /// What is stored, in one round trip.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn get(&self, user: UserId, name: &Name) -> Result<Stored, RedisError> {
        let key = self.keys.cache(user, name);
        let reply = self.redis.script(&GET, &[&key], &[], Repeat::Safe).await?;
        let mut parts = reply.into_iter();
        match (parts.next(), parts.next(), parts.next()) {
            (None, ..) => Ok(Stored::Nothing),
            (Some(RedisResult::Int64(_)), None, _) => Ok(Stored::NotJson),
            (Some(RedisResult::Int64(_)), Some(RedisResult::Binary(bytes)), None)
                if json::check(&bytes).is_err() =>
            {
                Ok(Stored::NotJson)
            }
            (Some(RedisResult::Int64(ms)), Some(RedisResult::Binary(json)), None) => {
                Ok(Stored::Entry(CacheEntry {
                    json,
                    remaining: u64::try_from(ms).ok().map(Duration::from_millis),
                }))
            }
            _ => Err(RedisError::unexpected("not a reply of get.lua")),
        }
    }

    /// Stores JSON, if the conditions hold when it is stored. That `json` is JSON is the caller's
    /// to see to.
    ///
    /// # Errors
    /// [`CacheError::PreconditionFailed`] if they do not; [`CacheError::Redis`] if Redis fails:
    /// where it did not answer, the value may have been stored. A write is never repeated on its
    /// own.
    ///
    /// # Cancellation
    /// A future dropped half-way may have stored the value.
    pub async fn set(
        &self,
        user: UserId,
        name: &Name,
        json: &[u8],
        expiry: Expiry,
        conditions: &Conditions,
    ) -> Result<Written, CacheError> {
        let key = self.keys.cache(user, name);
        let (if_match, if_none_match) = arguments(conditions);
        let (ttl, keep): (Ttl, &[u8]) = match expiry {
            Expiry::In(ttl) => (ttl, b"0"),
            Expiry::KeepOr(ttl) => (ttl, b"1"),
        };
        let arguments = [
            Argument::Bytes(if_match.as_bytes()),
            Argument::Bytes(if_none_match.as_bytes()),
            Argument::Bytes(json),
            Argument::millis(ttl.as_duration()),
            Argument::Bytes(keep),
        ];
        let keys = [key.as_str()];
        let reply = self.redis.script(&SET, &keys, &arguments, Repeat::Unsafe);
        match reply.await?.as_slice() {
            [RedisResult::Int64(0)] => Err(CacheError::PreconditionFailed),
            [RedisResult::Int64(1)] => Ok(Written::Created),
            [RedisResult::Int64(2)] => Ok(Written::Replaced),
            _ => Err(RedisError::unexpected("not a reply of set.lua").into()),
        }
    }

    /// Stores JSON for `ttl`, only if what is there has the tag `current`, or if nothing is there
    /// where that is `None`. Returns whether it did.
    ///
    /// # Errors
    /// As [`JsonCache::set`], but for the conditions.
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
    /// [`CacheError::Json`] if it can't be written as JSON; else as [`JsonCache::set`].
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
