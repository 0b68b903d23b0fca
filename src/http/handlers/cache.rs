//! The JSON cache over HTTP.

use std::time::Instant;

use http::{HeaderValue, Method, StatusCode, header};

use crate::core::cache::{CacheEntry, ComputeRequest, Computed, Expiry, Stored};
use crate::core::lock::OwnerToken;
use crate::http::problem::{Problem, not_computing, patch_failure};
use crate::http::replies;
use crate::http::request::headers::{self, COMPUTE_TOKEN};
use crate::http::request::query::Query;
use crate::http::request::{Request, body, conditions, values};
use crate::http::response::{Answer, Response, Undelivered, empty};
use crate::types::etag::{Conditions, ETag};
use crate::types::name::{LAST_ACTION, Name};
use crate::types::user_id::UserId;

/// For an answer that holds a secret.
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// `GET cache`: the JSON as it was stored. With `compute`, the task to compute what is absent. A
/// `HEAD` gets no task: it asks about the entry.
pub(crate) async fn get(request: Request) -> Result<Answer, Problem> {
    let mut query = Query::new(&request.uri);
    let max_hold = request.context.instance.config.max_hold;
    let compute = query.optional("compute", |text| values::compute(text, max_hold));
    let timeout = query.optional("timeout", values::timeout);
    let refresh = query.optional("refresh", values::refresh);
    query.only_with("timeout", "compute");
    query.only_with("refresh", "compute");
    let (entry, conditions) = target(&mut query, &request);
    let (user, name) = query.finish(entry)?;
    let context = request.context;
    let cache = context.instance.cache(&context.redis);
    let Some(compute) = compute.filter(|_| request.method != Method::HEAD) else {
        return match cache.get(user, &name).await? {
            Stored::Entry(entry) => Ok(shown(entry, &conditions)?.into()),
            Stored::Nothing => Err(Problem::nothing_cached()),
            Stored::NotJson => Err(Problem::not_json_cached()),
        };
    };
    writable(&name)?;
    let asked = ComputeRequest {
        compute,
        timeout: timeout.unwrap_or(context.instance.config.lock_timeout),
        refresh: refresh.unwrap_or_default(),
    };
    let locks = context.instance.locks(&context.redis);
    let began = Instant::now();
    let computed = cache.get_or_compute(&locks, user, &name, &asked, &conditions);
    let computed = computed.await;
    context.telemetry.stopwatches.add_wait(began.elapsed());
    // Nobody else knows the token, and others wait for who has it.
    let undelivered = |token: OwnerToken| {
        Undelivered::new(move || cache.give_up_later(&locks, user, &name, &token, compute))
    };
    match computed? {
        Computed::Entry(entry) => Ok(shown(entry, &conditions)?.into()),
        Computed::Expiring(entry, token) => {
            let mut response = shown(entry, &conditions)?;
            let headers = response.headers_mut();
            headers.insert(COMPUTE_TOKEN, secret(&token)?);
            headers.insert(header::CACHE_CONTROL, NO_STORE);
            response.extensions_mut().insert(undelivered(token));
            Ok(response.into())
        }
        Computed::Granted(token) => Err(Problem::compute_granted()
            .with_header(COMPUTE_TOKEN, secret(&token)?)
            .with_header(header::CACHE_CONTROL, NO_STORE)
            .or_undo(undelivered(token))),
    }
}

/// `PUT cache`: stores the JSON as it was sent. With a `Compute-Token`, only as the result of that
/// computing.
pub(crate) async fn put(request: Request) -> Result<Answer, Problem> {
    let mut query = Query::new(&request.uri);
    let expire = query.optional("expire", values::expire);
    let (entry, conditions) = target(&mut query, &request);
    let (user, name) = query.finish(entry)?;
    let context = request.context;
    let config = &context.instance.config;
    let json = body::json(&request.headers, request.body, config.max_body_bytes).await?;
    let json = json.ok_or_else(|| Problem::malformed_json("Not JSON: the body is empty"))?;
    writable(&name)?;
    let token = headers::compute_token(&request.headers)?;
    let expiry = Expiry::In(expire.unwrap_or(config.cache_expire));
    let cache = context.instance.cache(&context.redis);
    let written = match &token {
        None => cache.set(user, &name, &json, expiry, &conditions).await?,
        Some(token) => {
            cache
                .set_computed(user, &name, &json, expiry, &conditions, token)
                .await?
        }
    };
    let mut response = empty(if written.is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    });
    add_etag(&mut response, &written.etag);
    Ok(response.into())
}

/// `PATCH cache`: merges (RFC 7396) and stores.
pub(crate) async fn patch(request: Request) -> Result<Answer, Problem> {
    let mut query = Query::new(&request.uri);
    let expire = query.optional("expire", values::expire);
    let (entry, conditions) = target(&mut query, &request);
    let (user, name) = query.finish(entry)?;
    let context = request.context;
    let config = &context.instance.config;
    let max_bytes = config.max_body_bytes;
    let patch = body::merge_patch(&request.headers, request.body, max_bytes).await?;
    let patch = str::from_utf8(&patch).map_err(Problem::internal)?;
    writable(&name)?;
    let expiry = expire.map_or(Expiry::KeepOr(config.cache_expire), Expiry::In);
    let cache = context.instance.cache(&context.redis);
    let (merged, etag) = cache
        .patch(user, &name, patch, expiry, &conditions, max_bytes)
        .await
        .map_err(|error| patch_failure(error, max_bytes))?;
    let mut response = replies::json_bytes(merged);
    add_etag(&mut response, &etag);
    Ok(response.into())
}

/// `DELETE cache`. With a `Compute-Token`, that computing is given up and the entry stays.
pub(crate) async fn delete(request: Request) -> Result<Answer, Problem> {
    let mut query = Query::new(&request.uri);
    let (entry, conditions) = target(&mut query, &request);
    let (user, name) = query.finish(entry)?;
    let context = request.context;
    let cache = context.instance.cache(&context.redis);
    match headers::compute_token(&request.headers)? {
        None => {
            cache.delete(user, &name, &conditions).await?;
        }
        Some(token) => {
            let locks = context.instance.locks(&context.redis);
            let given_up = cache.give_up_computing(&locks, user, &name, &token);
            given_up.await.map_err(not_computing)?;
        }
    }
    Ok(empty(StatusCode::NO_CONTENT).into())
}

/// Whose entry under which name, and on what conditions. Faults are left in `query`.
fn target(query: &mut Query, request: &Request) -> (Option<(UserId, Name)>, Conditions) {
    let conditions = conditions::parse(&request.headers).unwrap_or_else(|faults| {
        query.also(faults);
        Conditions::NONE
    });
    let path = &request.path;
    let user_ids = request.context.instance.config.user_ids;
    let user = query.path(
        "user_id",
        path.user_id.as_deref(),
        values::user_id(user_ids),
    );
    let name = query.path("key", path.name.as_deref(), values::name);
    (user.zip(name), conditions)
}

fn writable(name: &Name) -> Result<(), Problem> {
    if name.as_str() == LAST_ACTION {
        return Err(Problem::reserved_key());
    }
    Ok(())
}

/// The entry with the headers of a cache, or a 304.
fn shown(entry: CacheEntry, conditions: &Conditions) -> Result<Response, Problem> {
    let seconds = entry.remaining.map(|left| left.as_secs());
    let mut response = replies::conditional(entry.json, &entry.etag, conditions)?;
    let (control, status) = match seconds {
        Some(left) => (
            format!("private, max-age={left}"),
            format!("edgelatch; hit; ttl={left}"),
        ),
        None => ("private".to_owned(), "edgelatch; hit".to_owned()),
    };
    let headers = replies::cache_headers(control, status)?;
    response.headers_mut().extend(headers);
    Ok(response)
}

/// A token as a header's value that is not shown.
fn secret(token: &OwnerToken) -> Result<HeaderValue, Problem> {
    let mut value = HeaderValue::from_str(token.as_str()).map_err(Problem::internal)?;
    value.set_sensitive(true);
    Ok(value)
}

fn add_etag(response: &mut Response, etag: &ETag) {
    response.headers_mut().insert(header::ETAG, etag.header());
}
