//! What every answer carries, whichever component gives it: problems rendered, the request's id, its timing, and its line in the log.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};

use crate::log::{Asked, Log};
use crate::problem::Problem;
use crate::query::Query;
use crate::request::{RequestId, Timing, X_REQUEST_ID};

/// The body of an answer: whole, since its length is told before it.
pub type Body = Bytes;

/// An answer.
pub type Response = http::Response<Body>;

/// An answer without a body.
pub fn empty(status: StatusCode) -> Response {
    let mut response = Response::default();
    *response.status_mut() = status;
    response
}

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

    /// The URI, as it was sent.
    pub fn uri(&self) -> &Uri {
        &self.0.uri
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
        let length = response.body().len();
        let headers = response.headers_mut();
        match status {
            // These two must not say a length that is not the content's (RFC 9110, section 8.6).
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => {}
            _ if headers.contains_key(header::CONTENT_LENGTH) => {}
            _ => {
                headers.insert(header::CONTENT_LENGTH, length.into());
            }
        }
        headers.insert(X_REQUEST_ID, self.id().header().clone());
        if let Ok(timing) = HeaderValue::try_from(timing.header()) {
            headers.insert(SERVER_TIMING, timing);
        }
        if *self.method() == Method::HEAD {
            // It has the length that the body of a GET would have (RFC 9110, section 9.3.2).
            *response.body_mut() = Body::default();
        }
        response
    }

    fn render(&self, problem: &Problem, response: &mut Response) {
        response.headers_mut().extend(problem.headers());
        *response.body_mut() = Body::from(problem.render(self.path()));
    }
}

/// For a route that has no query parameters.
///
/// # Errors
/// 422 that lists those that are there.
pub fn refuse_parameters(uri: &Uri) -> Result<(), Problem> {
    Query::new(uri).finish(Some(()))
}
