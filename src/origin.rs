//! The backend behind this service: forwards an action to it, and reads a user from it.
//!
//! Redirects are not followed: `wasi:http` does not, and its host would not let them leave the origin. Headers are not copied but
//! named, so neither the caller's `Authorization` nor any hop-by-hop header (RFC 9110, section 7.6.1) is passed on.

mod exchange;
mod failure;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use http_body_util::Full;
use serde_json::value::RawValue;

use crate::action::Action;
use crate::config::Origin;
use crate::keys::UserId;
use crate::problem::Problem;
use crate::request::{RequestId, X_REQUEST_ID};
pub(crate) use exchange::Answer;
use exchange::exchange;
pub(crate) use failure::{Failure, FailureKind};

/// The caller's trace (<https://www.w3.org/TR/trace-context/>).
const TRACE: [HeaderName; 2] = [
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
];

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const FENCING_TOKEN: HeaderName = HeaderName::from_static("fencing-token");
const X_USER_ID: HeaderName = HeaderName::from_static("x-user-id");

/// POSTs the action's input to the origin and returns its JSON, `None` if its success has no body.
///
/// # Errors
/// 502 if the origin can't be reached, answers with anything but a 2xx, or with a body that is not JSON or longer than
/// `max_body_bytes`; 504 if its whole answer is not there within `origin_timeout`. With `origin_passthrough`, a 4xx or 5xx is as the
/// origin answered it.
///
/// # Cancellation
/// Dropping the future closes the connection; the origin may go on.
pub(crate) async fn forward(
    origin: &Origin,
    action: &Action<'_>,
) -> Result<Option<Box<RawValue>>, Problem> {
    let path = origin.action_path.replace("{action}", action.name);
    let body = action.input.clone().unwrap_or_default();
    // Without it the host sends the body in chunks, which gateways to WSGI or CGI don't take, and the last chunk, a packet of
    // its own, waits for the delayed acknowledgement of the head.
    let length = HeaderValue::from(body.len());
    let uri = uri(origin, &path, action.user);
    let mut request = Request::post(uri)
        .body(Full::new(body))
        .map_err(Problem::internal)?;
    let headers = request.headers_mut();
    describe(headers, action.user, action.request_id, action.headers)?;
    for value in action.headers.get_all(&IDEMPOTENCY_KEY) {
        headers.append(IDEMPOTENCY_KEY.clone(), value.clone());
    }
    if action.input.is_some() {
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
    }
    headers.insert(header::CONTENT_LENGTH, length);
    headers.insert(FENCING_TOKEN, HeaderValue::from(action.fencing_token.get()));
    exchange(&request, origin.timeout, action.config.max_body_bytes)
        .await
        .and_then(Answer::json)
        .map_err(|failure| failure.problem(origin.passthrough))
}

/// GETs a user's JSON from the origin, in the name of the request with these headers.
///
/// # Errors
/// A [`Failure`] as of [`forward`]; also where a success has no body.
///
/// # Cancellation
/// Dropping the future closes the connection.
pub(crate) async fn fetch(
    origin: &Origin,
    user: UserId,
    id: &RequestId,
    caller: &HeaderMap,
    limit: usize,
) -> Result<Answer, Failure> {
    let mut request = Request::new(Full::new(Bytes::new()));
    *request.method_mut() = Method::GET;
    let uri = uri(origin, &origin.user_path, user).parse();
    *request.uri_mut() = uri.map_err(Failure::unsendable)?;
    describe(request.headers_mut(), user, id, caller)
        .map_err(|_| Failure::unsendable("headers"))?;
    let answer = exchange(&request, origin.timeout, limit).await?;
    answer.checked()
}

fn uri(origin: &Origin, path: &str, user: UserId) -> String {
    let path = path.replace("{user_id}", &user.to_string());
    format!("{}{path}", origin.base)
}

/// What every request to the origin says of whom it is about and where it comes from.
fn describe(
    headers: &mut HeaderMap,
    user: UserId,
    id: &RequestId,
    caller: &HeaderMap,
) -> Result<(), Problem> {
    for name in TRACE {
        for value in caller.get_all(&name) {
            headers.append(name.clone(), value.clone());
        }
    }
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    let user = HeaderValue::try_from(user.to_string()).map_err(Problem::internal)?;
    headers.insert(X_USER_ID, user);
    headers.insert(X_REQUEST_ID, id.header().clone());
    Ok(())
}
