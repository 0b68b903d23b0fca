//! Reading an entry and how long it has left: a short one by a script, a long one by `PTTL` and
//! `GET`, each in one round trip.
//!
//! A script is one call for the host, which for a short entry is what counts. But Lua copies a
//! value several times. So an instance whose last read was of a long entry sends `PTTL` and `GET`,
//! one behind the other. So it does for its first read: it costs less where it was wrong. A short
//! entry is read so all the same, and of a long one the script tells that it is long.
//!
//! Somebody may write between the two, so the answers need not belong together. But an entry says
//! with which time to live it was written. If `PTTL` told no more than that, it serves:
//!
//! - Nobody wrote in between: it is the time that the entry has left.
//! - The entry that `GET` returned was written in between: it has as long as it was given, less the
//!   time that passed since, so what `PTTL` told of its predecessor is not more than it has.
//! - Its expiry was changed or removed in between: it is the time that it had left before.
//!
//! A long value of a stranger does not say what it was given: it is asked for its time once more.
//! Where `PTTL` told of no expiry before and after, or of a time that went by, that is the time of
//! the value that `GET` returned, unless others wrote twice within those two calls. A script that
//! returns it would hold up Redis while Lua copies it: 0.1 s and more for 16 MiB.
//!
//! Anything else is looked up by the script: a time that is longer than the entry was given (it
//! replaced one that lived longer, or a stranger has extended it), none at all (a stranger has
//! removed it), a key that was not there for `PTTL`, and short values of strangers. So are commands
//! that failed: the script is repeated and follows redirections. For a long entry the script
//! returns the first line alone, and as long as that is the line of what `GET` returned, its bytes
//! are those.
//!
//! What is absent, or of another type, for `GET` is so whatever `PTTL` told.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use spin_sdk::redis::RedisResult;

use super::format::{self, StoredEntry};
use super::{CacheEntry, JsonCache, LONGEST_IN_SCRIPT, Stored};
use crate::platform::long_work::{check_json, foreign_tag_of};
use crate::platform::redis::{
    Argument, RedisError, RedisErrorKind, Repeat, Script, ValueAndTtl, binary, lua,
};
use crate::types::name::Name;
use crate::types::user_id::UserId;

static GET: Script = Script::new(&[lua!("get.lua")]);

/// How often a long entry is read by parts, before it is read whole: others may write in between.
const READS_BY_PARTS: usize = 3;

/// The longest value that Redis can have, in bytes.
const ANY_LENGTH: usize = 512 << 20;

/// What `PTTL` says of a key that is not there.
const ABSENT: i64 = -2;

/// Whether what this instance read last was long. A mistake costs time alone.
static EXPECTS_LONG: AtomicBool = AtomicBool::new(true);

/// What was found.
enum Found {
    Done(Stored),
    /// A value that may have another time left than `PTTL` told before.
    Value(Bytes, i64),
    /// How long a long value has left, and how it begins.
    Long(Option<Duration>, Bytes),
    /// A command failed that the script may not.
    Nothing,
}

impl JsonCache {
    /// What is stored, in one round trip or, rarely, more.
    ///
    /// # Errors
    /// If Redis fails.
    pub async fn get(&self, user: UserId, name: &Name) -> Result<Stored, RedisError> {
        let key = self.keys.cache(user, name);
        let began = Instant::now();
        let mut value = None;
        let mut reads_by_parts = READS_BY_PARTS;
        if EXPECTS_LONG.load(Ordering::Relaxed) {
            match self.by_commands(began, &key).await? {
                Found::Done(stored) => return Ok(stored),
                Found::Value(found, _) if format::read(&found).is_some() => value = Some(found),
                // A stranger's.
                Found::Value(found, before) => {
                    if let Some(stored) = self.strangers(&key, found, before).await? {
                        return Ok(stored);
                    }
                    reads_by_parts = 0;
                }
                Found::Long(..) | Found::Nothing => {}
            }
        }
        for _ in 0..reads_by_parts {
            let found = self.by_script(began, &key, LONGEST_IN_SCRIPT).await?;
            let (remaining, line) = match found {
                Found::Long(remaining, line) if format::read(&line).is_some() => (remaining, line),
                Found::Long(..) => {
                    if let Found::Value(found, before) = self.by_commands(began, &key).await?
                        && let Some(stored) = self.strangers(&key, found, before).await?
                    {
                        return Ok(stored);
                    }
                    break;
                }
                found => return done(found),
            };
            if let Some(value) = value.take_if(|value| value.starts_with(&line)) {
                return Ok(stored_as(value, remaining).await);
            }
            match self.by_commands(began, &key).await? {
                Found::Done(stored) => return Ok(stored),
                Found::Value(found, _) => value = Some(found),
                Found::Long(..) | Found::Nothing => {}
            }
        }
        done(self.by_script(began, &key, ANY_LENGTH).await?)
    }

    /// Asks by two commands.
    async fn by_commands(&self, began: Instant, key: &str) -> Result<Found, RedisError> {
        let (bytes, ms_before) = match self.redis.value_and_ttl(began, key).await {
            Ok(ValueAndTtl::Absent) => return Ok(Found::Done(Stored::Nothing)),
            Ok(ValueAndTtl::OtherType) => return Ok(Found::Done(Stored::NotJson)),
            Ok(ValueAndTtl::Value { bytes, ms_before }) => (Bytes::from(bytes), ms_before),
            Err(error) if error.kind() == RedisErrorKind::TimedOut => return Err(error),
            Err(_) => return Ok(Found::Nothing),
        };
        EXPECTS_LONG.store(bytes.len() > LONGEST_IN_SCRIPT, Ordering::Relaxed);
        Ok(match belonging_together(&bytes, ms_before) {
            Some(entry) => Found::Done(Stored::Entry(entry)),
            None => Found::Value(bytes, ms_before),
        })
    }

    /// A long value of a stranger, with the time that it has left: `PTTL` told of `ms_before`
    /// before it was read. `None` where the script has to tell.
    async fn strangers(
        &self,
        key: &str,
        value: Bytes,
        ms_before: i64,
    ) -> Result<Option<Stored>, RedisError> {
        if value.len() <= LONGEST_IN_SCRIPT || format::read(&value).is_some() {
            return Ok(None);
        }
        let arguments = [binary(key.as_bytes())];
        let asked = self.redis.command("PTTL", &arguments, Repeat::Safe);
        let ms_after = match asked.await?.as_slice() {
            [RedisResult::Int64(ms)] => *ms,
            _ => return Err(RedisError::unexpected("not a reply to PTTL")),
        };
        let is_same = ms_after == ms_before || (0..=ms_before).contains(&ms_after);
        if !is_same || ms_after == ABSENT {
            return Ok(None);
        }
        Ok(Some(stored_as(value, millis(ms_after)).await))
    }

    /// Asks by the script, in the time that is left of the call which began at `began`. A value of
    /// more than `longest` bytes is [`Found::Long`].
    async fn by_script(
        &self,
        began: Instant,
        key: &str,
        longest: usize,
    ) -> Result<Found, RedisError> {
        let keys = [key];
        let arguments = [longest, format::LINE].map(|length| Argument::Integer(length as i64));
        let script = self
            .redis
            .script_since(began, &GET, &keys, &arguments, Repeat::Safe);
        let mut parts = script.await?.0.into_iter();
        let remaining = match parts.next() {
            None => return Ok(Found::Done(Stored::Nothing)),
            Some(RedisResult::Int64(ms)) => millis(ms),
            Some(_) => return Err(RedisError::unexpected("not a reply of get.lua")),
        };
        match (parts.next(), parts.next()) {
            (None, None) => Ok(Found::Done(Stored::NotJson)),
            (Some(RedisResult::Binary(value)), None) => {
                EXPECTS_LONG.store(value.len() > LONGEST_IN_SCRIPT, Ordering::Relaxed);
                Ok(Found::Done(stored_as(value.into(), remaining).await))
            }
            (Some(RedisResult::Binary(line)), Some(RedisResult::Int64(1))) => {
                Ok(Found::Long(remaining, line.into()))
            }
            _ => Err(RedisError::unexpected("not a reply of get.lua")),
        }
    }
}

fn done(found: Found) -> Result<Stored, RedisError> {
    match found {
        Found::Done(stored) => Ok(stored),
        _ => Err(RedisError::unexpected("not a reply of get.lua")),
    }
}

/// The entry with the time that `PTTL` told before, if that can be its own.
fn belonging_together(stored: &Bytes, ms_before: i64) -> Option<CacheEntry> {
    let StoredEntry { etag, given, json } = format::read(stored)?;
    let remaining = millis(ms_before).filter(|left| *left <= given)?;
    Some(CacheEntry {
        json,
        remaining: Some(remaining),
        etag,
    })
}

/// What `PTTL` told; `None` where there is no expiry.
fn millis(ms: i64) -> Option<Duration> {
    u64::try_from(ms).ok().map(Duration::from_millis)
}

async fn stored_as(value: Bytes, remaining: Option<Duration>) -> Stored {
    let entry = CacheEntry::read(value, remaining).await;
    entry.map_or(Stored::NotJson, Stored::Entry)
}

impl CacheEntry {
    /// Reads a stored value; `None` where it is a stranger's and no JSON.
    async fn read(stored: Bytes, remaining: Option<Duration>) -> Option<Self> {
        let (etag, json) = match format::read(&stored) {
            Some(entry) => (entry.etag, entry.json),
            None => {
                check_json(&stored).await.ok()?;
                (foreign_tag_of(&stored).await, stored)
            }
        };
        Some(Self {
            json,
            remaining,
            etag,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::ttl::Ttl;

    #[test]
    fn an_entry_has_no_more_time_than_it_was_given() {
        let stored: Bytes = format::stored(b"1", Ttl::of_millis(2000)).into();
        let left = |ms_before| belonging_together(&stored, ms_before)?.remaining;
        for ms in [0, 1, 1999, 2000] {
            assert_eq!(left(ms), millis(ms));
        }
        for ms in [2001, 3_600_000, -1, -2] {
            assert_eq!(left(ms), None, "{ms}");
        }
    }
}
