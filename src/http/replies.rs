//! What handlers answer: JSON, entity tags, and what caches may do with it.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;

use super::problem::Problem;
use super::response::{Response, empty};
use crate::types::etag::{Conditions, ETag};

/// 200 with `value` as JSON.
///
/// # Errors
/// 500 if `value` can't be written as JSON, which none of this service's can.
pub(crate) fn json(value: &impl Serialize) -> Result<Response, Problem> {
    let bytes = serde_json::to_vec(value).map_err(Problem::internal)?;
    Ok(json_bytes(bytes))
}

/// More headers than most answers have, so that their map never grows.
const MOST_HEADERS: usize = 12;

/// 200 with bytes that are JSON.
pub(crate) fn json_bytes(bytes: impl Into<Bytes>) -> Response {
    let mut response = Response::new(bytes.into());
    let headers = response.headers_mut();
    headers.reserve(MOST_HEADERS);
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    response
}

/// Where an answer came from (RFC 9211).
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// 200 with JSON and `etag`, its tag, or 304 with the tag alone.
///
/// # Errors
/// 412 where `If-Match` does not hold (RFC 9110, section 13.2.2).
pub(crate) fn conditional(
    json: Bytes,
    etag: &ETag,
    conditions: &Conditions,
) -> Result<Response, Problem> {
    if !conditions.match_holds(Some(etag)) {
        return Err(Problem::precondition_failed());
    }
    let mut response = if conditions.none_match_holds(Some(etag)) {
        json_bytes(json)
    } else {
        empty(StatusCode::NOT_MODIFIED)
    };
    response.headers_mut().insert(header::ETAG, etag.header());
    Ok(response)
}

/// `Cache-Control` and `Cache-Status`.
///
/// # Errors
/// 500 if they can't be headers, which all of this service's can.
pub(crate) fn cache_headers(
    control: String,
    status: String,
) -> Result<[(HeaderName, HeaderValue); 2], Problem> {
    let value = |text: String| HeaderValue::try_from(text).map_err(Problem::internal);
    Ok([
        (header::CACHE_CONTROL, value(control)?),
        (CACHE_STATUS, value(status)?),
    ])
}
