//! The headers that every answer carries, whichever component gives it: **one more of them goes
//! here.**

use http::{HeaderName, HeaderValue, StatusCode, header};

use super::response::Response;
use crate::platform::telemetry::Timings;
use crate::types::header_names::X_REQUEST_ID;
use crate::types::request_id::RequestId;

/// What is answered outside the pages is no page: nothing in it may run or be framed.
const NOTHING: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// How long the parts of a request took (<https://www.w3.org/TR/server-timing/>).
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Adds them.
pub(super) fn add(response: &mut Response, id: &RequestId, timings: Timings) {
    let (status, length) = (response.status(), response.body().len());
    let headers = response.headers_mut();
    match status {
        // These two must not say a length that is not the content's (RFC 9110, section 8.6).
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => {}
        _ if headers.contains_key(header::CONTENT_LENGTH) => {}
        _ => {
            headers.insert(header::CONTENT_LENGTH, length.into());
        }
    }
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    for (name, default) in [
        (header::CONTENT_SECURITY_POLICY, NOTHING),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ] {
        headers.entry(name).or_insert(default);
    }
    headers.insert(X_REQUEST_ID, id.header().clone());
    if let Ok(timings) = HeaderValue::try_from(server_timing(timings)) {
        headers.insert(SERVER_TIMING, timings);
    }
}

/// The value of `Server-Timing`, in milliseconds.
fn server_timing(timings: Timings) -> String {
    // Every answer has this header, and `format!` takes several times as long.
    let mut text = String::with_capacity(64);
    for (name, duration) in [
        ("redis;dur=", timings.redis),
        (", wait;dur=", timings.wait),
        (", action;dur=", timings.action),
    ] {
        let us = duration.as_micros() as u64;
        text.push_str(name);
        text.push_str(&(us / 1000).to_string());
        text.push('.');
        for unit in [100, 10, 1] {
            text.push(char::from(b'0' + (us / unit % 10) as u8));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn timings_are_in_milliseconds() {
        let timings = Timings {
            redis: Duration::from_micros(412),
            wait: Duration::ZERO,
            action: Duration::from_secs(2),
        };
        assert_eq!(
            server_timing(timings),
            "redis;dur=0.412, wait;dur=0.000, action;dur=2000.000"
        );
    }
}
