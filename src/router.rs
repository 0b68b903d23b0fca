//! Every route on one screen.

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use http::{Method, StatusCode};

use crate::handlers::{actions, health};
use crate::problem::Problem;

/// All routes. Each answers with and without a slash at its end, and never with a redirect.
pub(crate) fn router() -> Router {
    let routes = [
        ("/api/v1/users/perform-action", post(actions::perform)),
        ("/api/v1/users/attempt-action", post(actions::attempt)),
        ("/healthz", get(health::live)),
        ("/readyz", get(health::ready)),
    ];
    routes
        .into_iter()
        .fold(Router::new(), both_ways)
        .fallback(async || Problem::not_found())
        .method_not_allowed_fallback(other_method)
}

fn both_ways(router: Router, (path, methods): (&str, MethodRouter)) -> Router {
    router
        .route(&format!("{path}/"), methods.clone())
        .route(path, methods)
}

/// A method without a handler. The router adds `Allow` to either answer.
async fn other_method(method: Method) -> Response {
    if method == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else {
        Problem::method_not_allowed().into_response()
    }
}
