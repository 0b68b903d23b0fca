//! The pages of edgelatch: `/docs`, `/docs/live` and `/openapi.json`.
//!
//! They are a component of their own, so that the API's component does not grow. It needs the
//! request only: no Redis and no variables.

mod asset;
mod body;

use asset::Asset;
use body::Body;
use edgelatch::http::problem::Problem;
use edgelatch::http::request::refuse_parameters;
use edgelatch::http::response::{Answer, empty};
use edgelatch::http::{AccessLog, RequestHead};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

/// The methods that every path accepts.
const ALLOW: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

/// The component's entry point.
#[cfg_attr(target_family = "wasm", spin_sdk::http_service)]
pub async fn handle(request: spin_sdk::http::Request) -> http::Response<Body> {
    let head = RequestHead::of(&request);
    let asset = find(&head);
    let result = answer(&head, asset, request.headers());
    let is_asset = result.is_ok() && *head.method() == Method::GET;
    let response = head.answer(result, AccessLog::CAUSES);
    match asset.filter(|_| is_asset) {
        Some(asset) => {
            let body = asset.body(&response);
            response.map(|_| body)
        }
        None => response.map(Body::from),
    }
}

fn find(head: &RequestHead) -> Option<&'static Asset> {
    let path = head.normalized_path();
    asset::find(path.strip_suffix('/').unwrap_or(&path))
}

/// Answers a request; its body is not read.
fn answer(
    head: &RequestHead,
    asset: Option<&Asset>,
    headers: &HeaderMap,
) -> Result<Answer, Problem> {
    let asset = asset.ok_or_else(Problem::not_found)?;
    match *head.method() {
        Method::GET | Method::HEAD => {
            refuse_parameters(head.uri())?;
            Ok(asset.answer(headers)?.into())
        }
        Method::OPTIONS => {
            let mut response = empty(StatusCode::NO_CONTENT);
            response.headers_mut().insert(header::ALLOW, ALLOW);
            Ok(response.into())
        }
        _ => Err(Problem::method_not_allowed().with_header(header::ALLOW, ALLOW)),
    }
}
