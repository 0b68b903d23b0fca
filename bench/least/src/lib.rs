//! The least component: what a Spin component can't do without to take a user's lock and give it back, or to read and write one
//! value. It bounds from above what the service can reach on the same runner.
//!
//! It answers the service's paths and keeps none of its promises: no waiting, no fencing token, no validation, no ETag, no error but
//! an empty 5xx. What it does share with the service is one connection for each instance, since opening one for each
//! request costs more than everything else.

use std::sync::{Arc, LazyLock, OnceLock};

use bytes::Bytes;
use futures::lock::Mutex;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use spin_sdk::redis::{Connection, RedisParameter, RedisResult};

/// Compare-and-delete, as the Redis manual has it for locks.
const RELEASE: &str =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

/// How long a lock lives, in milliseconds.
const EXPIRE_MS: i64 = 10_000;

/// How long a cached value lives, in seconds.
const CACHE_EXPIRE_S: i64 = 3600;

/// The connection that all requests of this instance share.
static CONNECTION: OnceLock<Arc<Connection>> = OnceLock::new();

/// Held while it is opened, so that a burst of first requests opens one.
static OPENING: LazyLock<Mutex<()>> = LazyLock::new(Mutex::default);

/// The component's entry point.
#[cfg_attr(target_family = "wasm", spin_sdk::http_service)]
pub async fn handle(request: spin_sdk::http::Request) -> http::Response<Full<Bytes>> {
    match answer(request).await {
        Ok((status, body)) => response(status, body),
        Err(status) => response(status, Bytes::new()),
    }
}

async fn answer<B>(request: Request<B>) -> Result<(StatusCode, Bytes), StatusCode>
where
    B: http_body::Body<Data = Bytes>,
{
    let (head, body) = request.into_parts();
    if head.uri.path() == "/healthz" {
        return Ok((StatusCode::OK, Bytes::from_static(b"{\"status\":\"ok\"}")));
    }
    if let Some((_, user)) = head
        .uri
        .query()
        .and_then(|query| query.split_once("user_id="))
    {
        let user = user.split('&').next().unwrap_or_default();
        return action(user).await;
    }
    // Method and path are enough: only the benchmark calls this.
    let key = head.uri.path().to_owned();
    if head.method == Method::PUT {
        let body = body.collect().await.map_err(|_| StatusCode::BAD_REQUEST)?;
        return put(key, body.to_bytes()).await;
    }
    get(&key).await
}

/// Two round trips: acquire, release.
async fn action(user: &str) -> Result<(StatusCode, Bytes), StatusCode> {
    let redis = connection().await?;
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
        [RedisResult::Int64(1)] => Ok((
            StatusCode::OK,
            Bytes::from_static(b"{\"status\":\"success\"}"),
        )),
        _ => Err(StatusCode::CONFLICT),
    }
}

/// One round trip.
async fn get(key: &str) -> Result<(StatusCode, Bytes), StatusCode> {
    let value = connection().await?.get(key).await.map_err(unavailable)?;
    value.map_or(Err(StatusCode::NOT_FOUND), |value| {
        Ok((StatusCode::OK, Bytes::from(value)))
    })
}

/// One round trip.
async fn put(key: String, value: Bytes) -> Result<(StatusCode, Bytes), StatusCode> {
    let arguments = [
        text(&key),
        RedisParameter::Binary(value.into()),
        text("EX"),
        RedisParameter::Int64(CACHE_EXPIRE_S),
    ];
    let redis = connection().await?;
    redis.execute("SET", arguments).await.map_err(unavailable)?;
    Ok((StatusCode::CREATED, Bytes::new()))
}

async fn connection() -> Result<Arc<Connection>, StatusCode> {
    if let Some(connection) = CONNECTION.get() {
        return Ok(Arc::clone(connection));
    }
    let _opening = OPENING.lock().await;
    if let Some(connection) = CONNECTION.get() {
        return Ok(Arc::clone(connection));
    }
    let address = spin_sdk::variables::get("redis_address").await;
    let address = address.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let opened = Connection::open(address).await.map_err(unavailable)?;
    Ok(Arc::clone(CONNECTION.get_or_init(|| Arc::new(opened))))
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

fn response(status: StatusCode, body: Bytes) -> http::Response<Full<Bytes>> {
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
