//! The scripts that anybody may call, without being a lock's owner: to look at it, and to break it.

use spin_sdk::redis::RedisResult;

use super::scripts::{FENCE, FORMATS, GIVE_BACK, HOLDER, QUEUE, count, proof_ttl, remaining};
use super::{Broken, FencingToken, Holder, LockStatus, OwnerName};
use crate::platform::redis::{Argument, Redis, RedisError, Repeat, Script, lua};
use crate::types::keys::LockKey;
use crate::types::random;

static BREAK: Script = Script::new(&[FORMATS, FENCE, HOLDER, QUEUE, GIVE_BACK, lua!("break.lua")]);
static INSPECT: Script = Script::new(&[FORMATS, FENCE, HOLDER, QUEUE, lua!("inspect.lua")]);

/// What the call of a break begins with.
const BROKEN: &str = "broken:";

/// Looks at a lock.
pub(super) async fn inspect(redis: &Redis, key: &LockKey) -> Result<LockStatus, RedisError> {
    let keys = [key.lock(), key.fence(), key.queue()];
    let arguments = [Argument::Bytes(key.waiters().as_bytes())];
    let reply = redis.script(&INSPECT, &keys, &arguments, Repeat::Safe);
    match reply.await?.as_slice() {
        [RedisResult::Int64(waiting)] => Ok(LockStatus {
            holder: None,
            waiting: count(*waiting),
        }),
        [
            RedisResult::Int64(waiting),
            RedisResult::Int64(ms),
            RedisResult::Int64(number),
            RedisResult::Binary(name),
        ] => Ok(LockStatus {
            holder: Some(Holder {
                remaining: remaining(*ms),
                fencing_token: (*number > 0).then_some(FencingToken(*number)),
                owner: OwnerName::stored(name),
            }),
            waiting: count(*waiting),
        }),
        _ => Err(RedisError::unexpected("not a reply of inspect.lua")),
    }
}

/// Takes the lock from whoever holds it; `None` if nobody did.
pub(super) async fn break_lock(redis: &Redis, key: &LockKey) -> Result<Option<Broken>, RedisError> {
    let call = format!("{BROKEN}{}", random::hex128());
    let keys = [key.lock(), key.fence(), key.queue()];
    let proof_ttl = proof_ttl(redis);
    let arguments = [
        Argument::Bytes(call.as_bytes()),
        Argument::Joined(key.waiters().as_bytes(), proof_ttl.as_bytes()),
    ];
    let reply = redis.script(&BREAK, &keys, &arguments, Repeat::Safe);
    match reply.await?.as_slice() {
        [RedisResult::Int64(-1), _] => Ok(None),
        [RedisResult::Int64(number), RedisResult::Binary(name)] => Ok(Some(Broken {
            fencing_token: (*number > 0).then_some(FencingToken(*number)),
            owner: OwnerName::stored(name),
        })),
        _ => Err(RedisError::unexpected("not a reply of break.lua")),
    }
}
