//! A component from scratch, on the library alone: it counts the visits of each user, and never
//! loses one, however many come at once.
//!
//! `POST /42` counts a visit of user 42 and answers the number. No other method counts one.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use edgelatch::core::cache::{CacheError, JsonCache};
use edgelatch::core::lock::{LockError, Locks};
use edgelatch::platform::redis::{Link, Redis};
use edgelatch::types::{
    keys::Keys,
    name::Name,
    ttl::Ttl,
    user_id::{UserId, UserIds},
};
use http::header::{ALLOW, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use spin_sdk::http::Request;

/// What there is.
const USAGE: &str = "POST /{user_id}\n";
/// How long a call to Redis may take.
const REDIS_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a visit waits for those before it.
const WAIT: Duration = Duration::from_secs(5);
/// How long the lock lives where the component that holds it dies.
const LOCK_TTL: Ttl = Ttl::of_millis(10_000);
/// How long the lock is renewed at most.
const MAX_HOLD: Duration = Duration::from_secs(60);
/// How long a count is kept: 30 days.
const KEPT: Ttl = Ttl::of_millis(2_592_000_000);

/// The component's entry point.
#[cfg_attr(target_family = "wasm", spin_sdk::http_service)]
pub async fn handle(request: Request) -> (StatusCode, HeaderMap, String) {
    let mut headers = HeaderMap::new();
    let path = request.uri().path().trim_start_matches('/');
    let (Some(user), Some(visits)) = (UserIds::Integer.read(path), Name::parse("visits")) else {
        return (StatusCode::NOT_FOUND, headers, USAGE.to_owned());
    };
    if request.method() != Method::POST {
        headers.insert(ALLOW, HeaderValue::from_static("POST"));
        return (StatusCode::METHOD_NOT_ALLOWED, headers, USAGE.to_owned());
    }
    match visit(user, &visits).await {
        Ok(count) => (StatusCode::OK, headers, format!("{count}\n")),
        Err(status) => (status, headers, format!("{status}\n")),
    }
}

/// Counts a visit under the user's lock.
async fn visit(user: UserId, visits: &Name) -> Result<u64, StatusCode> {
    let redis = redis().await?;
    let keys = Keys::new("counter:");
    let cache = JsonCache::new(redis.clone(), keys.clone());
    let count = |_fencing_token| async {
        let count = cache.get_as::<u64>(user, visits).await?.unwrap_or(0) + 1;
        cache.set_as(user, visits, &count, KEPT).await?;
        Ok::<_, CacheError>(count)
    };
    let locks = Locks::new(redis, MAX_HOLD);
    let lock = keys.user_lock(user);
    match locks.with_lock(&lock, WAIT, LOCK_TTL, count).await {
        Ok(Ok(count)) => Ok(count),
        Err(LockError::Held { .. }) => Err(StatusCode::LOCKED),
        Ok(Err(_)) | Err(_) => Err(StatusCode::SERVICE_UNAVAILABLE),
    }
}

/// A handle for one request on the connection that all requests of this instance share.
async fn redis() -> Result<Redis, StatusCode> {
    static LINK: OnceLock<Arc<Link>> = OnceLock::new();
    if LINK.get().is_none() {
        let address = spin_sdk::variables::get("redis_address").await;
        let address = address.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
        LINK.get_or_init(|| Arc::new(Link::new(address)));
    }
    let link = LINK.get().ok_or(StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(Redis::new(Arc::clone(link), REDIS_TIMEOUT))
}
