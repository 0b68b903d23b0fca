//! `perform-action` and `attempt-action`: the action of a user, never twice at once.

use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use futures::future::join;
use http::request::Parts;
use http::{HeaderName, HeaderValue, header};
use serde::Serialize;
use serde_json::value::RawValue;

use super::reply;
use crate::action::{self, Action};
use crate::answer::Response;
use crate::body;
use crate::idempotency::{self, Idempotency, Kept};
use crate::keys::UserId;
use crate::lock::{Acquisition, FencingToken, Lease, LockError, Record};
#[cfg(not(target_family = "wasm"))]
use crate::openapi::only;
use crate::problem::{COULD_NOT_ACQUIRE, Problem, retry_after_seconds};
use crate::query::{self, Query};
use crate::read_through::{forgotten, outdate};
use crate::request::RequestContext;
use crate::seconds::Ttl;
use crate::wasi_http::Request;

const FENCING_TOKEN: HeaderName = HeaderName::from_static("fencing-token");
const LOCK_WAIT: HeaderName = HeaderName::from_static("lock-wait");
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// How long the result of the last action is kept: an hour.
const LAST_ACTION_TTL_MS: u64 = 3_600_000;

/// What an action that ran answers.
#[derive(Serialize)]
#[cfg_attr(not(target_family = "wasm"), derive(utoipa::ToSchema))]
#[cfg_attr(not(target_family = "wasm"), schema(as = Success))]
pub(crate) struct Outcome<'a> {
    #[cfg_attr(not(target_family = "wasm"), schema(schema_with = only::success))]
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(not(target_family = "wasm"), schema(schema_with = only::result))]
    result: Option<&'a RawValue>,
    /// The number of the acquisition that it ran under. Only kept, as `last-action`: the answer has it as a header.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(not(target_family = "wasm"), schema(ignore))]
    fencing_token: Option<i64>,
    /// When it ended (RFC 3339). Only kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(not(target_family = "wasm"), schema(ignore))]
    finished_at: Option<String>,
}

/// What `attempt-action` answers where the lock was not had.
#[derive(Serialize)]
#[cfg_attr(not(target_family = "wasm"), derive(utoipa::ToSchema))]
pub(crate) struct Failed {
    #[cfg_attr(not(target_family = "wasm"), schema(schema_with = only::failed))]
    status: &'static str,
    #[cfg_attr(not(target_family = "wasm"), schema(schema_with = only::could_not_acquire))]
    detail: &'static str,
}

impl Outcome<'_> {
    pub(crate) fn success(result: Option<&RawValue>) -> Outcome<'_> {
        Outcome {
            status: "success",
            result,
            fencing_token: None,
            finished_at: None,
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
pub(crate) async fn perform(
    context: RequestContext,
    request: Request,
) -> Result<Response, Problem> {
    let mut query = Query::new(request.uri());
    let timeout = query.optional("timeout", query::timeout);
    let call = Call::read("perform-action", context, query, request).await?;
    let timeout = timeout.unwrap_or(call.context.instance.config.lock_timeout);
    match call.acquire(timeout).await? {
        Acquisition::Lease(lease) => call.run(lease).await,
        Acquisition::Done(record) => call.replay(&record),
    }
}

/// `POST attempt-action`: tries once, and says so if the lock was not had.
pub(crate) async fn attempt(
    context: RequestContext,
    request: Request,
) -> Result<Response, Problem> {
    let query = Query::new(request.uri());
    let call = Call::read("attempt-action", context, query, request).await?;
    match call.acquire(Duration::ZERO).await {
        Ok(Acquisition::Lease(lease)) => call.run(lease).await,
        Ok(Acquisition::Done(record)) => call.replay(&record),
        Err(LockError::Held { remaining }) => {
            let mut response = reply::json(&Failed::ANSWER)?;
            let seconds = HeaderValue::from(retry_after_seconds(remaining));
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
            Ok(response)
        }
        Err(error) => Err(error.into()),
    }
}

/// One request for an action, read and checked.
struct Call {
    context: RequestContext,
    action: &'static str,
    user: UserId,
    expire: Ttl,
    parts: Parts,
    input: Option<Bytes>,
    idempotency: Option<Idempotency>,
}

impl Call {
    async fn read(
        action: &'static str,
        context: RequestContext,
        mut query: Query,
        request: Request,
    ) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let user = query.required("user_id", query::user_id);
        let expire = query.optional("expire", query::expire);
        let user = query.finish(user)?;
        let config = &context.instance.config;
        let expire = expire.unwrap_or(config.lock_expire);
        let input = body::json(&parts.headers, body, config.max_body_bytes).await?;
        let keys = &context.instance.keys;
        let idempotency = idempotency::key(&parts.headers)?.map(|key| {
            let body = input.as_deref().unwrap_or_default();
            Idempotency::new(keys, user, action, key, body, expire)
        });
        Ok(Self {
            action,
            user,
            expire,
            parts,
            input,
            idempotency,
            context,
        })
    }

    /// The user's lock, unless this request has its answer already.
    async fn acquire(&self, timeout: Duration) -> Result<Acquisition, LockError> {
        let instance = &self.context.instance;
        let lock = instance.keys.user_lock(self.user);
        let kept = self.idempotency.as_ref().map(|i| i.redis_key.as_str());
        let span = self.context.trace.span("lock wait");
        let locks = instance.locks(&self.context.redis);
        let began = Instant::now();
        let acquisition = locks.acquire_unless_done(began, &lock, timeout, self.expire, kept);
        let acquisition = acquisition.await;
        self.context.waited(match &acquisition {
            Ok(Acquisition::Lease(lease)) => lease.waited(),
            _ => began.elapsed(),
        });
        span.acquired(&acquisition);
        acquisition
    }

    /// Runs the action under the lock, then commits its result and gives the lock back in one step.
    async fn run(self, mut lease: Lease) -> Result<Response, Problem> {
        let fencing_token = lease.fencing_token();
        let waited = lease.waited();
        let result = match self.act(&mut lease).await {
            Ok(result) => result,
            Err(problem) => {
                self.give_up(lease).await;
                return Err(problem);
            }
        };
        let outcome = Outcome::success(result.as_deref());
        let body = serde_json::to_vec(&outcome).map_err(Problem::internal)?;
        self.commit(lease, result.as_deref(), &body).await?;
        Ok(success(body, fencing_token.get(), waited))
    }

    /// After a failure: gives the lock back, since whoever is told of it may try again at once. The user may have changed all the
    /// same. Both at once, so that a Redis that does not answer costs its time once; what can't be done now expires.
    async fn give_up(&self, lease: Lease) {
        let outdated = async {
            if self.invalidates() {
                let keys = &self.context.instance.keys;
                let _ = outdate(&self.context.redis, keys, self.user).await;
            }
        };
        let _ = join(lease.release(), outdated).await;
    }

    async fn act(&self, lease: &mut Lease) -> Result<Option<Box<RawValue>>, Problem> {
        let fencing_token = lease.fencing_token();
        let span = self.context.trace.span("action").under(fencing_token);
        let action = Action {
            name: self.action,
            user: self.user,
            input: self.input.clone(),
            fencing_token,
            request_id: &self.context.id,
            headers: &span.headers(&self.parts.headers),
            config: &self.context.instance.config,
        };
        let outcome = lease.keep_during(action::run(action)).await;
        self.context.acted(lease.taken_at().elapsed());
        let outcome = outcome.unwrap_or_else(|lost| Err(lost.into()));
        span.ended(&outcome);
        outcome
    }

    async fn commit(
        &self,
        lease: Lease,
        result: Option<&RawValue>,
        body: &[u8],
    ) -> Result<(), Problem> {
        let instance = &self.context.instance;
        let fencing_token = lease.fencing_token();
        let last_action = last_action(result, fencing_token)?;
        let last_action_key = instance.keys.last_action(self.user);
        let mut records = vec![Record {
            key: &last_action_key,
            value: &last_action,
            ttl: Ttl::of_millis(LAST_ACTION_TTL_MS),
        }];
        let kept = self.idempotency.as_ref().map(|idempotency| {
            let (fencing_token, body) = (fencing_token.get(), body.to_vec());
            idempotency.record(&Kept {
                fencing_token,
                body,
            })
        });
        if let (Some(idempotency), Some(kept)) = (&self.idempotency, &kept) {
            records.push(Record {
                key: &idempotency.redis_key,
                value: kept,
                ttl: instance.config.idempotency_expire,
            });
        }
        let forgotten = self
            .invalidates()
            .then(|| forgotten(&instance.keys, self.user));
        let removed: Vec<&str> = forgotten.iter().flatten().map(String::as_str).collect();
        let span = self.context.trace.span("commit").under(fencing_token);
        let committed = lease.commit(&records, &removed).await;
        span.ended(&committed);
        Ok(committed?)
    }

    /// Whether what was read of the user is no longer to be served after this action.
    fn invalidates(&self) -> bool {
        let origin = self.context.instance.config.origin.as_ref();
        origin.is_some_and(|origin| origin.invalidate)
    }

    /// The answer that was kept, as it was.
    fn replay(&self, record: &[u8]) -> Result<Response, Problem> {
        let Some(idempotency) = &self.idempotency else {
            return Err(Problem::internal("a replay of a request without a key"));
        };
        let kept = idempotency.read(record)?;
        let mut response = success(kept.body, kept.fencing_token, Duration::ZERO);
        let replayed = HeaderValue::from_static("true");
        response.headers_mut().insert(IDEMPOTENT_REPLAYED, replayed);
        Ok(response)
    }
}

fn success(body: Vec<u8>, fencing_token: i64, waited: Duration) -> Response {
    let mut response = reply::json_bytes(body);
    let headers = response.headers_mut();
    headers.insert(FENCING_TOKEN, HeaderValue::from(fencing_token));
    headers.insert(LOCK_WAIT, HeaderValue::from(waited.as_millis() as u64));
    response
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
