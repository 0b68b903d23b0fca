//! Users, read from the origin through the cache.

use http::{HeaderValue, header};

use crate::core::read_through::{
    FetchReason, ReadError, ReadThrough, Source, UserRead, holders_may_go_on,
};
use crate::http::problem::{Problem, origin_failure};
use crate::http::replies;
use crate::http::request::query::Query;
use crate::http::request::{Request, conditions, values};
use crate::http::response::Answer;
use crate::platform::origin::{CacheControl, Failure, UserSource};
use crate::types::etag::Conditions;

/// `GET user`: the origin's JSON, fetched once for all who ask.
pub(crate) async fn get(request: Request) -> Result<Answer, Problem> {
    let mut query = Query::new(&request.uri);
    let expire = query.optional("expire", values::expire);
    let conditions = conditions::parse(&request.headers).unwrap_or_else(|faults| {
        query.also(faults);
        Conditions::NONE
    });
    let user_ids = request.context.instance.config.user_ids;
    let user = request.path.user_id.as_deref();
    let user = query.path("user_id", user, values::user_id(user_ids));
    let user = query.finish(user)?;
    let (context, headers) = (request.context, request.headers);
    let config = &context.instance.config;
    let origin = config.origin.clone().ok_or_else(Problem::no_origin)?;
    let (passthrough, origin_timeout) = (origin.passthrough, origin.timeout);
    let asked = CacheControl::of(&headers);
    let id = context.telemetry.request_id.clone();
    let deadline = context.redis.deadline();
    let reading = ReadThrough {
        source: UserSource::new(origin, id, headers, deadline, config.max_body_bytes),
        redis: context.redis.clone(),
        keys: context.instance.keys.clone(),
        telemetry: context.telemetry.clone(),
        user,
        expire,
        cache_expire: config.cache_expire,
        keeps: !asked.no_store,
        holders_may_go_on: holders_may_go_on(config.max_hold, origin_timeout),
    };
    let read = if asked.no_cache {
        reading.read_anew().await
    } else {
        reading.read().await
    };
    match read {
        Ok(read) => shown(&read, &conditions, passthrough),
        Err(ReadError::Redis(error)) => Err(error.into()),
        Err(ReadError::Origin(failed)) => {
            let reason = reason_name(failed.reason);
            let mut status = format!("edgelatch; fwd={reason}{}", fwd_status(&failed.failure));
            if failed.collapsed {
                status.push_str("; collapsed");
            }
            Err(refused(failed.failure, passthrough, status)?)
        }
    }
}

/// The user, or a 304; where the origin does not know the user, its refusal.
fn shown(read: &UserRead, conditions: &Conditions, passthrough: bool) -> Result<Answer, Problem> {
    let status = cache_status(read);
    if let Some(refusal) = read.reading.refusal() {
        return Err(refused(refusal, passthrough, status)?);
    }
    let control = cache_control(read);
    let (body, etag) = (read.reading.body.clone(), &read.reading.etag);
    let mut response = replies::conditional(body, etag, conditions)?;
    let headers = response.headers_mut();
    headers.extend(replies::cache_headers(control, status)?);
    let age = HeaderValue::from(read.reading.age().as_secs());
    headers.insert(header::AGE, age);
    Ok(response.into())
}

/// The problem of a failed origin, with the headers of a cache. It is not for the caller to keep,
/// also where this service does.
fn refused(failure: Failure, passthrough: bool, status: String) -> Result<Problem, Problem> {
    let problem = origin_failure(failure, passthrough);
    let headers = replies::cache_headers("no-store".to_owned(), status)?.into_iter();
    Ok(headers.fold(problem, |problem, (name, value)| {
        problem.with_header(name, value)
    }))
}

/// What the caller may keep: nothing that this service may not keep. What is stale is to be asked
/// for again.
fn cache_control(read: &UserRead) -> String {
    match (&read.source, read.reading.fresh_for()) {
        (Source::Fetched { kept: false, .. }, _) => "no-store".to_owned(),
        (_, left) => {
            let seconds = left.map_or(0, |left| left.as_secs());
            format!("private, max-age={seconds}")
        }
    }
}

/// `Cache-Status` (RFC 9211, section 2).
fn cache_status(read: &UserRead) -> String {
    let reading = &read.reading;
    let ttl = match reading.fresh_for() {
        Some(left) => left.as_secs().to_string(),
        // Less than a second ago is a second ago: `-0` is no number of its own.
        None => format!("-{}", reading.stale_for().as_secs().max(1)),
    };
    let answered = reading.status();
    match &read.source {
        Source::Cache => format!("edgelatch; hit; ttl={ttl}"),
        Source::Collapsed(reason) => {
            let reason = reason_name(*reason);
            format!("edgelatch; fwd={reason}; collapsed; ttl={ttl}")
        }
        Source::Fetched { reason, kept } => {
            let reason = reason_name(*reason);
            let stored = if *kept {
                format!("; stored; ttl={ttl}")
            } else {
                String::new()
            };
            format!("edgelatch; fwd={reason}; fwd-status={answered}{stored}")
        }
        Source::StaleIfError(failure) => {
            let status = fwd_status(failure);
            format!("edgelatch; fwd=stale{status}; ttl={ttl}; detail=stale-if-error")
        }
    }
}

fn fwd_status(failure: &Failure) -> String {
    let status = failure.status();
    status.map_or_else(String::new, |status| format!("; fwd-status={status}"))
}

/// The name of a reason in `Cache-Status` (RFC 9211, section 2.2).
fn reason_name(reason: FetchReason) -> &'static str {
    match reason {
        FetchReason::Miss => "miss",
        FetchReason::Stale => "stale",
        FetchReason::Request => "request",
    }
}
