//! Leases: a user's own lock and the named ones, held across requests by whoever has the token.

use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use serde::Serialize;

use super::{path, reply};
use crate::answer::{Response, empty};
use crate::keys::LockKey;
use crate::lock::{FencingToken, LockError, OwnerToken};
#[cfg(not(target_family = "wasm"))]
use crate::openapi::only;
use crate::problem::Problem;
use crate::query::{self, Query};
use crate::request::RequestContext;
use crate::seconds::Ttl;
use crate::wasi_http::Request;

const LOCK_TOKEN: HeaderName = HeaderName::from_static("lock-token");

/// A lease, as its owner sees it.
#[derive(Serialize)]
#[cfg_attr(not(target_family = "wasm"), derive(utoipa::ToSchema))]
#[cfg_attr(not(target_family = "wasm"), schema(as = Lease))]
pub(crate) struct Granted<'a> {
    #[cfg_attr(not(target_family = "wasm"), schema(schema_with = only::secret_token))]
    pub(crate) token: &'a str,
    /// The number of this acquisition: greater than that of every earlier one of this lock.
    #[cfg_attr(not(target_family = "wasm"), schema(minimum = 1))]
    pub(crate) fencing_token: i64,
    /// How long the lock lives without renewal, in seconds.
    #[cfg_attr(not(target_family = "wasm"), schema(exclusive_minimum = 0))]
    pub(crate) expires_in: f64,
}

/// A lock, as anybody sees it.
#[derive(Serialize)]
#[cfg_attr(not(target_family = "wasm"), derive(utoipa::ToSchema))]
#[cfg_attr(not(target_family = "wasm"), schema(as = LockState))]
#[serde(untagged)]
pub(crate) enum Seen {
    /// Somebody holds it.
    Held {
        #[cfg_attr(not(target_family = "wasm"), schema(schema_with = only::yes))]
        held: bool,
        /// The number of the holder's acquisition; null where a foreign client set the lock.
        #[cfg_attr(not(target_family = "wasm"), schema(required))]
        fencing_token: Option<i64>,
        /// How long it has left, in seconds; null where it has no expiry.
        #[cfg_attr(not(target_family = "wasm"), schema(required))]
        expires_in: Option<f64>,
    },
    /// Nobody holds it.
    Free {
        #[cfg_attr(not(target_family = "wasm"), schema(schema_with = only::no))]
        held: bool,
    },
}

impl Seen {
    pub(crate) const FREE: Self = Self::Free { held: false };

    pub(crate) fn held(fencing_token: Option<i64>, expires_in: Option<f64>) -> Self {
        Self::Held {
            held: true,
            fencing_token,
            expires_in,
        }
    }
}

/// `POST lock`: acquires it, waiting up to `timeout`; with the token that has it already, renews it.
pub(crate) async fn acquire(
    context: RequestContext,
    request: Request,
) -> Result<Response, Problem> {
    let mut query = Query::new(request.uri());
    let timeout = query.optional("timeout", query::timeout);
    let expire = query.optional("expire", query::expire);
    let key = lock_key(&context, &mut query, request.uri());
    let key = query.finish(key)?;
    let brought = brought_token(request.headers())?;
    let token = brought.unwrap_or_else(OwnerToken::random);
    let expire = expire.unwrap_or(context.instance.config.lock_expire);
    let timeout = timeout.unwrap_or(Duration::ZERO);
    let began = Instant::now();
    let span = context.trace.span("lock wait");
    let locks = context.instance.locks(&context.redis);
    let grant = locks.grant(&key, &token, timeout, expire).await;
    context.waited(began.elapsed());
    span.acquired(&grant);
    let grant = grant?;
    let mut response = granted(&token, grant.fencing_token, expire)?;
    if !grant.renewed {
        *response.status_mut() = StatusCode::CREATED;
    }
    Ok(response)
}

/// `PUT lock`: renews it.
pub(crate) async fn renew(context: RequestContext, request: Request) -> Result<Response, Problem> {
    let mut query = Query::new(request.uri());
    let expire = query.optional("expire", query::expire);
    let key = lock_key(&context, &mut query, request.uri());
    let key = query.finish(key)?;
    let token = required_token(request.headers())?;
    let expire = expire.unwrap_or(context.instance.config.lock_expire);
    let locks = context.instance.locks(&context.redis);
    let fencing_token = locks.renew(&key, &token, expire).await.map_err(not_owner)?;
    granted(&token, fencing_token, expire)
}

/// `DELETE lock`: gives it back.
pub(crate) async fn release(
    context: RequestContext,
    request: Request,
) -> Result<Response, Problem> {
    let mut query = Query::new(request.uri());
    let key = lock_key(&context, &mut query, request.uri());
    let key = query.finish(key)?;
    let token = required_token(request.headers())?;
    let locks = context.instance.locks(&context.redis);
    locks.release(&key, &token).await.map_err(not_owner)?;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// `GET lock`: who holds it, as far as anybody may know.
pub(crate) async fn inspect(
    context: RequestContext,
    request: Request,
) -> Result<Response, Problem> {
    let mut query = Query::new(request.uri());
    let key = lock_key(&context, &mut query, request.uri());
    let key = query.finish(key)?;
    let holder = context.instance.locks(&context.redis).inspect(&key).await?;
    reply::json(&match holder {
        Some(holder) => Seen::held(
            holder.fencing_token.map(FencingToken::get),
            holder.remaining.map(|left| left.as_secs_f64()),
        ),
        None => Seen::FREE,
    })
}

/// `users/{user_id}/lock` or `users/{user_id}/locks/{name}`.
fn lock_key(context: &RequestContext, query: &mut Query, uri: &Uri) -> Option<LockKey> {
    let keys = &context.instance.keys;
    let path = path::of(uri);
    let user = query.path("user_id", path.user_id, query::user_id);
    match path.name {
        None => user.map(|user| keys.user_lock(user)),
        Some(name) => {
            let name = query.path("name", name, query::name);
            Some(keys.named_lock(user?, &name?))
        }
    }
}

fn granted(
    token: &OwnerToken,
    fencing_token: FencingToken,
    expire: Ttl,
) -> Result<Response, Problem> {
    let mut response = reply::json(&Granted {
        token: token.as_str(),
        fencing_token: fencing_token.get(),
        expires_in: expire.as_duration().as_secs_f64(),
    })?;
    // The answer holds a secret.
    let no_store = HeaderValue::from_static("no-store");
    let headers = response.headers_mut();
    headers.insert(http::header::CACHE_CONTROL, no_store);
    Ok(response)
}

/// The client's own token, if it sent one.
fn brought_token(headers: &HeaderMap) -> Result<Option<OwnerToken>, Problem> {
    let mut values = headers.get_all(LOCK_TOKEN).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => match OwnerToken::parse(value.as_bytes()) {
            Some(token) => Ok(Some(token)),
            None => Err(Problem::lock_token_invalid()),
        },
        (Some(_), Some(_)) => Err(Problem::lock_token_invalid()),
    }
}

fn required_token(headers: &HeaderMap) -> Result<OwnerToken, Problem> {
    brought_token(headers)?.ok_or_else(Problem::lock_token_required)
}

fn not_owner(error: LockError) -> Problem {
    match error {
        LockError::Lost => Problem::not_lock_owner(),
        error => error.into(),
    }
}
