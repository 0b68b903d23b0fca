//! Reading an entry: a short one by one script, a long one by a script and a `GET`.
//!
//! An instance remembers which entries were long. For these it sends both at once.

use std::time::Duration;

use bytes::Bytes;
use spin_sdk::redis::RedisResult;

use super::long_entries::LongEntries;
use super::{CacheEntry, ENTRY, JsonCache, LONGEST_IN_SCRIPT, Stored, format};
use crate::platform::long_work::check_json;
use crate::platform::redis::{
    Argument, Code, RedisError, RedisErrorKind, Repeat, Script, binary, lua,
};
use crate::types::etag::ETag;
use crate::types::name::Name;
use crate::types::user_id::UserId;

static GET: Script = Script::new(&[ENTRY, lua!("get.lua")]);

/// How often a long entry is read by parts, before it is read whole: others may write in between.
const READS_BY_PARTS: usize = 3;

/// The entries that were long when this instance read them last.
static LONG: LongEntries = LongEntries::new();

/// What a look at an entry found.
enum Look {
    Done(Stored),
    /// A long entry: how long it has left, and its first line.
    Long(Option<Duration>, Vec<u8>),
}

impl JsonCache {
    /// What is stored, in one round trip, or in two where it is long.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn get(&self, user: UserId, name: &Name) -> Result<Stored, RedisError> {
        let key = self.keys.cache(user, name);
        for _ in 0..READS_BY_PARTS {
            let (look, whole) = if LONG.contains(&key) {
                let look = self.look(&key, Some(format::LINE - 1));
                let (look, whole) = futures::join!(look, self.whole(&key));
                (look?, Some(whole))
            } else {
                (self.look(&key, Some(LONGEST_IN_SCRIPT)).await?, None)
            };
            let (remaining, line) = match look {
                Look::Done(stored) => {
                    LONG.remove(&key);
                    return Ok(stored);
                }
                Look::Long(remaining, line) => (remaining, line),
            };
            let whole = match whole {
                Some(whole) => whole?,
                None => self.whole(&key).await?,
            };
            if let Some(stored) = whole.filter(|stored| stored.starts_with(&line)) {
                if stored.len() > LONGEST_IN_SCRIPT {
                    LONG.insert(&key);
                } else {
                    LONG.remove(&key);
                }
                return Ok(stored_as(stored, remaining).await);
            }
        }
        match self.look(&key, None).await? {
            Look::Done(stored) => Ok(stored),
            Look::Long(..) => Err(RedisError::unexpected("not a reply of get.lua")),
        }
    }

    /// The value; `None` where there is none, or one of another type.
    async fn whole(&self, key: &str) -> Result<Option<Vec<u8>>, RedisError> {
        let get = [binary(key.as_bytes())];
        match self.redis.command("GET", &get, Repeat::Safe).await {
            Err(error) if error.kind() == RedisErrorKind::Refused(Code::WrongType) => Ok(None),
            reply => Ok(match reply?.into_iter().next() {
                Some(RedisResult::Binary(stored)) => Some(stored),
                _ => None,
            }),
        }
    }

    /// What there is, with the value if it has at most `longest` bytes.
    async fn look(&self, key: &str, longest: Option<usize>) -> Result<Look, RedisError> {
        let keys = [key];
        let longest = longest.and_then(|longest| i64::try_from(longest).ok());
        let arguments = longest.map(Argument::Integer);
        let reply = self
            .redis
            .script(&GET, &keys, arguments.as_slice(), Repeat::Safe);
        let mut parts = reply.await?.into_iter();
        let ms = match parts.next() {
            None => return Ok(Look::Done(Stored::Nothing)),
            Some(RedisResult::Int64(ms)) => ms,
            Some(_) => return Err(RedisError::unexpected("not a reply of get.lua")),
        };
        let remaining = u64::try_from(ms).ok().map(Duration::from_millis);
        match (parts.next(), parts.next()) {
            (None, None) => Ok(Look::Done(Stored::NotJson)),
            (Some(RedisResult::Binary(stored)), None) => {
                Ok(Look::Done(stored_as(stored, remaining).await))
            }
            (Some(RedisResult::Binary(line)), Some(RedisResult::Int64(1))) => {
                Ok(Look::Long(remaining, line))
            }
            _ => Err(RedisError::unexpected("not a reply of get.lua")),
        }
    }
}

async fn stored_as(stored: Vec<u8>, remaining: Option<Duration>) -> Stored {
    let entry = CacheEntry::read(stored.into(), remaining).await;
    entry.map_or(Stored::NotJson, Stored::Entry)
}

impl CacheEntry {
    /// Reads a stored value; `None` where it is a stranger's and no JSON.
    async fn read(stored: Bytes, remaining: Option<Duration>) -> Option<Self> {
        let (etag, json) = match format::read(&stored) {
            Some(entry) => entry,
            None => {
                check_json(&stored).await.ok()?;
                (ETag::of_foreign(&stored), stored)
            }
        };
        Some(Self {
            json,
            remaining,
            etag,
        })
    }
}
