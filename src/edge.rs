//! Where requests come in and answers go out: what holds for all of them, whatever their route.
//!
//! Owns the request's id, authentication, the rendering of problems, the headers that every answer carries, and the log.

use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use subtle::ConstantTimeEq;
use tower_service::Service;

use crate::handlers::health;
use crate::instance::Instance;
use crate::problem::Problem;
use crate::request::{RequestContext, RequestId, X_REQUEST_ID, server_timing};

/// How long the parts of a request took.
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Answers a request.
pub(crate) async fn serve(request: Request<Body>) -> Response {
    let id = RequestId::of(request.headers());
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let instance = match Instance::current().await {
        Ok(instance) => instance,
        // Whether the process is alive has nothing to do with its settings.
        Err(_) if health::is_liveness(&method, &path) => {
            let none = server_timing(Duration::ZERO, Duration::ZERO, Duration::ZERO);
            let alive = health::alive(request.uri()).into_response();
            return finish(alive, &method, &path, &id, none);
        }
        Err(cause) => {
            let none = server_timing(Duration::ZERO, Duration::ZERO, Duration::ZERO);
            let problem = Problem::misconfigured().caused_by(cause);
            return finish(problem.into_response(), &method, &path, &id, none);
        }
    };
    let context = RequestContext::new(instance, id.clone());
    let response = match authorize(&context, &path, request.headers()) {
        Ok(()) => route(&context, request).await,
        Err(problem) => problem.into_response(),
    };
    finish(response, &method, &path, &id, context.server_timing())
}

async fn route(context: &RequestContext, mut request: Request<Body>) -> Response {
    request.extensions_mut().insert(context.clone());
    match context.instance.router().call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// With an `api_token`, everything under `/api` needs it (RFC 6750, section 2.1).
fn authorize(context: &RequestContext, path: &str, headers: &HeaderMap) -> Result<(), Problem> {
    let guarded = path == "/api" || path.starts_with("/api/");
    match &context.instance.config.api_token {
        Some(token) if guarded && !presents(headers, token) => Err(Problem::unauthorized()),
        _ => Ok(()),
    }
}

fn presents(headers: &HeaderMap, token: &str) -> bool {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return false;
    };
    let Some((scheme, credentials)) = split_once_space(value.as_bytes()) else {
        return false;
    };
    // How long the token is may be learnt from the time this takes, what it is may not.
    scheme.eq_ignore_ascii_case(b"bearer") && credentials.ct_eq(token.as_bytes()).into()
}

fn split_once_space(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = bytes.iter().position(|byte| *byte == b' ')?;
    Some((&bytes[..space], bytes[space..].trim_ascii_start()))
}

/// Renders what a handler left to be rendered, and adds what every answer carries.
fn finish(
    mut response: Response,
    method: &Method,
    path: &str,
    id: &RequestId,
    timing: String,
) -> Response {
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        log(&problem, method, path, id);
        response.headers_mut().extend(problem.headers());
        let body = problem.render(path);
        // Of a HEAD too, it tells the length that the body of a GET would have (RFC 9110, section 9.3.2).
        let length = HeaderValue::from(body.len());
        response
            .headers_mut()
            .insert(header::CONTENT_LENGTH, length);
        if method != Method::HEAD {
            *response.body_mut() = Body::from(body);
        }
    }
    if response.status() == StatusCode::METHOD_NOT_ALLOWED || method == Method::OPTIONS {
        complete_allow(response.headers_mut());
    }
    if matches!(
        response.status(),
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
    ) {
        // The router says 0, which the one must not say and of the other is wrong (RFC 9110, section 8.6).
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    let headers = response.headers_mut();
    headers.insert(X_REQUEST_ID, id.header().clone());
    if let Ok(timing) = HeaderValue::try_from(timing) {
        headers.insert(SERVER_TIMING, timing);
    }
    response
}

/// The router lists the methods that have a handler; `OPTIONS` is answered for all of them.
fn complete_allow(headers: &mut HeaderMap) {
    let Some(allow) = headers
        .get(header::ALLOW)
        .and_then(|value| value.to_str().ok())
    else {
        return;
    };
    let mut methods: Vec<&str> = allow.split(',').map(str::trim).collect();
    methods.push("OPTIONS");
    if let Ok(allow) = HeaderValue::try_from(methods.join(", ")) {
        headers.insert(header::ALLOW, allow);
    }
}

/// One line for each request that failed through no fault of its caller.
fn log(problem: &Problem, method: &Method, path: &str, id: &RequestId) {
    if let Some(cause) = &problem.cause {
        eprintln!(
            "edgelatch: {} {method} {path} -> {} {}: {}",
            id.as_str(),
            problem.status.as_u16(),
            problem.slug,
            one_line(cause),
        );
    }
}

/// What others say may have several lines, the parser of Redis' replies for one.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_one_line() {
        let cause = "Parse error at 1\nExpected integer\r\n";
        assert_eq!(one_line(cause), "Parse error at 1 Expected integer");
    }

    fn bearer(value: &'static str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
        presents(&headers, "s3cret")
    }

    #[test]
    fn only_the_whole_token_opens() {
        assert!(bearer("Bearer s3cret"));
        assert!(bearer("bearer  s3cret"));
        for value in [
            "Bearer",
            "Bearer ",
            "Bearer s3cre",
            "Bearer s3cretx",
            "Basic s3cret",
            "s3cret",
            "",
        ] {
            assert!(!bearer(value), "{value:?}");
        }
        assert!(!presents(&HeaderMap::new(), "s3cret"));
    }

    #[test]
    fn two_authorizations_are_none() {
        let mut headers = HeaderMap::new();
        headers.append(
            header::AUTHORIZATION,
            HeaderValue::from_static("Bearer s3cret"),
        );
        headers.append(
            header::AUTHORIZATION,
            HeaderValue::from_static("Bearer other"),
        );
        assert!(!presents(&headers, "s3cret"));
    }
}
