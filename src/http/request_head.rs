//! What is left of a request when its answer is finished: its line in the log, its span, and the
//! headers that name it.

use std::borrow::Cow;
use std::time::Instant;

use http::{Method, Request, Uri};

use super::access_log::{AccessLog, Answered};
use super::common_headers;
use super::problem::{Blame, Problem};
use super::request::headers;
use super::response::{Answer, Body, Response};
use super::routes;
use crate::platform::telemetry::{RequestEnd, Span, Timings, trace_id};
use crate::types::request_id::RequestId;

/// The head of a request.
#[derive(Debug, Clone)]
pub struct RequestHead {
    method: Method,
    uri: Uri,
    id: RequestId,
    trace_id: Option<Box<str>>,
    began: Instant,
}

impl RequestHead {
    /// The head of a request that begins now.
    pub fn of<B>(request: &Request<B>) -> Self {
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            id: headers::request_id(request.headers()),
            trace_id: trace_id(request.headers()).map(Into::into),
            began: Instant::now(),
        }
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The URI, as it was sent.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The path, as it was sent.
    pub(crate) fn path(&self) -> &str {
        self.uri.path()
    }

    /// The path, with its unreserved characters decoded.
    pub fn normalized_path(&self) -> Cow<'_, str> {
        routes::normalized(self.path())
    }

    /// When the request began.
    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    /// The id.
    pub(crate) fn id(&self) -> &RequestId {
        &self.id
    }

    /// Logs the request, renders its problem if it has one, and adds what every answer carries.
    pub fn answer(&self, result: Result<Answer, Problem>, log: AccessLog<'_>) -> Response {
        self.finish(result, Timings::default(), log, None)
    }

    /// The same, with the request's timings, and ends its span.
    pub(crate) fn finish(
        &self,
        result: Result<Answer, Problem>,
        timings: Timings,
        log: AccessLog<'_>,
        span: Option<Span>,
    ) -> Response {
        let (outcome, blame) = match &result {
            Ok(answer) => (answer.outcome.name(), Blame::AsCaused),
            Err(problem) => (problem.slug, problem.blame),
        };
        let (mut response, cause) = match result {
            Ok(answer) => (answer.response, None),
            Err(problem) => problem.into_response(self.path()),
        };
        let status = response.status().as_u16();
        if let Some(span) = span {
            span.request_ended(RequestEnd {
                method: self.method.as_str(),
                route: log.route,
                user: log.user(&self.uri),
                status,
                outcome,
                request_id: self.id.as_str(),
            });
        }
        log.write(&Answered {
            request_id: self.id.as_str(),
            trace_id: self.trace_id.as_deref(),
            method: self.method.as_str(),
            uri: &self.uri,
            status,
            outcome,
            began: self.began,
            timings,
            cause: cause.as_deref(),
            blame,
        });
        common_headers::add(&mut response, &self.id, timings);
        if self.method == Method::HEAD {
            // It has the length that the body of a GET would have (RFC 9110, section 9.3.2).
            *response.body_mut() = Body::default();
        }
        response
    }
}
