//! Where requests come in and answers go out: what holds for all of them, whatever their route.
//!
//! Owns the settings that a request finds, and authentication. What every answer carries, its line in the log included, is [`crate::answer`]'s.

use http::{HeaderMap, header};
use subtle::ConstantTimeEq;

use crate::answer::{RequestHead, Response};
use crate::handlers::health;
use crate::instance::Instance;
use crate::log::Log;
use crate::problem::Problem;
use crate::request::{RequestContext, Timing};
use crate::telemetry::Span;
use crate::wasi_http::Request;

/// Answers a request.
pub(crate) async fn serve(request: Request) -> Response {
    let head = RequestHead::of(&request);
    let span = Span::of_request(request.headers());
    let instance = match Instance::current().await {
        Ok(instance) => instance,
        Err(cause) => return unconfigured(&head, span, cause),
    };
    let context = RequestContext::new(instance, head.id().clone(), span.trace());
    let response = match authorize(&context, head.path(), request.headers()) {
        Ok(()) => {
            let router = context.instance.router();
            router.answer(context.clone(), request).await
        }
        Err(problem) => Err(problem),
    };
    let response = response.unwrap_or_else(Problem::into_response);
    span.answered(&head, &response, context.instance.log());
    head.finish(response, context.timing(), context.instance.log())
}

/// Without settings there is nothing but a sign of life, which has nothing to do with them.
fn unconfigured(head: &RequestHead, span: Span, cause: String) -> Response {
    let response = if health::is_liveness(head.method(), head.path()) {
        health::alive(head.uri()).unwrap_or_else(Problem::into_response)
    } else {
        let problem = Problem::misconfigured().caused_by(cause);
        problem.into_response()
    };
    span.answered(head, &response, Log::CAUSES);
    head.finish(response, Timing::default(), Log::CAUSES)
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

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

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
