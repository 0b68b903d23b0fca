//! `perform-action` and `attempt-action`: the action of a user, never twice at once.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::action::{Action, ActionError};
use crate::core::actions::{ActionRequest, PerformError, Performed};
use crate::core::idempotency::Idempotency;
use crate::core::lock::{COULD_NOT_ACQUIRE, LockError};
use crate::http::problem::{Problem, retry_after_seconds};
use crate::http::replies;
use crate::http::request::query::Query;
use crate::http::request::{Request, RequestContext, body, headers, values};
use crate::http::response::{Answer, Outcome};
#[cfg(not(target_family = "wasm"))]
use crate::http::schemas;
use crate::platform::telemetry::Span;
use crate::types::header_names::FENCING_TOKEN;

const LOCK_WAIT: HeaderName = HeaderName::from_static("lock-wait");
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// What an action that ran answers.
#[derive(Serialize)]
#[cfg_attr(not(target_family = "wasm"), derive(utoipa::ToSchema))]
pub(crate) struct Success<'a> {
    #[cfg_attr(not(target_family = "wasm"), schema(schema_with = schemas::success))]
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(not(target_family = "wasm"), schema(schema_with = schemas::result))]
    result: Option<&'a RawValue>,
}

/// What `attempt-action` answers where it did not get the lock.
#[derive(Serialize)]
#[cfg_attr(not(target_family = "wasm"), derive(utoipa::ToSchema))]
pub(crate) struct Failed {
    #[cfg_attr(not(target_family = "wasm"), schema(schema_with = schemas::failed))]
    status: &'static str,
    #[cfg_attr(not(target_family = "wasm"), schema(schema_with = schemas::could_not_acquire))]
    detail: &'static str,
}

impl Success<'_> {
    pub(crate) fn with(result: Option<&RawValue>) -> Success<'_> {
        Success {
            status: "success",
            result,
        }
    }
}

impl Failed {
    pub(crate) const ANSWER: Self = Self {
        status: "failed",
        detail: COULD_NOT_ACQUIRE,
    };
}

/// `POST perform-action`: waits up to `timeout` for the user's lock and runs the action under it.
pub(crate) async fn perform(request: Request) -> Result<Answer, Problem> {
    let mut query = Query::new(&request.uri);
    let timeout = query.optional("timeout", values::timeout);
    let timeout = timeout.unwrap_or(request.context.instance.config.lock_timeout);
    let call = Call::read("perform-action", timeout, query, request).await?;
    Ok(success(call.perform().await?))
}

/// `POST attempt-action`: tries once, and says so if it did not get the lock.
pub(crate) async fn attempt(request: Request) -> Result<Answer, Problem> {
    let query = Query::new(&request.uri);
    let call = Call::read("attempt-action", Duration::ZERO, query, request).await?;
    match call.perform().await {
        Ok(performed) => Ok(success(performed)),
        Err(PerformError::Lock(LockError::Held(by))) => {
            let mut response = replies::json(&Failed::ANSWER)?;
            let seconds = HeaderValue::from(retry_after_seconds(by.remaining));
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
            Ok(Answer {
                response,
                outcome: Outcome::LockHeld,
            })
        }
        Err(error) => Err(error.into()),
    }
}

/// One request for an action, read and checked.
struct Call {
    name: &'static str,
    context: RequestContext,
    headers: HeaderMap,
    input: Option<Bytes>,
    action: ActionRequest,
}

impl Call {
    async fn read(
        name: &'static str,
        timeout: Duration,
        mut query: Query,
        request: Request,
    ) -> Result<Self, Problem> {
        let (context, headers) = (request.context, request.headers);
        let user_ids = context.instance.config.user_ids;
        let user = query.required("user_id", values::user_id(user_ids));
        let expire = query.optional("expire", values::expire);
        let user = query.finish(user)?;
        let config = &context.instance.config;
        let expire = expire.unwrap_or(config.lock_expire);
        let input = body::json(&headers, request.body, config.max_body_bytes).await?;
        let idempotency = headers::idempotency_key(&headers)?.map(|key| {
            let body = input.as_deref().unwrap_or_default();
            Idempotency::new(&context.instance.keys, user, name, &key, body, expire)
        });
        let action = ActionRequest {
            user,
            timeout,
            expire,
            idempotency,
            answer: |result| serde_json::to_vec(&Success::with(result)),
        };
        Ok(Self {
            name,
            context,
            headers,
            input,
            action,
        })
    }

    async fn perform(self) -> Result<Performed, PerformError<ActionError>> {
        let instance = &self.context.instance;
        let actions = instance.actions(&self.context.redis, &self.context.telemetry);
        let work = async |fencing_token, span: &Span| {
            let action = Action {
                name: self.name,
                user: self.action.user,
                input: self.input.clone(),
                fencing_token,
                request_id: &self.context.telemetry.request_id,
                headers: &span.headers(&self.headers),
                deadline: self.context.redis.deadline(),
                config: &instance.config,
                redis: &self.context.redis,
            };
            self.context.action.run(action).await
        };
        actions.perform(&self.action, work).await
    }
}

fn success(performed: Performed) -> Answer {
    let mut response = replies::json_bytes(performed.answer);
    let headers = response.headers_mut();
    let waited = performed.waited.as_millis() as u64;
    headers.insert(FENCING_TOKEN, HeaderValue::from(performed.fencing_token));
    headers.insert(LOCK_WAIT, HeaderValue::from(waited));
    let mut outcome = Outcome::Success;
    if performed.replayed {
        headers.insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
        outcome = Outcome::Replayed;
    }
    Answer { response, outcome }
}
