//! Where requests come in and answers go out: what holds for all of them, whatever their route.

use std::rc::Rc;

use super::access_log::AccessLog;
use super::auth::{authorize, is_guarded, refuse_cross_site};
use super::handlers::health;
use super::problem::Problem;
use super::request::{PathParameters, Request, RequestContext};
use super::request_head::RequestHead;
use super::response::{Answer, Response};
use super::routes::{self, Route};
use super::wasi;
use crate::action::AnyAction;
use crate::instance::Instance;
use crate::platform::telemetry::{Span, Stopwatches, Telemetry, Timings};

/// Answers a request; `action` is the work under the lock.
pub(crate) async fn serve(request: wasi::Request, action: Rc<dyn AnyAction>) -> Response {
    let head = RequestHead::of(&request);
    let span = Span::of_request(request.headers());
    let instance = match Instance::current(head.began()).await {
        Ok(instance) => instance,
        Err(cause) => return misconfigured(&head, span, cause),
    };
    let normalized = head.normalized_path();
    let (route, path) = routes::find(&normalized).unzip();
    let path = path.unwrap_or_default();
    let context = RequestContext::new(
        head.began(),
        instance,
        Telemetry {
            request_id: head.id().clone(),
            trace: span.trace(),
            stopwatches: Stopwatches::default(),
        },
        action,
    );
    let result = answer(&context, &normalized, route, path.clone(), request).await;
    let config = &context.instance.config;
    let log = AccessLog {
        requests: config.log_requests,
        key: config.log_key.as_deref(),
        route: route.map(|route| route.template),
        user_ids: config.user_ids,
        user_in_path: path.user_id.as_deref(),
        is_open: !is_guarded(&normalized) || config.api_token.is_none() && !config.log_requests,
    };
    head.finish(result, context.timings(), log, Some(span))
}

async fn answer(
    context: &RequestContext,
    normalized: &str,
    route: Option<&'static Route>,
    path: PathParameters,
    request: wasi::Request,
) -> Result<Answer, Problem> {
    let config = &context.instance.config;
    authorize(config, normalized, request.headers())?;
    let decisive = route.and_then(|route| route.decisive_parameter(request.method()));
    refuse_cross_site(config, decisive, &request)?;
    let route = route.ok_or_else(Problem::not_found)?;
    let (parts, body) = request.into_parts();
    let request = Request {
        context: context.clone(),
        method: parts.method,
        uri: parts.uri,
        headers: parts.headers,
        route: route.template,
        path,
        body,
    };
    route.answer(request).await
}

/// Without settings there is nothing but a sign of life, which has nothing to do with them.
fn misconfigured(head: &RequestHead, span: Span, cause: String) -> Response {
    let path = head.normalized_path();
    let result = if health::is_liveness(head.method(), &path) {
        health::alive(head.uri())
    } else {
        Err(Problem::misconfigured().caused_by(cause))
    };
    head.finish(result, Timings::default(), AccessLog::CAUSES, Some(span))
}
