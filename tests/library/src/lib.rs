//! Calls the library as a test tells it, and answers with what it returned, in words. Beside that it
//! serves the whole API, with the action of `action.rs`.
//!
//! | path | call |
//! |---|---|
//! | `/with-lock/{work}/{timeout}/{ttl}/{max_hold}` | `Locks::with_lock`, times in milliseconds |
//! | `/try-acquire/{end}` | `Locks::try_acquire`, and how the lease ends |
//! | `/acquire/{timeout}` | `Locks::acquire`, then `Lease::release` |
//! | `/commit/{text}`, `/commit-late/{text}` | `Lease::commit`; late, another has the lock by then |
//! | `/lease/grant/{token}/{owner}` | `Locks::grant`; `random` is a token of the library's |
//! | `/lease/renew/{token}`, `/lease/release/{token}` | `Locks::renew`, `release` |
//! | `/lock/inspect`, `/lock/break` | `Locks::inspect`, `break_lock` |
//! | `/lock/watch/{after}/{timeout}` | `Locks::watch` |
//! | `/lock-of/{kind}/{user}/{name}` | `Keys::named_lock` of a user |
//! | `/entry/...` | `JsonCache`: see `entry.rs` |
//! | `/command/{command}/{key}` | `Redis::command` |
//!
//! All of them but `/lock-of` are about user 42.

mod action;
mod command;
mod entry;
mod lease;
mod scope;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use edgelatch::platform::redis::{Link, Redis};
use edgelatch::spin_sdk::http::{IntoResponse as _, StatusCode};
use edgelatch::spin_sdk::variables;
use edgelatch::spin_sdk::wasip3::http::types::{ErrorCode, Request, Response};
use edgelatch::types::keys::Keys;
use edgelatch::types::ttl::Ttl;
use edgelatch::types::user_id::UserId;

/// Whose lock and entries they are.
const USER: i64 = 42;

/// A lease lives for so long: no test waits for its expiry.
pub(crate) const LONG: Ttl = Ttl::of_millis(600_000);

/// The component's entry point. `edgelatch::service!` makes one that has no other routes than those
/// of the API.
#[cfg(target_family = "wasm")]
const _: () = {
    use edgelatch::spin_sdk::wasip3;

    struct Component;

    wasip3::http::service::export!(Component);

    impl wasip3::exports::http::handler::Guest for Component {
        async fn handle(request: Request) -> Result<Response, ErrorCode> {
            crate::handle(request).await
        }
    }
};

/// Answers a request.
///
/// # Errors
/// Where what the host hands over is no HTTP.
pub async fn handle(request: Request) -> Result<Response, ErrorCode> {
    let path = request.get_path_with_query().unwrap_or_default();
    if path.starts_with("/api/") {
        return edgelatch::serve(request, action::run).await;
    }
    let answer = match answer(&path).await {
        Some(text) => (StatusCode::OK, text),
        None => (StatusCode::NOT_FOUND, String::new()),
    };
    answer.into_response()
}

async fn answer(path: &str) -> Option<String> {
    let redis = redis().await?;
    let keys = Keys::new("");
    let user = UserId::new(USER);
    let lock = keys.user_lock(user);
    let words: Vec<&str> = path.split('/').skip(1).collect();
    match words.as_slice() {
        ["with-lock", work, times @ ..] => {
            let [timeout, ttl, max_hold] = times.try_into().ok()?;
            let times = scope::Times {
                timeout: millis(timeout)?,
                ttl: millis(ttl)?,
                max_hold: millis(max_hold)?,
            };
            Some(scope::with_lock(redis, &lock, work, times).await)
        }
        ["try-acquire", end] => Some(scope::try_acquire(redis, &lock, end).await),
        ["acquire", timeout] => Some(scope::acquire(redis, &lock, millis(timeout)?).await),
        ["commit", text] => Some(scope::commit(redis, &lock, text).await),
        ["commit-late", text] => Some(scope::commit_late(redis, &lock, text).await),
        ["lease", call @ ..] => lease::of_a_token(redis, &lock, call).await,
        ["lock", call @ ..] => lease::of_anybody(redis, &lock, call).await,
        ["lock-of", kind, user, name] => lease::key_of(&keys, kind, user, name),
        ["entry", call @ ..] => entry::answer(redis, keys, user, call).await,
        ["command", command, key] => Some(command::answer(redis, command, key).await),
        _ => None,
    }
}

pub(crate) fn millis(text: &str) -> Option<Duration> {
    text.parse().ok().map(Duration::from_millis)
}

async fn redis() -> Option<Redis> {
    static LINK: OnceLock<Arc<Link>> = OnceLock::new();
    if LINK.get().is_none() {
        let host = variables::get("redis_host").await.ok()?;
        let port = variables::get("redis_port").await.ok()?;
        LINK.get_or_init(|| Arc::new(Link::new(format!("redis://{host}:{port}/0"))));
    }
    Some(Redis::new(Arc::clone(LINK.get()?), Duration::from_secs(15)))
}
