//! Leases: a user's own lock and the named ones, held across requests by the holder of the token.

use std::time::{Duration, Instant};

use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::core::lock::{FencingToken, Grant, Holder, LockStatus, OwnerName, OwnerToken};
use crate::http::access_log::{self, Break};
use crate::http::auth::is_admin;
use crate::http::problem::{Problem, break_failure, may_have_been_done, not_lock_owner};
use crate::http::replies;
use crate::http::request::query::Query;
use crate::http::request::{Request, body, headers, values};
use crate::http::response::{Answer, Response, Undelivered, empty};
#[cfg(not(target_family = "wasm"))]
use crate::http::schemas;
use crate::types::keys::LockKey;
use crate::types::seconds::json_seconds;
use crate::types::ttl::Ttl;

/// A lease, as its owner sees it.
#[derive(Serialize)]
#[cfg_attr(not(target_family = "wasm"), derive(utoipa::ToSchema))]
#[cfg_attr(not(target_family = "wasm"), schema(as = Lease))]
pub(crate) struct GrantedLease<'a> {
    #[cfg_attr(not(target_family = "wasm"), schema(schema_with = schemas::secret_token))]
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
#[serde(untagged)]
pub(crate) enum LockState {
    /// Somebody holds it.
    Held {
        #[cfg_attr(not(target_family = "wasm"), schema(schema_with = schemas::yes))]
        held: bool,
        /// The number of the holder's acquisition; null where a foreign client set the lock.
        #[cfg_attr(not(target_family = "wasm"), schema(required))]
        fencing_token: Option<i64>,
        /// How long it has left, in seconds; null where it has no expiry.
        #[cfg_attr(not(target_family = "wasm"), schema(required))]
        expires_in: Option<f64>,
        #[cfg_attr(not(target_family = "wasm"), schema(required, schema_with = schemas::owner))]
        owner: Option<String>,
        /// How many live waiters it has; 1000 where more wait, the dead included.
        #[cfg_attr(not(target_family = "wasm"), schema(minimum = 0))]
        waiting: u32,
    },
    /// Nobody holds it.
    Free {
        #[cfg_attr(not(target_family = "wasm"), schema(schema_with = schemas::no))]
        held: bool,
        /// How many wait for it, and are about to be served.
        #[cfg_attr(not(target_family = "wasm"), schema(minimum = 0))]
        waiting: u32,
    },
}

impl From<LockStatus> for LockState {
    fn from(status: LockStatus) -> Self {
        let waiting = status.waiting;
        match status.holder {
            Some(Holder {
                remaining,
                fencing_token,
                owner,
            }) => Self::Held {
                held: true,
                fencing_token: fencing_token.map(FencingToken::get),
                expires_in: remaining.map(json_seconds),
                owner: owner.map(|name| name.as_str().to_owned()),
                waiting,
            },
            None => Self::Free {
                held: false,
                waiting,
            },
        }
    }
}

/// `POST lock`: acquires it, waiting up to `timeout`; with the token that has it already, renews
/// it.
pub(crate) async fn acquire(request: Request) -> Result<Answer, Problem> {
    let mut query = Query::new(&request.uri);
    let timeout = query.optional("timeout", values::timeout);
    let expire = query.optional("expire", values::expire);
    let key = lock_key(&mut query, &request);
    let owner = query.header("Lock-Owner", headers::lock_owner(&request.headers));
    let key = query.finish(key)?;
    let max_body_bytes = request.context.instance.config.max_body_bytes;
    body::unused(&request.headers, request.body, max_body_bytes).await?;
    let brought = headers::brought_lock_token(&request.headers)?;
    let is_ours = brought.is_none();
    let token = brought.unwrap_or_else(OwnerToken::random);
    let context = request.context;
    let expire = expire.unwrap_or(context.instance.config.lock_expire);
    let timeout = timeout.unwrap_or(Duration::ZERO);
    let began = Instant::now();
    let span = context.telemetry.trace.span("lock wait");
    let locks = context.instance.locks(&context.redis).as_owner(owner);
    let grant = locks.grant(&key, &token, timeout, expire).await;
    // A client may date its lease by this: it ends before Redis grants the lock.
    let waited = grant.as_ref().map_or(began.elapsed(), |grant| grant.waited);
    context.telemetry.stopwatches.add_wait(waited);
    let number = |grant: &Grant| grant.fencing_token.get();
    span.acquired(grant.as_ref().ok().map(number)).ended(&grant);
    let grant = grant?;
    let mut response = lease(&token, grant.fencing_token, expire)?;
    if !grant.renewed {
        *response.status_mut() = StatusCode::CREATED;
    }
    if is_ours {
        // Nobody else knows the token. A client that brought one may be trying again with it.
        let undo = move || locks.release_later(&key, &token, expire);
        response.extensions_mut().insert(Undelivered::new(undo));
    }
    Ok(response.into())
}

/// `PUT lock`: renews it.
pub(crate) async fn renew(request: Request) -> Result<Answer, Problem> {
    let mut query = Query::new(&request.uri);
    let expire = query.optional("expire", values::expire);
    let key = lock_key(&mut query, &request);
    let key = query.finish(key)?;
    let max_body_bytes = request.context.instance.config.max_body_bytes;
    body::unused(&request.headers, request.body, max_body_bytes).await?;
    let token = headers::lock_token(&request.headers)?;
    let context = request.context;
    let expire = expire.unwrap_or(context.instance.config.lock_expire);
    let locks = context.instance.locks(&context.redis);
    let renewed = locks.renew(&key, &token, expire).await;
    let fencing_token = renewed.map_err(not_lock_owner)?;
    Ok(lease(&token, fencing_token, expire)?.into())
}

/// `DELETE lock`: gives it back; with `force`, takes it from whoever has it.
pub(crate) async fn release(request: Request) -> Result<Answer, Problem> {
    let mut query = Query::new(&request.uri);
    let config = &request.context.instance.config;
    // Who may ask comes before what was asked.
    if query.has("force", "true") && !is_admin(config, &request.headers) {
        return Err(Problem::admin_only());
    }
    let force = query.optional("force", values::boolean);
    let key = lock_key(&mut query, &request);
    if force == Some(true) {
        let by = query.header("Lock-Owner", headers::lock_owner(&request.headers));
        let key = query.finish(key)?;
        return break_lock(request, &key, by.as_ref()).await;
    }
    let key = query.finish(key)?;
    let token = headers::lock_token(&request.headers)?;
    let context = request.context;
    let locks = context.instance.locks(&context.redis);
    locks.release(&key, &token).await.map_err(not_lock_owner)?;
    Ok(empty(StatusCode::NO_CONTENT).into())
}

/// `DELETE lock?force=true`: takes it from whoever has it.
async fn break_lock(
    request: Request,
    key: &LockKey,
    by: Option<&OwnerName>,
) -> Result<Answer, Problem> {
    let context = request.context;
    let locks = context.instance.locks(&context.redis);
    let outcome = locks.break_lock(key).await;
    let came_to = match &outcome {
        Ok(broken) => broken.as_ref().map(Break::Done),
        Err(error) => may_have_been_done(error).then_some(Break::Unknown),
    };
    if let Some(came_to) = came_to {
        let config = &context.instance.config;
        access_log::lock_broken(
            &context.telemetry.request_id,
            config.log_key.as_deref(),
            config.user_ids,
            (request.route, &request.path),
            came_to,
            by,
        );
    }
    outcome.map_err(break_failure)?;
    Ok(empty(StatusCode::NO_CONTENT).into())
}

/// `GET lock`: its state, without the holder's token; with `wait`, once it has changed.
pub(crate) async fn inspect(request: Request) -> Result<Answer, Problem> {
    let mut query = Query::new(&request.uri);
    let wait = query.optional("wait", values::timeout);
    let after = query.optional("after", values::fencing_token);
    query.only_with("after", "wait");
    let key = lock_key(&mut query, &request);
    let key = query.finish(key)?;
    let context = request.context;
    let locks = context.instance.locks(&context.redis);
    let Some(wait) = wait else {
        let state = LockState::from(locks.inspect(&key).await?);
        return Ok(replies::json(&state)?.into());
    };
    let began = Instant::now();
    let wait = context.redis.deadline().clamp_since(began, wait);
    let watched = locks.watch(&key, after, wait).await;
    context.telemetry.stopwatches.add_wait(began.elapsed());
    Ok(replies::json(&LockState::from(watched?))?.into())
}

/// `users/{user_id}/lock` or `users/{user_id}/locks/{name}`.
fn lock_key(query: &mut Query, request: &Request) -> Option<LockKey> {
    let (instance, path) = (&request.context.instance, &request.path);
    let (keys, user_ids) = (&instance.keys, instance.config.user_ids);
    let user = query.path(
        "user_id",
        path.user_id.as_deref(),
        values::user_id(user_ids),
    );
    match &path.name {
        None => user.map(|user| keys.user_lock(user)),
        Some(name) => {
            let name = query.path("name", Some(name), values::name);
            Some(keys.named_lock(user?, &name?))
        }
    }
}

fn lease(
    token: &OwnerToken,
    fencing_token: FencingToken,
    expire: Ttl,
) -> Result<Response, Problem> {
    let mut response = replies::json(&GrantedLease {
        token: token.as_str(),
        fencing_token: fencing_token.get(),
        expires_in: json_seconds(expire.as_duration()),
    })?;
    // The answer holds a secret.
    let no_store = HeaderValue::from_static("no-store");
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, no_store);
    Ok(response)
}
