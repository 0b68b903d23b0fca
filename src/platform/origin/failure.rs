//! What the origin did instead of answering, as a thing that can be kept and shared.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::cache_control::{Defaults, Freshness, freshness};
use crate::types::error_code::ErrorCode;
use crate::types::media_type::is_json;
use crate::types::seconds::display_seconds;

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// It can't be reached, or broke off.
    Down,
    /// It was too slow.
    TimedOut,
    /// It answered with this status, which is not a 2xx.
    Refused(u16),
    /// It answered with what is no answer: not JSON, or too long.
    Unusable,
}

/// A failure of the origin.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    /// Its kind.
    pub(crate) kind: FailureKind,
    /// What the caller is told of it.
    pub(crate) detail: String,
    /// The headers that it answered with.
    headers: Box<HeaderMap>,
    /// What the origin said with its status.
    pub(crate) body: Bytes,
    /// For the log alone.
    pub(crate) cause: Option<String>,
}

impl Failure {
    /// A failure without an answer. `detail` is what the caller is told.
    pub(crate) fn new(kind: FailureKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            headers: Box::default(),
            body: Bytes::new(),
            cause: None,
        }
    }

    pub(super) fn down(detail: &str, cause: impl ToString) -> Self {
        Self {
            cause: Some(cause.to_string()),
            ..Self::new(FailureKind::Down, detail)
        }
    }

    /// It had no chance: the settings make no request of this.
    pub(super) fn unsendable(cause: impl ToString) -> Self {
        Self::down("The origin can't be asked for this user", cause)
    }

    /// No answer within `limit`.
    pub(crate) fn timed_out(limit: Duration) -> Self {
        let seconds = display_seconds(limit.as_millis() as u64);
        let detail = format!("The origin did not answer within {seconds} s");
        Self::new(FailureKind::TimedOut, detail)
    }

    pub(super) fn unusable(detail: impl Into<String>) -> Self {
        Self::new(FailureKind::Unusable, detail)
    }

    /// It answered with a status that is not a 2xx, and with a body of this type.
    pub(crate) fn refused(status: u16, content_type: Option<&str>, body: Bytes) -> Self {
        let value = content_type.and_then(|text| HeaderValue::try_from(text).ok());
        let headers = value.map(|value| (header::CONTENT_TYPE, value));
        Self::refused_with(status, headers.into_iter().collect(), body)
    }

    /// The same, with all headers that it answered with.
    pub(super) fn refused_with(status: u16, headers: HeaderMap, body: Bytes) -> Self {
        let detail = format!("The origin answered with status {status}");
        Self {
            headers: Box::new(headers),
            body,
            ..Self::new(FailureKind::Refused(status), detail)
        }
    }

    /// This failure, with a body of this type.
    #[must_use]
    pub(crate) fn with_body(self, content_type: Option<&str>, body: Bytes) -> Self {
        let Self { headers, .. } = Self::refused(0, content_type, Bytes::new());
        Self {
            headers,
            body,
            ..self
        }
    }

    /// Whether the origin is down, in the sense of RFC 5861 (section 4): it can't be reached, is
    /// too slow, or answers with a 5xx.
    pub(crate) fn is_down(&self) -> bool {
        match self.kind {
            FailureKind::Down | FailureKind::TimedOut => true,
            FailureKind::Refused(status) => (500..600).contains(&status),
            FailureKind::Unusable => false,
        }
    }

    /// Whether the origin knows no such user.
    pub(crate) fn is_not_found(&self) -> bool {
        self.status() == Some(StatusCode::NOT_FOUND.as_u16())
    }

    /// The status that it answered with, if it did.
    pub(crate) fn status(&self) -> Option<u16> {
        match self.kind {
            FailureKind::Refused(status) => Some(status),
            _ => None,
        }
    }

    /// The type that the origin gave its body.
    pub(crate) fn content_type(&self) -> Option<&str> {
        self.headers.get(header::CONTENT_TYPE)?.to_str().ok()
    }

    /// The same, as a header's value.
    pub(crate) fn content_type_header(&self) -> Option<HeaderValue> {
        self.headers.get(header::CONTENT_TYPE).cloned()
    }

    /// Whether the origin says that its body is JSON.
    pub(crate) fn has_json_type(&self) -> bool {
        let content_type = self.headers.get(header::CONTENT_TYPE);
        content_type.is_some_and(is_json)
    }

    /// How the answer may be kept from `now` on; `None` if it may not.
    pub(crate) fn freshness(&self, defaults: &Defaults, now: SystemTime) -> Option<Freshness> {
        freshness(&self.headers, defaults, now)
    }
}

impl ErrorCode for Failure {
    fn code(&self) -> &'static str {
        match self.kind {
            FailureKind::TimedOut => "origin-timeout",
            FailureKind::Down | FailureKind::Refused(_) | FailureKind::Unusable => "origin-failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_over_tomorrow_is_down() {
        let refused = |status| Failure::refused(status, None, Bytes::new());
        assert!(refused(503).is_down());
        assert!(!refused(404).is_down());
        assert!(!refused(302).is_down());
        assert!(Failure::timed_out(Duration::from_secs(1)).is_down());
        assert!(!Failure::unusable("x").is_down());
    }
}
