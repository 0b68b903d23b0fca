//! Writing an entry, if its conditions hold: by a script, to which a long value is moved.

use std::time::Duration;

use spin_sdk::redis::{RedisParameter, RedisResult};

use super::{
    CONDITIONS, CacheError, ENTRY, Expiry, JsonCache, LONGEST_IN_SCRIPT, Written, arguments, format,
};
use crate::core::lock::{OwnerToken, QUEUE};
use crate::platform::long_work::tag_of;
use crate::platform::redis::{Argument, RedisError, Repeat, Script, binary, lua};
use crate::types::etag::Conditions;
use crate::types::name::Name;
use crate::types::random;
use crate::types::ttl::Ttl;
use crate::types::user_id::UserId;

/// Of the queue's functions it needs those that read its members.
static SET: Script = Script::new(&[
    QUEUE,
    ENTRY,
    CONDITIONS,
    lua!("computing.lua"),
    lua!("set.lua"),
]);

/// What is written.
pub(super) struct Write<'a> {
    pub(super) json: &'a [u8],
    pub(super) expiry: Expiry,
    pub(super) conditions: &'a Conditions,
    /// The token of the computing that this is the result of, if it is one.
    pub(super) token: Option<&'a OwnerToken>,
}

impl JsonCache {
    pub(super) async fn write(
        &self,
        user: UserId,
        name: &Name,
        write: Write<'_>,
    ) -> Result<Written, CacheError> {
        let key = self.keys.cache(user, name);
        let lock = self.keys.compute_lock(user, name);
        let etag = tag_of(write.json).await;
        let (if_match, if_none_match) = arguments(write.conditions);
        let (ttl, keep): (Ttl, &[u8]) = match write.expiry {
            Expiry::In(ttl) => (ttl, b"0"),
            Expiry::KeepOr(ttl) => (ttl, b"1"),
        };
        let line = format::line(&etag, ttl);
        let mut keys = vec![key.as_str(), lock.lock(), lock.fence(), lock.queue()];
        let staged = if write.json.len() > LONGEST_IN_SCRIPT {
            Some(self.stage(user, &line, write.json).await?)
        } else {
            None
        };
        keys.extend(staged.as_deref());
        let value = match &staged {
            Some(_) => Argument::Bytes(b""),
            None => Argument::Joined(&line, write.json),
        };
        let mut arguments = vec![
            Argument::Bytes(if_match.as_bytes()),
            Argument::Bytes(if_none_match.as_bytes()),
            value,
            Argument::millis(ttl.as_duration()),
            Argument::Bytes(keep),
            Argument::Bytes(lock.wake_prefix().as_bytes()),
        ];
        let token = write.token.map(|token| token.as_str().as_bytes());
        arguments.extend(token.map(Argument::Bytes));
        let reply = self.redis.script(&SET, &keys, &arguments, Repeat::Unsafe);
        match reply.await?.as_slice() {
            [RedisResult::Int64(0)] => Err(CacheError::PreconditionFailed),
            [RedisResult::Int64(3)] => Err(CacheError::NotComputing),
            [RedisResult::Int64(outcome @ (1 | 2))] => Ok(Written {
                etag,
                is_new: *outcome == 1,
            }),
            _ => Err(RedisError::unexpected("not a reply of set.lua").into()),
        }
    }

    /// Puts a long value where `set.lua` finds it, and returns the key. It lives for as long as the
    /// call of the script may take.
    async fn stage(&self, user: UserId, line: &[u8], json: &[u8]) -> Result<String, RedisError> {
        let key = self.keys.staged(user, &random::hex128());
        let ttl = self.redis.timeout() + Duration::from_secs(1);
        let arguments = [
            binary(key.as_bytes()),
            RedisParameter::Binary([line, json].concat()),
            binary(b"PX"),
            RedisParameter::Int64(i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX)),
        ];
        self.redis.command("SET", &arguments, Repeat::Safe).await?;
        Ok(key)
    }
}
