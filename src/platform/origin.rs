//! The backend behind this service: forwards an action to it, and reads a user from it.
//!
//! Redirects are not followed: `wasi:http` does not, and its host would not let them leave the
//! origin. Headers are not copied but named, so neither the caller's `Authorization` nor any
//! hop-by-hop header (RFC 9110, section 7.6.1) is passed on.

mod cache_control;
mod exchange;
mod failure;
mod freshness;
mod kept_headers;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, header};
use http_body_util::Full;
use serde_json::value::RawValue;

use crate::platform::config::Origin;
use crate::platform::request_deadline::RequestDeadline;
use crate::platform::telemetry::{Span, continued_trace};
use crate::types::header_names::{FENCING_TOKEN, IDEMPOTENCY_KEY, X_REQUEST_ID, X_USER_ID};
use crate::types::request_id::RequestId;
use crate::types::user_id::UserId;
pub(crate) use cache_control::CacheControl;
pub(crate) use exchange::Answer;
use exchange::exchange;
pub(crate) use failure::{Failure, FailureKind};
pub(crate) use freshness::{Arrival, Defaults, Freshness};
pub(crate) use kept_headers::KeptHeaders;

/// The request that something is asked of the origin for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller<'a> {
    /// Its id.
    pub(crate) request_id: &'a RequestId,
    /// Its headers, of which those of its trace are passed on, and with an action its
    /// `Idempotency-Key`.
    pub(crate) headers: &'a HeaderMap,
    /// When it has to be over: `origin_timeout` is cut to what is left.
    pub(crate) deadline: RequestDeadline,
}

/// The origin as the source of users, asked in the name of one request.
#[derive(Clone)]
pub(crate) struct UserSource {
    origin: Arc<Origin>,
    request_id: RequestId,
    headers: HeaderMap,
    deadline: RequestDeadline,
    /// The longest answer, in bytes.
    limit: usize,
}

impl UserSource {
    /// The origin for the request with this id and these headers, which has to be over by
    /// `deadline`. Its answers may have at most `limit` bytes.
    pub(crate) fn new(
        origin: Arc<Origin>,
        request_id: RequestId,
        headers: HeaderMap,
        deadline: RequestDeadline,
        limit: usize,
    ) -> Self {
        Self {
            origin,
            request_id,
            headers,
            deadline,
            limit,
        }
    }

    /// The settings of the origin.
    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// A user's JSON, as [`fetch`], in the trace of `span`.
    pub(crate) async fn fetch(&self, user: UserId, span: &Span) -> Result<Answer, Failure> {
        let caller = Caller {
            request_id: &self.request_id,
            headers: &span.headers(&self.headers),
            deadline: self.deadline,
        };
        fetch(&self.origin, user, caller, self.limit).await
    }
}

/// POSTs an action's input to the origin and returns its JSON, `None` if its success has no body.
/// The answer may have at most `limit` bytes.
///
/// # Errors
/// A [`Failure`] if the origin can't be reached, answers with anything but a 2xx, or with a body
/// that is not JSON or too long, or if its whole answer is not there within `origin_timeout`.
///
/// # Cancellation
/// Dropping the future closes the connection; the origin may go on.
pub(crate) async fn forward(
    origin: &Origin,
    action: &str,
    user: UserId,
    fencing_token: i64,
    input: Option<Bytes>,
    caller: Caller<'_>,
    limit: usize,
) -> Result<Option<Box<RawValue>>, Failure> {
    let path = origin.action_path.replace("{action}", action);
    let has_input = input.is_some();
    let body = input.unwrap_or_default();
    // Without it the host sends the body in chunks, which gateways to WSGI or CGI don't take, and
    // the last chunk, a packet of its own, waits for the delayed acknowledgement of the head.
    let length = HeaderValue::from(body.len());
    let mut request = Request::post(uri(origin, &path, user))
        .body(Full::new(body))
        .map_err(Failure::unsendable)?;
    let headers = request.headers_mut();
    describe(headers, user, caller)?;
    for value in caller.headers.get_all(&IDEMPOTENCY_KEY) {
        headers.append(IDEMPOTENCY_KEY, value.clone());
    }
    if has_input {
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
    }
    headers.insert(header::CONTENT_LENGTH, length);
    headers.insert(FENCING_TOKEN, HeaderValue::from(fencing_token));
    let timeout = caller.deadline.clamp(origin.timeout);
    exchange(&request, timeout, limit).await?.json()
}

/// GETs a user's JSON from the origin. The answer may have at most `limit` bytes.
///
/// # Errors
/// A [`Failure`] as of [`forward`]; also where a success has no body.
///
/// # Cancellation
/// Dropping the future closes the connection.
async fn fetch(
    origin: &Origin,
    user: UserId,
    caller: Caller<'_>,
    limit: usize,
) -> Result<Answer, Failure> {
    let mut request = Request::new(Full::new(Bytes::new()));
    *request.method_mut() = Method::GET;
    let uri = uri(origin, &origin.user_path, user).parse();
    *request.uri_mut() = uri.map_err(Failure::unsendable)?;
    describe(request.headers_mut(), user, caller)?;
    let timeout = caller.deadline.clamp(origin.timeout);
    let answer = exchange(&request, timeout, limit).await?;
    answer.checked()
}

fn uri(origin: &Origin, path: &str, user: UserId) -> String {
    let path = path.replace("{user_id}", &user.to_string());
    format!("{}{path}", origin.base)
}

/// What every request to the origin says of whom it is about and where it comes from.
fn describe(headers: &mut HeaderMap, user: UserId, caller: Caller<'_>) -> Result<(), Failure> {
    headers.extend(continued_trace(caller.headers));
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    // An answer is read, and passed on to callers that may not take any encoding.
    let identity = HeaderValue::from_static("identity");
    headers.insert(header::ACCEPT_ENCODING, identity);
    let user = HeaderValue::try_from(user.to_string()).map_err(Failure::unsendable)?;
    headers.insert(X_USER_ID, user);
    headers.insert(X_REQUEST_ID, caller.request_id.header().clone());
    Ok(())
}
