//! Every route on one screen.

use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, patch, post, put};
use http::{Method, StatusCode};

use crate::handlers::{actions, cache, health, locks, users};
use crate::problem::Problem;
use crate::request::RequestContext;

/// All routes. Each answers with and without a slash at its end, and never with a redirect.
pub(crate) fn router() -> Router {
    routes()
        .into_iter()
        .fold(Router::new(), both_ways)
        .fallback(to(async |_, _| Err(Problem::not_found())))
        .method_not_allowed_fallback(to(other_method))
}

/// What there is, and who answers it.
pub(crate) fn routes() -> [(&'static str, MethodRouter); 8] {
    let lock = get(to(locks::inspect))
        .merge(post(to(locks::acquire)))
        .merge(put(to(locks::renew)))
        .merge(delete(to(locks::release)));
    let cache = get(to(cache::get))
        .merge(put(to(cache::put)))
        .merge(patch(to(cache::patch)))
        .merge(delete(to(cache::delete)));
    [
        ("/api/v1/users/perform-action", post(to(actions::perform))),
        ("/api/v1/users/attempt-action", post(to(actions::attempt))),
        ("/api/v1/users/{user_id}", get(to(users::get))),
        ("/api/v1/users/{user_id}/lock", lock.clone()),
        ("/api/v1/users/{user_id}/locks/{name}", lock),
        ("/api/v1/users/{user_id}/cache/{key}", cache),
        ("/healthz", get(to(health::live))),
        ("/readyz", get(to(health::ready))),
    ]
}

/// The paths of all routes, with their parameters in braces.
pub(crate) fn templates() -> Vec<&'static str> {
    routes().into_iter().map(|(path, _)| path).collect()
}

fn both_ways(router: Router, (path, methods): (&str, MethodRouter)) -> Router {
    router
        .route(&format!("{path}/"), methods.clone())
        .route(path, methods)
}

/// A method without a handler. The router adds `Allow` to either answer.
async fn other_method(_: RequestContext, request: Request) -> Result<Response, Problem> {
    if request.method() == Method::OPTIONS {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(Problem::method_not_allowed())
    }
}

type Answer = Pin<Box<dyn Future<Output = Response> + Send>>;

/// A handler behind a pointer: axum's machinery is compiled once for all of them, and not once for each, which would be a tenth of
/// the component.
#[derive(Clone)]
struct Endpoint(Arc<dyn Fn(RequestContext, Request) -> Answer + Send + Sync>);

fn to<F>(handler: impl Fn(RequestContext, Request) -> F + Send + Sync + 'static) -> Endpoint
where
    F: Future<Output = Result<Response, Problem>> + Send + 'static,
{
    let handler = Arc::new(handler);
    Endpoint(Arc::new(move |context, request| {
        let answer = handler(context, request);
        Box::pin(async move { answer.await.into_response() })
    }))
}

impl Handler<(), ()> for Endpoint {
    type Future = Answer;

    fn call(self, mut request: Request, (): ()) -> Answer {
        match request.extensions_mut().remove::<RequestContext>() {
            Some(context) => (self.0)(context, request),
            None => {
                let problem = Problem::internal("a request without a context");
                Box::pin(async { problem.into_response() })
            }
        }
    }
}
