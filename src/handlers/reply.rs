//! Answers in JSON.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, header};
use serde::Serialize;

use crate::problem::Problem;

/// 200 with `value` as JSON.
///
/// # Errors
/// 500 if `value` can't be written as JSON, which none of this service's can.
pub(super) fn json(value: &impl Serialize) -> Result<Response, Problem> {
    let bytes = serde_json::to_vec(value).map_err(Problem::internal)?;
    Ok(json_bytes(bytes))
}

/// 200 with bytes that are JSON.
pub(super) fn json_bytes(bytes: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(bytes));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
