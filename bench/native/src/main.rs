//! The native peer: what axum and redis-rs reach without WebAssembly, with the same paths and the
//! same two round trips. It shows the limit of the machine: the difference to the least component
//! is the price of the sandbox.
//!
//! The arguments are the address to listen at and the URL of the Redis. Like the least component,
//! it neither waits for a lock nor validates anything.

#![expect(
    clippy::print_stdout,
    reason = "where it serves is said on stdout, as the host does"
)]

use anyhow::Context as _;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use redis::aio::MultiplexedConnection;
use serde::Deserialize;

/// Compare-and-delete, as in the Redis manual's page on locks.
const RELEASE: &str = include_str!("../../release.lua");

/// A lock's time to live, in milliseconds.
const EXPIRE_MS: u64 = 10_000;

/// A cached value's time to live, in seconds.
const CACHE_EXPIRE_S: u64 = 3600;

/// What all requests share.
#[derive(Clone)]
struct App {
    redis: MultiplexedConnection,
    release: redis::Script,
}

#[derive(Deserialize)]
struct Action {
    user_id: i64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: edgelatch-bench-native HOST:PORT REDIS-URL";
    let listen = arguments.next().context(usage)?;
    let redis = redis::Client::open(arguments.next().context(usage)?)?;
    let app = App {
        redis: redis.get_multiplexed_async_connection().await?,
        release: redis::Script::new(RELEASE),
    };
    let router = Router::new()
        .route(
            "/healthz",
            get(async || json(StatusCode::OK, "{\"status\":\"ok\"}")),
        )
        .route("/api/v1/users/perform-action", post(action))
        .route("/api/v1/users/attempt-action", post(action))
        .route("/api/v1/users/{user}/cache/{key}", get(read).put(write))
        .with_state(app);
    let listener = tokio::net::TcpListener::bind(listen).await?;
    println!("Serving http://{}", listener.local_addr()?);
    let listener = listener.tap_io(|stream| {
        // Only speed depends on it. A real error shows in the first answer.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router).await?;
    Ok(())
}

/// Two round trips: acquire, release.
async fn action(
    State(mut app): State<App>,
    Query(Action { user_id }): Query<Action>,
) -> Result<Response, StatusCode> {
    let key = format!("user:{user_id}:lock");
    let token = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
    let acquired: Option<String> = redis::cmd("SET")
        .arg((&key, &token, "NX", "PX", EXPIRE_MS))
        .query_async(&mut app.redis)
        .await
        .map_err(unavailable)?;
    if acquired.is_none() {
        return Err(StatusCode::LOCKED);
    }
    let mut release = app.release.key(&key);
    let released: i64 = release
        .arg(&token)
        .invoke_async(&mut app.redis)
        .await
        .map_err(unavailable)?;
    if released == 0 {
        return Err(StatusCode::CONFLICT);
    }
    Ok(json(StatusCode::OK, "{\"status\":\"success\"}"))
}

/// One round trip.
async fn read(
    State(mut app): State<App>,
    Path((user, key)): Path<(i64, String)>,
) -> Result<Response, StatusCode> {
    let value: Option<Vec<u8>> = redis::cmd("GET")
        .arg(format!("user:{user}:cache:{key}"))
        .query_async(&mut app.redis)
        .await
        .map_err(unavailable)?;
    value.map_or(Err(StatusCode::NOT_FOUND), |value| {
        Ok(json(StatusCode::OK, value))
    })
}

/// One round trip.
async fn write(
    State(mut app): State<App>,
    Path((user, key)): Path<(i64, String)>,
    body: Bytes,
) -> Result<StatusCode, StatusCode> {
    let key = format!("user:{user}:cache:{key}");
    let () = redis::cmd("SET")
        .arg((key, &body[..], "EX", CACHE_EXPIRE_S))
        .query_async(&mut app.redis)
        .await
        .map_err(unavailable)?;
    Ok(StatusCode::CREATED)
}

fn json(status: StatusCode, body: impl Into<axum::body::Body>) -> Response {
    let content_type = HeaderValue::from_static("application/json");
    (status, [(header::CONTENT_TYPE, content_type)], body.into()).into_response()
}

fn unavailable(_: redis::RedisError) -> StatusCode {
    StatusCode::SERVICE_UNAVAILABLE
}
