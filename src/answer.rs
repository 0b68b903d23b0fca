//! What every answer carries, whichever component gives it: problems rendered, the request's id, its timing, and a line in the
//! log where it failed through no fault of its caller.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};

use crate::problem::Problem;
use crate::query::Query;
use crate::request::{RequestId, X_REQUEST_ID};

/// How long the parts of a request took (<https://www.w3.org/TR/server-timing/>).
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// What is left of a request when its answer is finished.
#[derive(Debug, Clone)]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// The path, as it was sent.
    pub path: String,
    /// The id.
    pub id: RequestId,
}

impl RequestHead {
    /// The head of a request.
    pub fn of<B>(request: &Request<B>) -> Self {
        Self {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            id: RequestId::of(request.headers()),
        }
    }

    /// Renders the problem that a handler left to be rendered, and adds what every answer carries. `timing` is the value of
    /// `Server-Timing`, as [`crate::request::server_timing`] writes it.
    pub fn finish(&self, mut response: Response, timing: String) -> Response {
        if let Some(problem) = response.extensions_mut().remove::<Problem>() {
            self.log(&problem);
            self.render(&problem, &mut response);
        }
        if response.status() == StatusCode::METHOD_NOT_ALLOWED || self.method == Method::OPTIONS {
            complete_allow(response.headers_mut());
        }
        let without_content = matches!(
            response.status(),
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
        );
        let headers = response.headers_mut();
        if without_content {
            // The router counts the bytes of an empty body; these two must not say a length that is not the content's
            // (RFC 9110, section 8.6).
            headers.remove(header::CONTENT_LENGTH);
        }
        headers.insert(X_REQUEST_ID, self.id.header().clone());
        if let Ok(timing) = HeaderValue::try_from(timing) {
            headers.insert(SERVER_TIMING, timing);
        }
        response
    }

    fn render(&self, problem: &Problem, response: &mut Response) {
        let body = problem.render(&self.path);
        let headers = response.headers_mut();
        // The router has counted an empty body.
        headers.remove(header::CONTENT_LENGTH);
        headers.extend(problem.headers());
        // Of a HEAD too, it tells the length that the body of a GET would have (RFC 9110, section 9.3.2).
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        if self.method != Method::HEAD {
            *response.body_mut() = Body::from(body);
        }
    }

    /// One line for each request that failed through no fault of its caller.
    fn log(&self, problem: &Problem) {
        if let Some(cause) = &problem.cause {
            eprintln!(
                "edgelatch: {} {} {} -> {} {}: {}",
                self.id.as_str(),
                self.method,
                self.path,
                problem.status.as_u16(),
                problem.slug,
                one_line(cause),
            );
        }
    }
}

/// For a route that has no query parameters.
///
/// # Errors
/// 422 that lists those that are there.
pub fn refuse_parameters(uri: &Uri) -> Result<(), Problem> {
    Query::new(uri).finish(Some(()))
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
}
