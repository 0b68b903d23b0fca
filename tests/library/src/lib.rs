//! Calls the library as a test tells it, and answers with what it returned, in words.
//!
//! | path | call |
//! |---|---|
//! | `/with-lock/{work}/{timeout}/{ttl}/{max_hold}` | `Locks::with_lock`, times in milliseconds |
//! | `/try-acquire/{end}` | `Locks::try_acquire`, and how the lease ends |
//! | `/acquire/{timeout}` | `Locks::acquire`, then `Lease::release` |
//! | `/entry/get`, `/entry/set/{number}`, `/entry/delete` | `get_as`, `set_as`, `delete` |
//! | `/entry/compare-and-set/{current}/{number}` | `compare_and_set` |
//!
//! All of them are about user 42.

mod entry;
mod scope;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use edgelatch::platform::redis::{Link, Redis};
use edgelatch::types::keys::Keys;
use edgelatch::types::user_id::UserId;
use http::StatusCode;
use spin_sdk::http::Request;

/// Whose lock and entries they are.
pub(crate) const USER: i64 = 42;

/// The component's entry point.
#[cfg_attr(target_family = "wasm", spin_sdk::http_service)]
pub async fn handle(request: Request) -> (StatusCode, String) {
    match answer(request.uri().path()).await {
        Some(text) => (StatusCode::OK, text),
        None => (StatusCode::NOT_FOUND, String::new()),
    }
}

async fn answer(path: &str) -> Option<String> {
    let redis = redis().await?;
    let keys = Keys::new("");
    let user = UserId::new(USER);
    let words: Vec<&str> = path.split('/').skip(1).collect();
    match words.as_slice() {
        ["with-lock", work, times @ ..] => {
            let [timeout, ttl, max_hold] = times.try_into().ok()?;
            let times = scope::Times {
                timeout: millis(timeout)?,
                ttl: millis(ttl)?,
                max_hold: millis(max_hold)?,
            };
            Some(scope::with_lock(redis, &keys.user_lock(user), work, times).await)
        }
        ["try-acquire", end] => Some(scope::try_acquire(redis, &keys.user_lock(user), end).await),
        ["acquire", timeout] => {
            let timeout = millis(timeout)?;
            Some(scope::acquire(redis, &keys.user_lock(user), timeout).await)
        }
        ["entry", call @ ..] => entry::answer(redis, keys, user, call).await,
        _ => None,
    }
}

fn millis(text: &str) -> Option<Duration> {
    text.parse().ok().map(Duration::from_millis)
}

async fn redis() -> Option<Redis> {
    static LINK: OnceLock<Arc<Link>> = OnceLock::new();
    if LINK.get().is_none() {
        let address = spin_sdk::variables::get("redis_address").await.ok()?;
        LINK.get_or_init(|| Arc::new(Link::new(address)));
    }
    Some(Redis::new(Arc::clone(LINK.get()?), Duration::from_secs(15)))
}
