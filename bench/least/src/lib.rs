//! The least component: the minimum for a Spin component that takes and releases a user's lock, or
//! reads and writes a value. It is an upper bound for the service on the same runner.
//!
//! It answers the service's paths and keeps none of its promises: no waiting, no fencing token, no
//! validation, no ETag, and errors are an empty 5xx. With `scripts`, it runs the service's scripts
//! with the same values instead of its own commands, and sends the same headers: that shows what
//! they cost. It has one connection per instance, as the service does, since one per request would
//! cost more than everything else.

use std::sync::{Arc, LazyLock, OnceLock};

use bytes::Bytes;
use futures::lock::Mutex;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use spin_sdk::redis::{Connection, RedisParameter, RedisResult};

mod scripted;

/// Compare-and-delete, as in the Redis manual's page on locks.
const RELEASE: &str = include_str!("../../release.lua");

/// A lock's time to live, in milliseconds.
const EXPIRE_MS: i64 = 10_000;

/// The answer to an action.
const SUCCESS: &[u8] = b"{\"status\":\"success\"}";

/// A cached value's time to live, in seconds.
const CACHE_EXPIRE_S: i64 = 3600;

/// What all requests of this instance share.
struct Shared {
    redis: Connection,
    /// The service's scripts, if it is to run them.
    scripts: Option<scripted::Scripts>,
}

static SHARED: OnceLock<Arc<Shared>> = OnceLock::new();

/// Locked while the connection is opened, so that concurrent first requests open only one.
static OPENING: LazyLock<Mutex<()>> = LazyLock::new(Mutex::default);

/// The component's entry point.
#[cfg_attr(target_family = "wasm", spin_sdk::http_service)]
pub async fn handle(request: spin_sdk::http::Request) -> Response {
    answer(request)
        .await
        .unwrap_or_else(|status| response(status, Bytes::new()))
}

type Response = http::Response<Full<Bytes>>;

async fn answer<B>(request: Request<B>) -> Result<Response, StatusCode>
where
    B: http_body::Body<Data = Bytes>,
{
    let (head, body) = request.into_parts();
    if head.uri.path() == "/healthz" {
        return Ok(response(
            StatusCode::OK,
            Bytes::from_static(b"{\"status\":\"ok\"}"),
        ));
    }
    if let Some((_, user)) = head
        .uri
        .query()
        .and_then(|query| query.split_once("user_id="))
    {
        let user = user.split('&').next().unwrap_or_default();
        return action(user).await;
    }
    // Only the benchmark calls this, so method and path are enough.
    let key = head.uri.path().to_owned();
    if head.method == Method::PUT {
        let body = body.collect().await.map_err(|_| StatusCode::BAD_REQUEST)?;
        return put(key, body.to_bytes()).await;
    }
    get(&key).await
}

/// Two round trips: acquire, release.
async fn action(user: &str) -> Result<Response, StatusCode> {
    let shared = shared().await?;
    if let Some(scripts) = &shared.scripts {
        return scripts.action(&shared.redis, user).await;
    }
    let redis = &shared.redis;
    let key = format!("user:{user}:lock");
    let token = token();
    let acquired = redis.execute(
        "SET",
        [
            text(&key),
            text(&token),
            text("NX"),
            text("PX"),
            RedisParameter::Int64(EXPIRE_MS),
        ],
    );
    match acquired.await.map_err(unavailable)?.as_slice() {
        [RedisResult::Status(_)] => {}
        _ => return Err(StatusCode::LOCKED),
    }
    let released = redis.execute(
        "EVAL",
        [
            text(RELEASE),
            RedisParameter::Int64(1),
            text(&key),
            text(&token),
        ],
    );
    match released.await.map_err(unavailable)?.as_slice() {
        [RedisResult::Int64(1)] => Ok(response(StatusCode::OK, Bytes::from_static(SUCCESS))),
        _ => Err(StatusCode::CONFLICT),
    }
}

/// One round trip.
async fn get(key: &str) -> Result<Response, StatusCode> {
    let value = shared().await?.redis.get(key).await;
    let value = value.map_err(unavailable)?;
    let value = value.ok_or(StatusCode::NOT_FOUND)?;
    Ok(response(StatusCode::OK, Bytes::from(value)))
}

/// One round trip.
async fn put(key: String, value: Bytes) -> Result<Response, StatusCode> {
    let arguments = [
        text(&key),
        RedisParameter::Binary(value.into()),
        text("EX"),
        RedisParameter::Int64(CACHE_EXPIRE_S),
    ];
    let shared = shared().await?;
    let stored = shared.redis.execute("SET", arguments).await;
    stored.map_err(unavailable)?;
    Ok(response(StatusCode::CREATED, Bytes::new()))
}

async fn shared() -> Result<Arc<Shared>, StatusCode> {
    if let Some(shared) = SHARED.get() {
        return Ok(Arc::clone(shared));
    }
    let _opening = OPENING.lock().await;
    if let Some(shared) = SHARED.get() {
        return Ok(Arc::clone(shared));
    }
    let address = spin_sdk::variables::get("redis_address").await;
    let address = address.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let scripts = spin_sdk::variables::get("scripts").await;
    let redis = Connection::open(address).await.map_err(unavailable)?;
    let scripts = match scripts.as_deref() {
        Ok("true") => Some(scripted::Scripts::load(&redis).await?),
        _ => None,
    };
    Ok(Arc::clone(
        SHARED.get_or_init(|| Arc::new(Shared { redis, scripts })),
    ))
}

/// 128 random bits in hexadecimal.
fn token() -> String {
    let high = wasi::random::random::get_random_u64();
    let low = wasi::random::random::get_random_u64();
    format!("{high:016x}{low:016x}")
}

fn text(text: &str) -> RedisParameter {
    RedisParameter::Binary(text.as_bytes().to_vec())
}

fn unavailable(_: spin_sdk::redis::Error) -> StatusCode {
    StatusCode::SERVICE_UNAVAILABLE
}

fn response(status: StatusCode, body: Bytes) -> Response {
    let length = body.len();
    let mut response = http::Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(http::header::CONTENT_LENGTH, length.into());
    headers.insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static("application/json"),
    );
    response
}
