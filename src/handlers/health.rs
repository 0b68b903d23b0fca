//! `/healthz`: is the component running. `/readyz`: can it do its work.

use std::time::Instant;

use axum::extract::Request;
use axum::response::Response;
use http::{Method, Uri};
use serde::Serialize;
use spin_sdk::redis::RedisResult;

use super::reply;
use crate::problem::Problem;
use crate::query::Query;
use crate::redis::Repeat;
use crate::redis_error::RedisError;
use crate::request::RequestContext;

#[derive(Serialize)]
struct Live {
    status: &'static str,
}

#[derive(Serialize)]
struct Ready {
    redis: &'static str,
    latency_ms: f64,
}

/// Whether this is a request that [`live`] answers.
pub(crate) fn is_liveness(method: &Method, path: &str) -> bool {
    matches!(path, "/healthz" | "/healthz/") && matches!(*method, Method::GET | Method::HEAD)
}

/// `GET /healthz`: 200, without touching Redis.
pub(crate) async fn live(_: RequestContext, request: Request) -> Result<Response, Problem> {
    alive(request.uri())
}

/// What [`live`] answers, also where there is no context because the settings are wrong.
pub(crate) fn alive(uri: &Uri) -> Result<Response, Problem> {
    Query::new(uri).finish(Some(()))?;
    reply::json(&Live { status: "ok" })
}

/// `GET /readyz`: 200 once Redis has answered a PING, else 503.
pub(crate) async fn ready(context: RequestContext, request: Request) -> Result<Response, Problem> {
    Query::new(request.uri()).finish(Some(()))?;
    let began = Instant::now();
    let reply = context.redis.command("PING", &[], Repeat::Safe).await?;
    match reply.as_slice() {
        [RedisResult::Status(_)] => {
            let ms = began.elapsed().as_secs_f64() * 1000.0;
            reply::json(&Ready {
                redis: "ok",
                latency_ms: (ms * 1000.0).round() / 1000.0,
            })
        }
        _ => Err(RedisError::unexpected("not a reply of PING").into()),
    }
}
