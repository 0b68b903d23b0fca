//! The pages of edgelatch: `/docs`, to read and try the service on, and `/openapi.json`. A component of its own, so that the API's
//! does not grow by them; it needs nothing but the request, not Redis and no variable.

mod asset;

use bytes::Bytes;
use edgelatch::answer::{RequestHead, Response, empty, refuse_parameters};
use edgelatch::log::Log;
use edgelatch::problem::Problem;
use edgelatch::request::Timing;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use http_body_util::Full;

/// Served methods.
const ALLOW: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

/// The component's entry point.
#[cfg_attr(target_family = "wasm", spin_sdk::http_service)]
pub async fn handle(request: spin_sdk::http::Request) -> http::Response<Full<Bytes>> {
    let head = RequestHead::of(&request);
    let response = answer(&head, request.uri(), request.headers());
    let response = head.finish(response, Timing::default(), Log::CAUSES);
    response.map(Full::new)
}

/// Answers a request whose body does not matter.
fn answer(head: &RequestHead, uri: &Uri, headers: &HeaderMap) -> Response {
    let path = head.path();
    let path = path.strip_suffix('/').unwrap_or(path);
    let Some(asset) = asset::find(path) else {
        return Problem::not_found().into_response();
    };
    match *head.method() {
        Method::GET | Method::HEAD => match refuse_parameters(uri) {
            Ok(()) => asset.answer(head.method(), headers),
            Err(problem) => problem.into_response(),
        },
        Method::OPTIONS => allowed(empty(StatusCode::NO_CONTENT)),
        _ => allowed(Problem::method_not_allowed().into_response()),
    }
}

fn allowed(mut response: Response) -> Response {
    response.headers_mut().insert(header::ALLOW, ALLOW);
    response
}
