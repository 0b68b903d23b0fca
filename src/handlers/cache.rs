//! The JSON cache over HTTP.

use http::{StatusCode, Uri, header};
use serde_json::value::RawValue;

use super::{path, reply};
use crate::answer::{Response, empty};
use crate::backoff::Backoff;
use crate::body;
use crate::etag::{Conditions, ETag};
use crate::json_cache::{CacheError, Entry, Expiry, JsonCache, Stored, Written};
use crate::keys::{LAST_ACTION, Name, UserId};
use crate::merge_patch::merge;
use crate::problem::Problem;
use crate::query::{self, Query};
use crate::random;
use crate::request::RequestContext;
use crate::wasi_http::Request;

/// How often a merge is tried when others write in between, with growing pauses: for some 5 s. Each failure means that another's
/// write went through; without the pauses, as many as come at once would fail each other.
const MERGE_TRIES: usize = 64;

/// `GET cache`: the JSON as it was stored.
pub(crate) async fn get(context: RequestContext, request: Request) -> Result<Response, Problem> {
    let mut query = Query::new(request.uri());
    let (place, conditions) = target(&mut query, &request);
    let (user, name) = query.finish(place)?;
    let cache = context.instance.cache(&context.redis);
    shown(entry(&cache, user, &name).await?, &conditions)
}

/// `PUT cache`: stores the JSON as it was sent.
pub(crate) async fn put(context: RequestContext, request: Request) -> Result<Response, Problem> {
    let mut query = Query::new(request.uri());
    let expire = query.optional("expire", query::expire);
    let (place, conditions) = target(&mut query, &request);
    let (user, name) = query.finish(place)?;
    let (parts, body) = request.into_parts();
    let config = &context.instance.config;
    let json = body::json(&parts.headers, body, config.max_body_bytes).await?;
    let json = json.ok_or_else(|| Problem::malformed_json("Not JSON: the body is empty"))?;
    writable(&name)?;
    let expiry = Expiry::In(expire.unwrap_or(config.cache_expire));
    let cache = context.instance.cache(&context.redis);
    let written = cache.set(user, &name, &json, expiry, &conditions).await?;
    let mut response = match written {
        Written::Created => empty(StatusCode::CREATED),
        Written::Replaced => empty(StatusCode::OK),
    };
    let etag = ETag::of(&json).header();
    response.headers_mut().insert(header::ETAG, etag);
    Ok(response)
}

/// `PATCH cache`: merges (RFC 7396) and stores, as often as it takes for nobody to have written in between.
pub(crate) async fn patch(context: RequestContext, request: Request) -> Result<Response, Problem> {
    let mut query = Query::new(request.uri());
    let expire = query.optional("expire", query::expire);
    let (place, conditions) = target(&mut query, &request);
    let (user, name) = query.finish(place)?;
    let (parts, body) = request.into_parts();
    let config = &context.instance.config;
    let patch = body::merge_patch(&parts.headers, body, config.max_body_bytes).await?;
    let patch: &RawValue = serde_json::from_slice(&patch).map_err(Problem::internal)?;
    writable(&name)?;
    let expiry = expire.map_or(Expiry::KeepOr(config.cache_expire), Expiry::In);
    let cache = context.instance.cache(&context.redis);
    let mut backoff = Backoff::new();
    for _ in 0..MERGE_TRIES {
        let entry = current(&cache, user, &name, &conditions).await?;
        let before: &RawValue = serde_json::from_slice(&entry.json).map_err(Problem::internal)?;
        let merged = merge(Some(before), patch).map_err(Problem::internal)?;
        if merged.get().len() > config.max_body_bytes {
            return Err(Problem::merged_too_large(config.max_body_bytes));
        }
        let unchanged = Conditions::expecting(Some(&entry.etag()));
        let json = merged.get().as_bytes();
        match cache.set(user, &name, json, expiry, &unchanged).await {
            Ok(_) => return Ok(merged_response(&merged)),
            Err(CacheError::PreconditionFailed) => {
                spin_sdk::time::sleep(backoff.next_pause(random::bits64())).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(Problem::too_contended())
}

/// `DELETE cache`.
pub(crate) async fn delete(context: RequestContext, request: Request) -> Result<Response, Problem> {
    let mut query = Query::new(request.uri());
    let (place, conditions) = target(&mut query, &request);
    let (user, name) = query.finish(place)?;
    let cache = context.instance.cache(&context.redis);
    cache.delete(user, &name, &conditions).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// Whose entry under which name, and on what conditions. Faults are left in `query`.
fn target(query: &mut Query, request: &Request) -> (Option<(UserId, Name)>, Conditions) {
    let conditions = Conditions::of(request.headers()).unwrap_or_else(|faults| {
        query.also(faults);
        Conditions::NONE
    });
    (place(query, request.uri()), conditions)
}

fn place(query: &mut Query, uri: &Uri) -> Option<(UserId, Name)> {
    let path = path::of(uri);
    let user = query.path("user_id", path.user_id, query::user_id);
    let name = query.path("key", path.name.unwrap_or_default(), query::name);
    Some((user?, name?))
}

fn writable(name: &Name) -> Result<(), Problem> {
    if name.as_str() == LAST_ACTION {
        return Err(Problem::reserved_key());
    }
    Ok(())
}

/// The entry, if there is one. What is there but is not JSON is none; the log has why.
async fn entry(cache: &JsonCache, user: UserId, name: &Name) -> Result<Entry, Problem> {
    match cache.get(user, name).await? {
        Stored::Entry(entry) => Ok(entry),
        Stored::Nothing => Err(Problem::nothing_cached()),
        Stored::NotJson => {
            Err(Problem::nothing_cached().caused_by("the value in Redis is not JSON"))
        }
    }
}

/// The entry to merge into.
async fn current(
    cache: &JsonCache,
    user: UserId,
    name: &Name,
    conditions: &Conditions,
) -> Result<Entry, Problem> {
    let entry = entry(cache, user, name).await?;
    let etag = entry.etag();
    if conditions.match_holds(Some(&etag)) && conditions.none_match_holds(Some(&etag)) {
        Ok(entry)
    } else {
        Err(Problem::precondition_failed())
    }
}

/// The entry with the headers of a cache, or what its conditions make of it.
fn shown(entry: Entry, conditions: &Conditions) -> Result<Response, Problem> {
    let seconds = entry.remaining.map(|left| left.as_secs());
    let mut response = reply::conditional(entry.json.into(), conditions)?;
    let (control, status) = match seconds {
        Some(left) => (
            format!("private, max-age={left}"),
            format!("edgelatch; hit; ttl={left}"),
        ),
        None => ("private".to_owned(), "edgelatch; hit".to_owned()),
    };
    reply::cached(&mut response, control, status)?;
    Ok(response)
}

fn merged_response(merged: &RawValue) -> Response {
    let json = merged.get().as_bytes();
    let mut response = reply::json_bytes(json.to_vec());
    let etag = ETag::of(json).header();
    response.headers_mut().insert(header::ETAG, etag);
    response
}
