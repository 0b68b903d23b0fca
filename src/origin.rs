//! The backend behind this service: forwards an action to it.
//!
//! Redirects are not followed: `wasi:http` does not, and its host would not let them leave the origin. Headers are not copied but
//! named, so neither the caller's `Authorization` nor any hop-by-hop header (RFC 9110, section 7.6.1) is passed on.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use serde_json::value::RawValue;

use crate::action::Action;
use crate::body::is_json;
use crate::config::Origin;
use crate::json;
use crate::problem::Problem;
use crate::redis::within;
use crate::request::X_REQUEST_ID;

/// What is passed on of the caller's headers: the trace (<https://www.w3.org/TR/trace-context/>) and the key.
const PASSED_ON: [HeaderName; 3] = [
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("idempotency-key"),
];

const FENCING_TOKEN: HeaderName = HeaderName::from_static("fencing-token");
const X_USER_ID: HeaderName = HeaderName::from_static("x-user-id");

/// POSTs the action's input to the origin and returns its JSON, `None` if its success has no body.
///
/// # Errors
/// 502 if the origin can't be reached, answers with anything but a 2xx, or with a body that is not JSON or longer than
/// `max_body_bytes`; 504 if its whole answer is not there within `origin_timeout`.
///
/// # Cancellation
/// Dropping the future closes the connection; the origin may go on.
pub(crate) async fn forward(
    origin: &Origin,
    action: &Action<'_>,
) -> Result<Option<Box<RawValue>>, Problem> {
    let request = request_to(origin, action)?;
    let exchange = exchange(request, action.config.max_body_bytes);
    within(origin.timeout, exchange)
        .await
        .unwrap_or_else(|| Err(Problem::origin_timeout(origin.timeout)))
}

fn request_to(origin: &Origin, action: &Action<'_>) -> Result<Request<Full<Bytes>>, Problem> {
    let path = origin
        .action_path
        .replace("{user_id}", &action.user.to_string())
        .replace("{action}", action.name);
    let mut request = Request::post(format!("{}{path}", origin.base))
        .body(Full::new(action.input.clone().unwrap_or_default()))
        .map_err(Problem::internal)?;
    let headers = request.headers_mut();
    for name in PASSED_ON {
        for value in action.headers.get_all(&name) {
            headers.append(name.clone(), value.clone());
        }
    }
    if action.input.is_some() {
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
    }
    // Without it the host sends the body in chunks, which gateways to WSGI or CGI don't take, and the last chunk, a packet of
    // its own, waits for the delayed acknowledgement of the head.
    let length = action.input.as_ref().map_or(0, Bytes::len);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(FENCING_TOKEN, HeaderValue::from(action.fencing_token.get()));
    let user = HeaderValue::try_from(action.user.to_string()).map_err(Problem::internal)?;
    headers.insert(X_USER_ID, user);
    headers.insert(X_REQUEST_ID, action.request_id.header().clone());
    Ok(request)
}

async fn exchange(
    request: Request<Full<Bytes>>,
    limit: usize,
) -> Result<Option<Box<RawValue>>, Problem> {
    let response = spin_sdk::http::send(request).await.map_err(|error| {
        Problem::origin_failed("The origin could not be reached").caused_by(error)
    })?;
    let (parts, body) = response.into_parts();
    if !parts.status.is_success() {
        return Err(refused(parts.status));
    }
    let bytes = match Limited::new(body, limit).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            let detail = format!("The origin's answer is longer than {limit} bytes");
            return Err(Problem::origin_failed(detail));
        }
        Err(error) => {
            let problem = Problem::origin_failed("The origin's answer broke off");
            return Err(problem.caused_by(error));
        }
    };
    result_of(&parts.headers, &bytes)
}

fn refused(status: StatusCode) -> Problem {
    Problem::origin_failed(format!(
        "The origin answered with status {}",
        status.as_u16()
    ))
}

fn result_of(headers: &HeaderMap, bytes: &[u8]) -> Result<Option<Box<RawValue>>, Problem> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let not_json = "The origin's answer is not JSON";
    if !headers.get(header::CONTENT_TYPE).is_none_or(is_json) {
        return Err(Problem::origin_failed(not_json));
    }
    match json::parse(bytes) {
        Ok(json) => Ok(Some(json.to_owned())),
        Err(error) => Err(Problem::origin_failed(format!("{not_json}: {error}"))),
    }
}
