//! The pages of edgelatch: `/docs`, `/docs/live` and `/openapi.json`.
//!
//! They are a component of their own, so that the API's component does not grow. It needs the
//! request only: no Redis and no variables.

mod asset;

use bytes::Bytes;
use edgelatch::http::problem::Problem;
use edgelatch::http::request::refuse_parameters;
use edgelatch::http::response::{Answer, empty};
use edgelatch::http::{AccessLog, RequestHead};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::Full;

/// The methods that every path accepts.
const ALLOW: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

/// The component's entry point.
#[cfg_attr(target_family = "wasm", spin_sdk::http_service)]
pub async fn handle(request: spin_sdk::http::Request) -> http::Response<Full<Bytes>> {
    let head = RequestHead::of(&request);
    let result = answer(&head, request.headers());
    let response = head.answer(result, AccessLog::CAUSES);
    response.map(Full::new)
}

/// Answers a request; its body is not read.
fn answer(head: &RequestHead, headers: &HeaderMap) -> Result<Answer, Problem> {
    let path = head.path();
    let path = path.strip_suffix('/').unwrap_or(path);
    let asset = asset::find(path).ok_or_else(Problem::not_found)?;
    match *head.method() {
        Method::GET | Method::HEAD => {
            refuse_parameters(head.uri())?;
            Ok(asset.answer(head.method(), headers)?.into())
        }
        Method::OPTIONS => {
            let mut response = empty(StatusCode::NO_CONTENT);
            response.headers_mut().insert(header::ALLOW, ALLOW);
            Ok(response.into())
        }
        _ => Err(Problem::method_not_allowed().with_header(header::ALLOW, ALLOW)),
    }
}
