//! A lock that is held from one call to the next, and what anybody may see of it and do to it.

use std::time::Duration;

use edgelatch::core::lock::{Broken, Holder, LockError, LockStatus, Locks, OwnerName, OwnerToken};
use edgelatch::platform::redis::Redis;
use edgelatch::types::keys::{Keys, LockKey};
use edgelatch::types::name::Name;
use edgelatch::types::user_id::UserId;

use crate::LONG;

/// Makes a call with a token: the lock is its own for as long as it says so.
pub(crate) async fn of_a_token(redis: Redis, key: &LockKey, call: &[&str]) -> Option<String> {
    let locks = Locks::new(redis, LONG.as_duration());
    let token = |text: &str| match text {
        "random" => Some(OwnerToken::random()),
        text => OwnerToken::parse(text.as_bytes()),
    };
    let told = match call {
        ["grant", text, owner] => {
            let owner = OwnerName::parse(owner.as_bytes())?;
            let token = token(text)?;
            let locks = locks.as_owner(Some(owner));
            let granted = locks.grant(key, &token, Duration::ZERO, LONG).await;
            granted.map(|grant| {
                let how = if grant.renewed { "renewed" } else { "new" };
                format!("{} {} {how}", token.as_str(), grant.fencing_token)
            })
        }
        ["renew", text] => {
            let renewed = locks.renew(key, &token(text)?, LONG).await;
            renewed.map(|number| format!("renewed {number}"))
        }
        ["release", text] => {
            let released = locks.release(key, &token(text)?).await;
            released.map(|()| "released".to_owned())
        }
        _ => return None,
    };
    Some(told.unwrap_or_else(|error| why(&error)))
}

/// Makes a call that needs no token.
pub(crate) async fn of_anybody(redis: Redis, key: &LockKey, call: &[&str]) -> Option<String> {
    let locks = Locks::new(redis, LONG.as_duration());
    let told = match call {
        ["inspect"] => locks.inspect(key).await.map(|status| seen(&status)),
        ["watch", after, timeout] => {
            let (after, timeout) = (after.parse().ok(), crate::millis(timeout)?);
            let watched = locks.watch(key, after, timeout).await;
            watched.map(|status| seen(&status))
        }
        ["break"] => {
            let broken = locks.break_lock(key).await;
            broken.map(|broken| broken.map_or("nobody held it".to_owned(), |of| whose(&of)))
        }
        _ => return None,
    };
    Some(told.unwrap_or_else(|error| error.to_string()))
}

/// The key of another lock of a user: of the number, UUID or name `user`.
pub(crate) fn key_of(keys: &Keys, kind: &str, user: &str, name: &str) -> Option<String> {
    let user = match kind {
        "number" => UserId::new(user.parse().ok()?),
        "uuid" => UserId::uuid(u128::from_str_radix(user, 16).ok()?),
        "name" => UserId::name(user)?,
        _ => return None,
    };
    let lock = keys.named_lock(user, &Name::parse(name)?);
    Some(lock.lock().to_owned())
}

fn why(error: &LockError) -> String {
    match error {
        LockError::Held(by) => {
            let waiting = by.waiting;
            let owner = named(by.owner.as_ref());
            let ends = ends(by.remaining);
            format!("held by {owner}, {ends}, {waiting} waiting")
        }
        LockError::Lost => "lost".to_owned(),
        LockError::Redis(error) => error.to_string(),
    }
}

fn seen(status: &LockStatus) -> String {
    let waiting = status.waiting;
    match &status.holder {
        None => format!("free, {waiting} waiting"),
        Some(holder) => format!("held {}, {waiting} waiting", holder_of(holder)),
    }
}

fn holder_of(holder: &Holder) -> String {
    let number = holder.fencing_token.map(|number| number.get());
    let owner = named(holder.owner.as_ref());
    let ends = ends(holder.remaining);
    format!("under {number:?} by {owner}, {ends}")
}

fn whose(broken: &Broken) -> String {
    let number = broken.fencing_token.map(|number| number.get());
    let owner = named(broken.owner.as_ref());
    format!("broke {number:?} of {owner}")
}

fn named(owner: Option<&OwnerName>) -> &str {
    owner.map_or("nobody by name", OwnerName::as_str)
}

fn ends(remaining: Option<Duration>) -> &'static str {
    if remaining.is_some() {
        "for a while"
    } else {
        "for ever"
    }
}
