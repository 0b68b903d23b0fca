//! `perform-action` and `attempt-action`: the action of a user, never twice at once.

use std::time::{Duration, Instant, SystemTime};

use axum::Extension;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, header};
use serde::Serialize;
use serde_json::value::RawValue;

use super::reply;
use crate::action::{self, Action};
use crate::body;
use crate::keys::UserId;
use crate::lock::{FencingToken, Lease, LockError, Record};
use crate::problem::{COULD_NOT_ACQUIRE, Problem, retry_after_seconds};
use crate::query::{self, Query};
use crate::request::RequestContext;
use crate::seconds::Ttl;

const FENCING_TOKEN: HeaderName = HeaderName::from_static("fencing-token");
const LOCK_WAIT: HeaderName = HeaderName::from_static("lock-wait");

/// How long the result of the last action is kept: an hour.
const LAST_ACTION_TTL_MS: u64 = 3_600_000;

/// What an action answers, and, with the last two members, what is kept of it.
#[derive(Serialize)]
struct Outcome<'a> {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fencing_token: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<String>,
}

impl Outcome<'_> {
    fn success(result: Option<&RawValue>) -> Outcome<'_> {
        Outcome {
            status: "success",
            result,
            detail: None,
            fencing_token: None,
            finished_at: None,
        }
    }

    fn failed() -> Outcome<'static> {
        Outcome {
            status: "failed",
            detail: Some(COULD_NOT_ACQUIRE),
            ..Outcome::success(None)
        }
    }
}

/// `POST perform-action`: waits up to `timeout` for the user's lock and runs the action under it.
pub(crate) async fn perform(
    Extension(context): Extension<RequestContext>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let config = &context.instance.config;
    let mut query = Query::new(&parts.uri);
    let user = query.required("user_id", query::user_id);
    let timeout = query.optional("timeout", query::timeout);
    let expire = query.optional("expire", query::expire);
    let user = query.finish(user)?;
    let input = body::json(&parts.headers, body, config.max_body_bytes).await?;
    let timeout = timeout.unwrap_or(config.lock_timeout);
    let lease = acquire(&context, user, timeout, expire).await?;
    run(&context, "perform-action", user, &parts, input, lease).await
}

/// `POST attempt-action`: tries once, and says so if the lock was not had.
pub(crate) async fn attempt(
    Extension(context): Extension<RequestContext>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let config = &context.instance.config;
    let mut query = Query::new(&parts.uri);
    let user = query.required("user_id", query::user_id);
    let expire = query.optional("expire", query::expire);
    let user = query.finish(user)?;
    let input = body::json(&parts.headers, body, config.max_body_bytes).await?;
    match acquire(&context, user, Duration::ZERO, expire).await {
        Ok(lease) => run(&context, "attempt-action", user, &parts, input, lease).await,
        Err(LockError::Held { remaining }) => {
            let mut response = reply::json(&Outcome::failed())?;
            let seconds = HeaderValue::from(retry_after_seconds(remaining));
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
            Ok(response)
        }
        Err(error) => Err(error.into()),
    }
}

async fn acquire(
    context: &RequestContext,
    user: UserId,
    timeout: Duration,
    expire: Option<Ttl>,
) -> Result<Lease, LockError> {
    let instance = &context.instance;
    let locks = instance.locks(&context.redis);
    let expire = expire.unwrap_or(instance.config.lock_expire);
    let began = Instant::now();
    let outcome = locks
        .acquire(&instance.keys.user_lock(user), timeout, expire)
        .await;
    context.waited(began.elapsed());
    outcome
}

/// Runs the action under the lock, then commits its result and gives the lock back in one step.
async fn run(
    context: &RequestContext,
    name: &'static str,
    user: UserId,
    parts: &Parts,
    input: Option<Bytes>,
    mut lease: Lease,
) -> Result<Response, Problem> {
    let fencing_token = lease.fencing_token();
    let waited = lease.waited();
    let action = Action {
        name,
        user,
        input,
        fencing_token,
        request_id: &context.id,
        headers: &parts.headers,
        config: &context.instance.config,
    };
    let began = Instant::now();
    let outcome = lease.keep_during(action::run(action)).await;
    context.acted(began.elapsed());
    let result = match outcome.map_err(Problem::from).and_then(|result| result) {
        Ok(result) => result,
        Err(problem) => {
            // Whoever is told of the failure may try again at once. If this fails too, the lock expires.
            let _ = lease.release().await;
            return Err(problem);
        }
    };
    commit(context, user, lease, result.as_deref()).await?;
    let mut response = reply::json(&Outcome::success(result.as_deref()))?;
    let headers = response.headers_mut();
    headers.insert(FENCING_TOKEN, HeaderValue::from(fencing_token.get()));
    headers.insert(LOCK_WAIT, HeaderValue::from(waited.as_millis() as u64));
    Ok(response)
}

async fn commit(
    context: &RequestContext,
    user: UserId,
    lease: Lease,
    result: Option<&RawValue>,
) -> Result<(), Problem> {
    let value = last_action(result, lease.fencing_token())?;
    let record = Record {
        key: &context.instance.keys.last_action(user),
        value: &value,
        ttl: Ttl::of_millis(LAST_ACTION_TTL_MS),
    };
    Ok(lease.commit(&[record]).await?)
}

/// What is kept under `last-action`.
fn last_action(result: Option<&RawValue>, fencing_token: FencingToken) -> Result<Vec<u8>, Problem> {
    let record = Outcome {
        fencing_token: Some(fencing_token.get()),
        finished_at: Some(humantime::format_rfc3339_millis(SystemTime::now()).to_string()),
        ..Outcome::success(result)
    };
    serde_json::to_vec(&record).map_err(Problem::internal)
}
