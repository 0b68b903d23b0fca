//! One request to the origin and its whole answer, within a time and a size.

use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Request, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use serde_json::value::RawValue;
use spin_sdk::wasip3::http::types::ErrorCode;

use super::cache_control::{Defaults, Freshness, freshness};
use super::failure::Failure;
use crate::platform::time_limit::within;
use crate::types::json;
use crate::types::media_type::is_json;

/// How long to wait before each further try to reach the origin: it may be starting anew.
const PAUSES_MS: [u64; 4] = [50, 100, 200, 400];

/// A success of the origin, whole.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(super) headers: HeaderMap,
    /// The body, of any bytes.
    pub(crate) body: Bytes,
}

impl Answer {
    /// The type that the origin gave the body.
    pub(crate) fn content_type(&self) -> Option<&str> {
        self.headers.get(header::CONTENT_TYPE)?.to_str().ok()
    }

    /// How the answer may be kept from `now` on; `None` if it may not.
    pub(crate) fn freshness(&self, defaults: &Defaults, now: SystemTime) -> Option<Freshness> {
        freshness(&self.headers, defaults, now)
    }

    /// The body as JSON; `None` if there is none.
    pub(super) fn json(self) -> Result<Option<Box<RawValue>>, Failure> {
        if self.body.is_empty() {
            return Ok(None);
        }
        let json = self.parse()?;
        Ok(Some(json.to_owned()))
    }

    /// The answer, if its body is JSON.
    pub(super) fn checked(self) -> Result<Self, Failure> {
        self.parse()?;
        Ok(self)
    }

    fn parse(&self) -> Result<&RawValue, Failure> {
        if !self.headers.get(header::CONTENT_TYPE).is_none_or(is_json) {
            return Err(Failure::unusable("The origin's answer is not JSON"));
        }
        json::parse(&self.body)
            .map_err(|error| Failure::unusable(format!("The origin's answer is not JSON: {error}")))
    }
}

/// Sends the request and reads the whole answer, of at most `max` bytes, within `limit`.
///
/// Sent again, after growing pauses, only where there was no connection to send it over, so that
/// the origin never sees a request twice.
///
/// # Errors
/// Whatever is not a 2xx, or not whole.
pub(super) async fn exchange(
    request: &Request<Full<Bytes>>,
    limit: Duration,
    max: usize,
) -> Result<Answer, Failure> {
    let began = Instant::now();
    let exchange = async {
        let response = connected(request, began + limit).await?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, max).collect().await;
        let status = parts.status;
        if !status.is_success() {
            let body = body.map(|body| body.to_bytes()).unwrap_or_default();
            return Err(Failure::refused_with(status.as_u16(), parts.headers, body));
        }
        match body {
            Ok(body) => Ok(Answer {
                headers: parts.headers,
                body: body.to_bytes(),
            }),
            Err(error) if error.is::<LengthLimitError>() => Err(Failure::unusable(format!(
                "The origin's answer is longer than {max} bytes"
            ))),
            Err(error) => Err(Failure::down("The origin's answer broke off", error)),
        }
    };
    within(limit, exchange)
        .await
        .unwrap_or_else(|| Err(Failure::timed_out(limit)))
}

async fn connected(
    request: &Request<Full<Bytes>>,
    deadline: Instant,
) -> Result<spin_sdk::http::Response, Failure> {
    let mut pauses = PAUSES_MS.into_iter().map(Duration::from_millis);
    loop {
        let error = match spin_sdk::http::send(request.clone()).await {
            Ok(response) => return Ok(response),
            Err(error) => error,
        };
        // One that is not there is down, also where there is no time for another try.
        let in_time = |pause: &Duration| Instant::now() + *pause < deadline;
        match pauses.next().filter(in_time) {
            Some(pause) if nothing_was_sent(&error) => spin_sdk::time::sleep(pause).await,
            _ => return Err(Failure::down("The origin could not be reached", error)),
        }
    }
}

/// Whether the request failed before there was a connection.
fn nothing_was_sent(error: &ErrorCode) -> bool {
    matches!(
        error,
        ErrorCode::DnsTimeout
            | ErrorCode::DestinationUnavailable
            | ErrorCode::ConnectionRefused
            | ErrorCode::ConnectionTimeout
            | ErrorCode::ConnectionLimitReached
    )
}
