//! What the scripts of a lock have in common: the Lua that they are made of, and how their replies
//! are read. The files beside this one call them with types and return types.

use std::time::Duration;

use spin_sdk::redis::RedisResult;

use crate::platform::redis::{Redis, RedisError, lua};

pub(crate) const FORMATS: &[u8] = lua!("formats.lua");
pub(crate) const FENCE: &[u8] = lua!("fence.lua");
pub(crate) const HOLDER: &[u8] = lua!("holder.lua");
/// The function `open_queue`.
pub(crate) const QUEUE: &[u8] = lua!("queue.lua");
pub(crate) const GIVE_BACK: &[u8] = lua!("give_back.lua");

/// How long the proof of a script is kept, in milliseconds. A repetition is sent within the time
/// limit of the call, and its answer is not waited for beyond that.
pub(super) fn proof_ttl(redis: &Redis) -> String {
    let ttl = redis.timeout() + Duration::from_secs(1);
    ttl.as_millis().to_string()
}

/// PTTL is -1 for a key without expiry.
pub(super) fn remaining(ms: i64) -> Option<Duration> {
    u64::try_from(ms).ok().map(Duration::from_millis)
}

/// How many wait.
pub(super) fn count(waiting: i64) -> u32 {
    u32::try_from(waiting).unwrap_or(u32::MAX)
}

pub(super) fn yes_or_no(reply: &[RedisResult]) -> Result<bool, RedisError> {
    match reply {
        [RedisResult::Int64(1)] => Ok(true),
        [RedisResult::Int64(0)] => Ok(false),
        _ => Err(RedisError::unexpected("not a reply of a lock's script")),
    }
}
