//! Users, read from the origin through the cache.

use http::{HeaderValue, StatusCode, header};

use super::{path, reply};
use crate::answer::Response;
use crate::cache_control::CacheControl;
use crate::etag::Conditions;
use crate::origin::Failure;
use crate::problem::Problem;
use crate::query::{self, Query};
use crate::read_through::{Found, ReadError, ReadThrough, Source, Why};
use crate::request::RequestContext;
use crate::wasi_http::Request;

/// `GET user`: the origin's JSON, as it was read by whoever asked first.
pub(crate) async fn get(context: RequestContext, request: Request) -> Result<Response, Problem> {
    let mut query = Query::new(request.uri());
    let expire = query.optional("expire", query::expire);
    let conditions = Conditions::of(request.headers()).unwrap_or_else(|faults| {
        query.also(faults);
        Conditions::NONE
    });
    let id = path::of(request.uri()).user_id;
    let user = query.path("user_id", id, query::user_id);
    let user = query.finish(user)?;
    let origin = context.instance.config.origin.clone();
    let origin = origin.ok_or_else(Problem::no_origin)?;
    let passthrough = origin.passthrough;
    let anew = CacheControl::of(request.headers()).no_cache;
    let headers = request.into_parts().0.headers;
    let reading = ReadThrough::new(context, origin, headers, user, expire);
    let outcome = if anew {
        reading.read_anew().await
    } else {
        reading.read().await
    };
    match outcome {
        Ok(found) => shown(&found, &conditions, passthrough),
        Err(ReadError::Redis(error)) => Err(error.into()),
        Err(ReadError::Missed(missed)) => {
            let status = format!(
                "edgelatch; fwd={}{}",
                missed.why.name(),
                fwd_status(&missed.failure)
            );
            failed(missed.failure, passthrough, "no-store".to_owned(), status)
        }
    }
}

/// The user, or what the conditions make of it; where the origin knows none, its refusal.
fn shown(found: &Found, conditions: &Conditions, passthrough: bool) -> Result<Response, Problem> {
    let (control, status) = (control(found), status(found));
    if let Some(refusal) = found.entry.refusal() {
        return failed(refusal, passthrough, control, status);
    }
    let mut response = reply::conditional(found.entry.body.clone(), conditions)?;
    reply::cached(&mut response, control, status)?;
    let age = HeaderValue::from(found.entry.age().as_secs());
    response.headers_mut().insert(header::AGE, age);
    Ok(response)
}

fn failed(
    failure: Failure,
    passthrough: bool,
    control: String,
    status: String,
) -> Result<Response, Problem> {
    let mut response = failure.problem(passthrough).into_response();
    reply::cached(&mut response, control, status)?;
    Ok(response)
}

/// What whoever asked may keep. What this service may not keep, nobody may; what is stale is to be asked for again.
fn control(found: &Found) -> String {
    match (&found.source, found.entry.fresh_for()) {
        (Source::Fetched { kept: false, .. }, _) => "no-store".to_owned(),
        (_, left) => {
            let seconds = left.map_or(0, |left| left.as_secs());
            format!("private, max-age={seconds}")
        }
    }
}

/// `Cache-Status` (RFC 9211, section 2).
fn status(found: &Found) -> String {
    let entry = &found.entry;
    let ttl = match entry.fresh_for() {
        Some(left) => left.as_secs().to_string(),
        // Less than a second ago is a second ago: `-0` is no number of its own.
        None => format!("-{}", entry.stale_for().as_secs().max(1)),
    };
    let answered = if entry.refusal().is_some() {
        StatusCode::NOT_FOUND
    } else {
        StatusCode::OK
    };
    let answered = answered.as_u16();
    match &found.source {
        Source::Kept => format!("edgelatch; hit; ttl={ttl}"),
        Source::Collapsed(why) => format!("edgelatch; fwd={}; collapsed; ttl={ttl}", why.name()),
        Source::Fetched { why, kept: true } => {
            let why = why.name();
            format!("edgelatch; fwd={why}; fwd-status={answered}; stored; ttl={ttl}")
        }
        Source::Fetched { why, kept: false } => {
            format!("edgelatch; fwd={}; fwd-status={answered}", why.name())
        }
        Source::Rescued(failure) => {
            let status = fwd_status(failure);
            format!("edgelatch; fwd=stale{status}; ttl={ttl}; detail=stale-if-error")
        }
    }
}

fn fwd_status(failure: &Failure) -> String {
    let status = failure.status();
    status.map_or_else(String::new, |status| {
        format!("; fwd-status={}", status.as_u16())
    })
}

impl Why {
    /// Its name in `Cache-Status` (RFC 9211, section 2.2).
    fn name(self) -> &'static str {
        match self {
            Self::Miss => "miss",
            Self::Stale => "stale",
            Self::Request => "request",
        }
    }
}
