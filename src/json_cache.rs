//! The JSON cache: values of one user, kept in Redis for a while.

use serde::Serialize;
use serde::de::DeserializeOwned;
use spin_sdk::redis::{RedisParameter, RedisResult};

use crate::keys::{Keys, Name, UserId};
use crate::redis::{Redis, Repeat, binary};
use crate::redis_error::RedisError;
use crate::seconds::Ttl;

/// Reads and writes cache entries.
#[derive(Clone)]
pub struct JsonCache {
    redis: Redis,
    keys: Keys,
}

/// Why a cache entry could not be read or written.
#[derive(Debug)]
pub enum CacheError {
    /// Redis failed.
    Redis(RedisError),
    /// The value can't be written as JSON.
    Json(serde_json::Error),
}

impl std::fmt::Display for CacheError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Redis(error) => error.fmt(f),
            Self::Json(error) => write!(f, "not representable as JSON: {error}"),
        }
    }
}

impl std::error::Error for CacheError {}

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

    /// The value of an entry. `None` if there is none, or if what is there is no JSON for a `T` (written by something
    /// else, or by an earlier version): a cache may forget, so that is a miss.
    ///
    /// # Errors
    /// [`CacheError::Redis`] if Redis fails, also where the key holds another type than a string.
    pub async fn get<T: DeserializeOwned>(
        &self,
        user: UserId,
        name: &Name,
    ) -> Result<Option<T>, CacheError> {
        let key = self.keys.cache(user, name);
        let parameters = [binary(key.as_bytes())];
        match self
            .redis
            .command("GET", &parameters, Repeat::Safe)
            .await?
            .as_slice()
        {
            [RedisResult::Binary(bytes)] => Ok(serde_json::from_slice(bytes).ok()),
            [RedisResult::Nil] => Ok(None),
            _ => Err(RedisError::unexpected("not a reply of GET").into()),
        }
    }

    /// Stores a value for `ttl`, whatever was there before.
    ///
    /// # Errors
    /// [`CacheError::Json`] if the value can't be written as JSON, [`CacheError::Redis`] if Redis fails: where it did not
    /// answer, the value may have been stored. A write is never repeated on its own.
    pub async fn set<T: Serialize>(
        &self,
        user: UserId,
        name: &Name,
        value: &T,
        ttl: Ttl,
    ) -> Result<(), CacheError> {
        let key = self.keys.cache(user, name);
        let json = serde_json::to_vec(value).map_err(CacheError::Json)?;
        let parameters = [
            binary(key.as_bytes()),
            RedisParameter::Binary(json),
            binary(b"PX"),
            RedisParameter::Int64(ttl.as_millis() as i64),
        ];
        self.redis
            .command("SET", &parameters, Repeat::Unsafe)
            .await?;
        Ok(())
    }

    /// Removes an entry; returns whether there was one.
    ///
    /// # Errors
    /// [`CacheError::Redis`] if Redis fails: where it did not answer, the entry may be gone.
    pub async fn delete(&self, user: UserId, name: &Name) -> Result<bool, CacheError> {
        let key = self.keys.cache(user, name);
        let parameters = [binary(key.as_bytes())];
        match self
            .redis
            .command("DEL", &parameters, Repeat::Unsafe)
            .await?
            .as_slice()
        {
            [RedisResult::Int64(removed)] => Ok(*removed > 0),
            _ => Err(RedisError::unexpected("not a reply of DEL").into()),
        }
    }
}
