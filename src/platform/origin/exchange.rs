//! One request to the origin and its whole answer, within a time and a size.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use serde_json::value::RawValue;
use spin_sdk::wasip3::http::types::ErrorCode;

use super::failure::Failure;
use super::freshness::{Arrival, Defaults, Freshness, freshness, replaces_older};
use crate::platform::time_limit::within;
use crate::types::json;
use crate::types::media_type::is_json;

/// How long to wait before each further try to reach the origin: it may be starting anew.
const PAUSES_MS: [u64; 4] = [50, 100, 200, 400];

/// A success of the origin, whole.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// The body, of any bytes.
    pub(crate) body: Bytes,
}

impl Answer {
    #[cfg(test)]
    pub(crate) fn ok(body: &'static [u8]) -> Self {
        Self {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: Bytes::from_static(body),
        }
    }

    /// The status, a 2xx.
    pub(crate) fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// How the answer may be kept; an error if it may not.
    pub(crate) fn freshness(
        &self,
        defaults: &Defaults,
        arrival: Arrival,
    ) -> Result<Freshness, Freshness> {
        freshness(self.status, &self.headers, defaults, arrival)
            .ok_or_else(|| Freshness::of_uncacheable(&self.headers, arrival))
    }

    /// Whether it takes the place of what was kept before, though it may not be kept itself.
    pub(crate) fn replaces_older(&self) -> bool {
        replaces_older(self.status, &self.headers)
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

/// Sends the request and reads the whole answer, of at most `max` bytes, within `limit`. With a
/// `limit` of zero nothing is sent.
///
/// Sent again, after growing pauses, where there was no connection to send it over. A GET is also
/// sent again, once, where the connection was closed before any answer: the origin may have closed
/// a kept-alive connection just then (RFC 9112, section 9.3.1). The origin never sees a POST twice.
///
/// # Errors
/// Whatever is not a 2xx, or not whole.
pub(super) async fn exchange(
    request: &Request<Full<Bytes>>,
    limit: Duration,
    max: usize,
) -> Result<Answer, Failure> {
    if limit.is_zero() {
        return Err(Failure::no_time_left());
    }
    let began = Instant::now();
    let exchange = async {
        let response = connected(request, began + limit).await?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, max).collect().await;
        let status = parts.status;
        if !status.is_success() {
            let status = status.as_u16();
            let body = body.map(|body| body.to_bytes()).map_err(|error| {
                if error.is::<LengthLimitError>() {
                    format!("is longer than {max} bytes")
                } else {
                    "broke off".to_owned()
                }
            });
            return Err(Failure::refused_with(status, parts.headers, body));
        }
        match body {
            Ok(body) => Ok(Answer {
                status,
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
    let mut may_be_closed = request.method() == Method::GET;
    loop {
        let error = match spin_sdk::http::send(request.clone()).await {
            Ok(response) => return Ok(response),
            Err(error) => error,
        };
        if may_be_closed && was_closed(&error) {
            may_be_closed = false;
            continue;
        }
        // One that is not there is down, also where there is no time for another try.
        let in_time = |pause: &Duration| Instant::now() + *pause < deadline;
        match pauses.next().filter(in_time) {
            Some(pause) if nothing_was_sent(&error) => spin_sdk::time::sleep(pause).await,
            _ => {
                let is_unseen = nothing_was_sent(&error);
                let failure = Failure::down("The origin could not be reached", error);
                return Err(failure.unseen(is_unseen));
            }
        }
    }
}

/// Whether the connection was closed before any answer. A host does not tell this from an answer
/// that is not HTTP.
fn was_closed(error: &ErrorCode) -> bool {
    matches!(
        error,
        ErrorCode::ConnectionTerminated
            | ErrorCode::HttpProtocolError
            | ErrorCode::HttpResponseIncomplete
    )
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
