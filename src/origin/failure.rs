//! What the origin did instead of answering, as a thing that can be kept and shared.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::value::RawValue;

use crate::body::is_json;
use crate::json;
use crate::problem::{OriginAnswer, Problem};

/// The most that a problem shows of what the origin said: 2 KB.
const SHOWN_BYTES: usize = 2048;

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// It can't be reached, or broke off.
    Down,
    /// It was too slow.
    TimedOut,
    /// It answered with this status, which is not a 2xx.
    Refused(StatusCode),
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
    pub(crate) headers: Box<HeaderMap>,
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

    pub(crate) fn timed_out(limit: Duration) -> Self {
        let problem = Problem::origin_timeout(limit);
        Self::new(FailureKind::TimedOut, problem.detail)
    }

    pub(super) fn unusable(detail: impl Into<String>) -> Self {
        Self::new(FailureKind::Unusable, detail)
    }

    /// It answered with a status that is not a 2xx.
    pub(crate) fn refused(status: StatusCode, headers: HeaderMap, body: Bytes) -> Self {
        let detail = format!("The origin answered with status {}", status.as_u16());
        Self {
            headers: Box::new(headers),
            body,
            ..Self::new(FailureKind::Refused(status), detail)
        }
    }

    /// Whether the origin is down, in the sense of RFC 5861 (section 4): it can't be reached, is too slow, or answers with a 5xx.
    pub(crate) fn is_down(&self) -> bool {
        match self.kind {
            FailureKind::Down | FailureKind::TimedOut => true,
            FailureKind::Refused(status) => status.is_server_error(),
            FailureKind::Unusable => false,
        }
    }

    /// The status that it answered with, if it did.
    pub(crate) fn status(&self) -> Option<StatusCode> {
        match self.kind {
            FailureKind::Refused(status) => Some(status),
            _ => None,
        }
    }

    /// The type that the origin gave its body.
    pub(crate) fn content_type(&self) -> Option<&HeaderValue> {
        self.headers.get(header::CONTENT_TYPE)
    }

    /// The problem that the caller is told. With `passthrough`, a 4xx or 5xx is told as it is.
    pub(crate) fn problem(self, passthrough: bool) -> Problem {
        let problem = match self.kind {
            FailureKind::TimedOut => Problem::origin_too_slow(self.detail.as_str()),
            _ => Problem::origin_failed(self.detail.as_str()),
        };
        let Some(status) = self.status() else {
            return match self.cause {
                Some(cause) => problem.caused_by(cause),
                None => problem,
            };
        };
        let is_error = status.is_client_error() || status.is_server_error();
        let answer = if passthrough && is_error {
            OriginAnswer::Verbatim {
                status,
                content_type: self.content_type().cloned(),
                body: self.body,
            }
        } else {
            OriginAnswer::Told {
                status,
                body: self.shown(),
            }
        };
        problem.answered_by_origin(answer)
    }

    /// Its JSON; of a longer one its beginning, as a string.
    fn shown(&self) -> Option<Box<RawValue>> {
        if !self.content_type().is_some_and(is_json) {
            return None;
        }
        let json = json::parse(&self.body).ok()?;
        if json.get().len() <= SHOWN_BYTES {
            return Some(json.to_owned());
        }
        let beginning = &json.get()[..json.get().floor_char_boundary(SHOWN_BYTES)];
        serde_json::value::to_raw_value(beginning).ok()
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        failure.problem(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(content_type: &'static str, body: &str) -> Option<String> {
        let content_type = HeaderValue::from_static(content_type);
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, content_type)]);
        let body = Bytes::from(body.to_owned());
        let failure = Failure::refused(StatusCode::CONFLICT, headers, body);
        failure.shown().map(|json| json.get().to_owned())
    }

    #[test]
    fn json_is_shown_whole_or_by_its_beginning_and_nothing_else_is() {
        let json = "application/json";
        assert_eq!(shown(json, "{\"a\": 1}").as_deref(), Some("{\"a\": 1}"));
        assert_eq!(shown(json, "{\"a\": 1"), None);
        assert_eq!(shown("text/html", "{}"), None);
        let long = format!("\"{}\"", "\u{e4}".repeat(2000));
        let beginning = shown(json, &long).unwrap_or_default();
        let beginning: String = serde_json::from_str(&beginning).unwrap_or_default();
        assert!(long.starts_with(&beginning) && (2040..=2048).contains(&beginning.len()));
    }

    #[test]
    fn only_what_can_be_over_tomorrow_is_down() {
        let refused = |status| Failure::refused(status, HeaderMap::new(), Bytes::new());
        assert!(refused(StatusCode::SERVICE_UNAVAILABLE).is_down());
        assert!(!refused(StatusCode::NOT_FOUND).is_down());
        assert!(!refused(StatusCode::FOUND).is_down());
        assert!(Failure::timed_out(Duration::from_secs(1)).is_down());
        assert!(!Failure::unusable("x").is_down());
    }
}
