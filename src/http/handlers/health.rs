//! `/healthz`: is the component running. `/readyz`: can it do its work.

use std::time::Duration;

use http::{Method, Uri};
use serde::Serialize;

use crate::http::problem::Problem;
use crate::http::replies;
use crate::http::request::{Request, refuse_parameters};
use crate::http::response::Answer;
#[cfg(not(target_family = "wasm"))]
use crate::http::schemas;

/// The component is running.
#[derive(Serialize)]
#[cfg_attr(not(target_family = "wasm"), derive(utoipa::ToSchema))]
pub(crate) struct Live {
    #[cfg_attr(not(target_family = "wasm"), schema(schema_with = schemas::ok))]
    status: &'static str,
}

impl Live {
    pub(crate) const ANSWER: Self = Self { status: "ok" };
}

/// The component can do its work.
#[derive(Serialize)]
#[cfg_attr(not(target_family = "wasm"), derive(utoipa::ToSchema))]
pub(crate) struct Ready {
    #[cfg_attr(not(target_family = "wasm"), schema(schema_with = schemas::ok))]
    redis: &'static str,
    /// How long it took to take a lock and give it back, in milliseconds.
    #[cfg_attr(not(target_family = "wasm"), schema(minimum = 0))]
    latency_ms: f64,
}

impl Ready {
    pub(crate) fn after(latency: Duration) -> Self {
        let us = (latency.as_secs_f64() * 1_000_000.0).round();
        Self {
            redis: "ok",
            latency_ms: us / 1000.0,
        }
    }
}

/// Whether this is a request that [`live`] answers.
pub(crate) fn is_liveness(method: &Method, path: &str) -> bool {
    matches!(path, "/healthz" | "/healthz/") && matches!(*method, Method::GET | Method::HEAD)
}

/// `GET /healthz`: 200, without touching Redis.
pub(crate) async fn live(request: Request) -> Result<Answer, Problem> {
    alive(&request.uri)
}

/// What [`live`] answers, also where there is no context because the settings are wrong.
pub(crate) fn alive(uri: &Uri) -> Result<Answer, Problem> {
    refuse_parameters(uri)?;
    Ok(replies::json(&Live::ANSWER)?.into())
}

/// `GET /readyz`: 200 where an action could be carried out, else 503.
pub(crate) async fn ready(request: Request) -> Result<Answer, Problem> {
    refuse_parameters(&request.uri)?;
    let context = request.context;
    let instance = &context.instance;
    let locks = instance.locks(&context.redis);
    let latency = instance.readiness.check(&locks, &instance.keys).await?;
    Ok(replies::json(&Ready::after(latency))?.into())
}
