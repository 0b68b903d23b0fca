//! A lock as a scope: `with_lock`, and leases.

use std::future::{pending, ready};
use std::time::Duration;

use edgelatch::core::lock::{FencingToken, LockError, Locks, Record};
use edgelatch::platform::redis::{Redis, Repeat};
use edgelatch::platform::time_limit::within;
use edgelatch::spin_sdk::redis::RedisParameter;
use edgelatch::types::keys::LockKey;
use edgelatch::types::ttl::Ttl;

use crate::LONG;

/// After so long, a scope is dropped.
const PATIENCE: Duration = Duration::from_millis(300);

/// The times of one call.
pub(crate) struct Times {
    pub(crate) timeout: Duration,
    pub(crate) ttl: Duration,
    pub(crate) max_hold: Duration,
}

/// Runs work under the lock: `succeed`, `fail`, or `hang` for ever. With `drop`, work hangs and the
/// whole scope is dropped.
pub(crate) async fn with_lock(redis: Redis, key: &LockKey, work: &str, times: Times) -> String {
    let locks = Locks::new(redis, times.max_hold);
    let Some(ttl) = Ttl::new(times.ttl) else {
        return "no time to live".to_owned();
    };
    let (timeout, told) = (times.timeout, work);
    let work = async |token: FencingToken| match told {
        "succeed" => Ok(token.get()),
        "fail" => Err("failed"),
        _ => pending().await,
    };
    let scope = locks.with_lock(key, timeout, ttl, work);
    let outcome = if told == "drop" {
        within(PATIENCE, scope).await
    } else {
        Some(scope.await)
    };
    match outcome {
        Some(Ok(Ok(token))) => format!("succeeded {token}"),
        Some(Ok(Err(error))) => error.to_owned(),
        Some(Err(error)) => name(&error).to_owned(),
        None => "dropped".to_owned(),
    }
}

/// Tries once, and then does with the lease what `end` says.
pub(crate) async fn try_acquire(redis: Redis, key: &LockKey, end: &str) -> String {
    let locks = Locks::new(redis, LONG.as_duration());
    let mut lease = match locks.try_acquire(key, LONG).await {
        Ok(lease) => lease,
        Err(error) => return name(&error).to_owned(),
    };
    let token = lease.fencing_token();
    let ended = match end {
        "release" => lease.release().await,
        "renew" => match lease.renew().await {
            Ok(()) => lease.release().await,
            lost => lost,
        },
        "work" => match lease.keep_during(ready(())).await {
            Ok(()) => lease.release().await,
            lost => lost,
        },
        _ => {
            drop(lease);
            Ok(())
        }
    };
    match ended {
        Ok(()) => format!("ended {token}"),
        Err(error) => name(&error).to_owned(),
    }
}

/// Waits for the lock and gives it back. Answers with how long it waited, in milliseconds.
pub(crate) async fn acquire(redis: Redis, key: &LockKey, timeout: Duration) -> String {
    let locks = Locks::new(redis, LONG.as_duration());
    let lease = match locks.acquire(key, timeout, LONG).await {
        Ok(lease) => lease,
        Err(error) => return name(&error).to_owned(),
    };
    let waited = lease.waited().as_millis();
    match lease.release().await {
        Ok(()) => format!("waited {waited}"),
        Err(error) => name(&error).to_owned(),
    }
}

/// Writes a text and the fencing token to `{lock}:text`, and removes `{lock}:draft`, with the lock.
pub(crate) async fn commit(redis: Redis, key: &LockKey, text: &str) -> String {
    committed(redis, key, text, async |_| ()).await
}

/// The same, after the lock was given to another.
pub(crate) async fn commit_late(redis: Redis, key: &LockKey, text: &str) -> String {
    let lose = async |redis: Redis| {
        let arguments = [key.lock(), "another"].map(|text| RedisParameter::Binary(text.into()));
        // That it did shows in what the commit comes to.
        let _ = redis.command("SET", &arguments, Repeat::Unsafe).await;
    };
    committed(redis, key, text, lose).await
}

async fn committed(
    redis: Redis,
    key: &LockKey,
    text: &str,
    before: impl AsyncFnOnce(Redis),
) -> String {
    let lease = match Locks::new(redis.clone(), LONG.as_duration())
        .try_acquire(key, LONG)
        .await
    {
        Ok(lease) => lease,
        Err(error) => return name(&error).to_owned(),
    };
    before(redis).await;
    let [written, draft] = ["text", "draft"].map(|name| format!("{{{}}}:{name}", key.lock()));
    // The number makes the bytes those of this commit alone.
    let value = format!("{text} {}", lease.fencing_token());
    let record = Record {
        key: &written,
        value: value.as_bytes(),
        ttl: LONG,
    };
    match lease.commit(&[record], &[&draft]).await {
        Ok(()) => value,
        Err(error) => name(&error).to_owned(),
    }
}

fn name(error: &LockError) -> &'static str {
    match error {
        LockError::Held { .. } => "held",
        LockError::Lost => "lost",
        LockError::Redis(_) => "redis",
    }
}
