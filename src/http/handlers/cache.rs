//! The JSON cache over HTTP.

use http::{StatusCode, header};
use serde_json::value::RawValue;

use crate::core::cache::{CacheEntry, Expiry, Stored, Written};
use crate::http::problem::{Problem, patch_failure};
use crate::http::replies;
use crate::http::request::query::{self, Query};
use crate::http::request::{Request, body, conditions};
use crate::http::response::{Answer, Response, empty};
use crate::types::etag::{Conditions, ETag};
use crate::types::name::{LAST_ACTION, Name};
use crate::types::user_id::UserId;

/// `GET cache`: the JSON as it was stored.
pub(crate) async fn get(request: Request) -> Result<Answer, Problem> {
    let mut query = Query::new(&request.uri);
    let (entry, conditions) = target(&mut query, &request);
    let (user, name) = query.finish(entry)?;
    let context = request.context;
    match context
        .instance
        .cache(&context.redis)
        .get(user, &name)
        .await?
    {
        Stored::Entry(entry) => shown(entry, &conditions),
        Stored::Nothing => Err(Problem::nothing_cached()),
        Stored::NotJson => Err(Problem::not_json_cached()),
    }
}

/// `PUT cache`: stores the JSON as it was sent.
pub(crate) async fn put(request: Request) -> Result<Answer, Problem> {
    let mut query = Query::new(&request.uri);
    let expire = query.optional("expire", query::expire);
    let (entry, conditions) = target(&mut query, &request);
    let (user, name) = query.finish(entry)?;
    let context = request.context;
    let config = &context.instance.config;
    let json = body::json(&request.headers, request.body, config.max_body_bytes).await?;
    let json = json.ok_or_else(|| Problem::malformed_json("Not JSON: the body is empty"))?;
    writable(&name)?;
    let expiry = Expiry::In(expire.unwrap_or(config.cache_expire));
    let cache = context.instance.cache(&context.redis);
    let written = cache.set(user, &name, &json, expiry, &conditions).await?;
    let mut response = match written {
        Written::Created => empty(StatusCode::CREATED),
        Written::Replaced => empty(StatusCode::OK),
    };
    add_etag(&mut response, &json);
    Ok(response.into())
}

/// `PATCH cache`: merges (RFC 7396) and stores.
pub(crate) async fn patch(request: Request) -> Result<Answer, Problem> {
    let mut query = Query::new(&request.uri);
    let expire = query.optional("expire", query::expire);
    let (entry, conditions) = target(&mut query, &request);
    let (user, name) = query.finish(entry)?;
    let context = request.context;
    let config = &context.instance.config;
    let max_bytes = config.max_body_bytes;
    let patch = body::merge_patch(&request.headers, request.body, max_bytes).await?;
    let patch: &RawValue = serde_json::from_slice(&patch).map_err(Problem::internal)?;
    writable(&name)?;
    let expiry = expire.map_or(Expiry::KeepOr(config.cache_expire), Expiry::In);
    let cache = context.instance.cache(&context.redis);
    let merged = cache
        .patch(user, &name, patch, expiry, &conditions, max_bytes)
        .await
        .map_err(|error| patch_failure(error, max_bytes))?;
    let json = merged.get().as_bytes();
    let mut response = replies::json_bytes(json.to_vec());
    add_etag(&mut response, json);
    Ok(response.into())
}

/// `DELETE cache`.
pub(crate) async fn delete(request: Request) -> Result<Answer, Problem> {
    let mut query = Query::new(&request.uri);
    let (entry, conditions) = target(&mut query, &request);
    let (user, name) = query.finish(entry)?;
    let context = request.context;
    let cache = context.instance.cache(&context.redis);
    cache.delete(user, &name, &conditions).await?;
    Ok(empty(StatusCode::NO_CONTENT).into())
}

/// Whose entry under which name, and on what conditions. Faults are left in `query`.
fn target(query: &mut Query, request: &Request) -> (Option<(UserId, Name)>, Conditions) {
    let conditions = conditions::parse(&request.headers).unwrap_or_else(|faults| {
        query.also(faults);
        Conditions::NONE
    });
    let path = &request.path;
    let user = query.path("user_id", path.user_id.as_deref(), query::user_id);
    let name = query.path("key", path.name.as_deref(), query::name);
    (user.zip(name), conditions)
}

fn writable(name: &Name) -> Result<(), Problem> {
    if name.as_str() == LAST_ACTION {
        return Err(Problem::reserved_key());
    }
    Ok(())
}

/// The entry with the headers of a cache, or a 304.
fn shown(entry: CacheEntry, conditions: &Conditions) -> Result<Answer, Problem> {
    let seconds = entry.remaining.map(|left| left.as_secs());
    let etag = ETag::of(&entry.json);
    let mut response = replies::conditional(entry.json.into(), &etag, conditions)?;
    let (control, status) = match seconds {
        Some(left) => (
            format!("private, max-age={left}"),
            format!("edgelatch; hit; ttl={left}"),
        ),
        None => ("private".to_owned(), "edgelatch; hit".to_owned()),
    };
    let headers = replies::cache_headers(control, status)?;
    response.headers_mut().extend(headers);
    Ok(response.into())
}

fn add_etag(response: &mut Response, json: &[u8]) {
    let etag = ETag::of(json).header();
    response.headers_mut().insert(header::ETAG, etag);
}
