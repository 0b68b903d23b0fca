//! What every answer carries, whichever component gives it: problems rendered, the request's id, its timing, and its line in the log.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};

use crate::log::{Asked, Log};
use crate::problem::Problem;
use crate::query::Query;
use crate::request::{RequestId, Timing, X_REQUEST_ID};

/// How long the parts of a request took (<https://www.w3.org/TR/server-timing/>).
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// What is left of a request when its answer is finished.
#[derive(Debug, Clone)]
pub struct RequestHead(Asked);

impl RequestHead {
    /// The head of a request.
    pub fn of<B>(request: &Request<B>) -> Self {
        let headers = request.headers();
        let (method, uri) = (request.method().clone(), request.uri().clone());
        Self(Asked::new(method, uri, RequestId::of(headers), headers))
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.0.method
    }

    /// The path, as it was sent.
    pub fn path(&self) -> &str {
        self.0.uri.path()
    }

    /// The id.
    pub fn id(&self) -> &RequestId {
        &self.0.id
    }

    /// Renders the problem that a handler left to be rendered, adds what every answer carries, and logs.
    pub fn finish(&self, mut response: Response, timing: Timing, log: Log<'_>) -> Response {
        let problem = response.extensions_mut().remove::<Problem>();
        let status = response.status();
        self.0
            .answered(status, response.headers(), problem.as_ref(), timing, log);
        if let Some(problem) = problem {
            self.render(&problem, &mut response);
        }
        if response.status() == StatusCode::METHOD_NOT_ALLOWED || *self.method() == Method::OPTIONS
        {
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
        headers.insert(X_REQUEST_ID, self.id().header().clone());
        if let Ok(timing) = HeaderValue::try_from(timing.header()) {
            headers.insert(SERVER_TIMING, timing);
        }
        response
    }

    fn render(&self, problem: &Problem, response: &mut Response) {
        let body = problem.render(self.path());
        let headers = response.headers_mut();
        // The router has counted an empty body.
        headers.remove(header::CONTENT_LENGTH);
        headers.extend(problem.headers());
        // Of a HEAD too, it tells the length that the body of a GET would have (RFC 9110, section 9.3.2).
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        if *self.method() != Method::HEAD {
            *response.body_mut() = Body::from(body);
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
