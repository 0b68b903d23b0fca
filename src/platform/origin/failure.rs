//! What the origin did instead of answering, as a thing that can be kept and shared.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode, header};

use super::freshness::{Arrival, Defaults, Freshness, freshness};
use super::kept_headers::KeptHeaders;
use crate::types::error_code::ErrorCode;
use crate::types::media_type::is_json;
use crate::types::seconds::display_seconds;

/// The headers of a failure that its body can't be read without, or that say what to do about it.
const TELLING: [HeaderName; 7] = [
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::RETRY_AFTER,
    header::WWW_AUTHENTICATE,
    header::ALLOW,
    header::LINK,
];

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
    /// Whether `body` is all of it.
    pub(crate) is_whole: bool,
    /// Whether the origin has surely not seen the request.
    is_unseen: bool,
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
            is_whole: true,
            is_unseen: false,
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
        Self::down("The origin can't be asked for this user", cause).unseen(true)
    }

    /// This failure, and whether the origin has surely not seen the request.
    pub(super) fn unseen(self, is_unseen: bool) -> Self {
        Self { is_unseen, ..self }
    }

    /// No answer within `limit`.
    pub(crate) fn timed_out(limit: Duration) -> Self {
        let seconds = display_seconds(limit.as_millis() as u64);
        let detail = format!("The origin did not answer within {seconds} s");
        Self::new(FailureKind::TimedOut, detail)
    }

    /// The request for which it would be asked has no time left.
    pub(crate) fn no_time_left() -> Self {
        let detail = "There was no time left to ask the origin";
        Self::new(FailureKind::TimedOut, detail).unseen(true)
    }

    pub(super) fn unusable(detail: impl Into<String>) -> Self {
        Self::new(FailureKind::Unusable, detail)
    }

    /// It answered with a status that is not a 2xx, with these headers and this body; or why the
    /// body is not whole.
    pub(crate) fn refused_with(
        status: u16,
        headers: impl Into<HeaderMap>,
        body: Result<Bytes, String>,
    ) -> Self {
        let mut detail = format!("The origin answered with status {status}");
        if let Err(why) = &body {
            detail.push_str(&format!(", and its body {why}"));
        }
        Self {
            headers: Box::new(headers.into()),
            is_whole: body.is_ok(),
            body: body.unwrap_or_default(),
            ..Self::new(FailureKind::Refused(status), detail)
        }
    }

    /// This failure, with these headers and this body.
    #[must_use]
    pub(crate) fn with_body(self, headers: &KeptHeaders, body: Bytes) -> Self {
        Self {
            headers: Box::new(headers.into()),
            body,
            ..self
        }
    }

    /// Whether the origin is down, in the sense of RFC 5861 (section 4): it can't be reached, is
    /// too slow, or answers with a 5xx; or it answers with what is no answer, as a page that asks
    /// for a login is, or the redirect to it.
    pub(crate) fn is_down(&self) -> bool {
        match self.kind {
            FailureKind::Down | FailureKind::TimedOut | FailureKind::Unusable => true,
            FailureKind::Refused(status) => !(400..500).contains(&status),
        }
    }

    /// Whether the origin, or a backend behind a gateway there, may still be at work on what it was
    /// asked for. A gateway that gave up waiting says so with a 408, a 499 or any 5xx; with a 500
    /// or a 501 the origin itself says that it failed.
    pub(crate) fn may_go_on(&self) -> bool {
        match self.kind {
            FailureKind::Down | FailureKind::TimedOut => !self.is_unseen,
            FailureKind::Refused(status) => matches!(status, 408 | 499 | 502..),
            FailureKind::Unusable => false,
        }
    }

    /// Whether it may be due to the headers of this one caller (RFC 6585, section 5).
    pub(crate) fn is_callers_own(&self) -> bool {
        let too_large = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        self.status() == Some(too_large.as_u16())
    }

    /// Whether the origin was too slow.
    pub(crate) fn is_timeout(&self) -> bool {
        self.kind == FailureKind::TimedOut
    }

    /// Whether the request had no time left when the origin would have been asked.
    pub(crate) fn came_late(&self) -> bool {
        self.is_timeout() && self.is_unseen
    }

    /// Whether the origin knows no such user, or none any more.
    pub(crate) fn is_not_found(&self) -> bool {
        let statuses = [StatusCode::NOT_FOUND, StatusCode::GONE].map(|status| status.as_u16());
        self.status()
            .is_some_and(|status| statuses.contains(&status))
    }

    /// The status that it answered with, if it did.
    pub(crate) fn status(&self) -> Option<u16> {
        match self.kind {
            FailureKind::Refused(status) => Some(status),
            _ => None,
        }
    }

    /// The headers that are kept with it.
    pub(crate) fn kept_headers(&self) -> KeptHeaders {
        KeptHeaders::from(&self.telling_headers())
    }

    /// Those of its headers that its body can't be read without, or that say what to do about it.
    pub(crate) fn telling_headers(&self) -> HeaderMap {
        let named = |name: HeaderName| {
            let values = self.headers.get_all(&name).iter().cloned();
            values.map(move |value| (name.clone(), value))
        };
        TELLING.into_iter().flat_map(named).collect()
    }

    /// Whether its body may be JSON: the origin says so, or nothing else.
    pub(crate) fn may_be_json(&self) -> bool {
        let content_type = self.headers.get(header::CONTENT_TYPE);
        content_type.is_none_or(is_json) && !self.headers.contains_key(header::CONTENT_ENCODING)
    }

    /// How the answer may be kept; an error if it may not.
    pub(crate) fn freshness(
        &self,
        defaults: &Defaults,
        arrival: Arrival,
    ) -> Result<Freshness, Freshness> {
        let status = self.status().map(StatusCode::from_u16);
        let freshness = match status {
            Some(Ok(status)) => freshness(status, &self.headers, defaults, arrival),
            _ => None,
        };
        freshness.ok_or_else(|| Freshness::of_uncacheable(&self.headers, arrival))
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
        let none = HeaderMap::new();
        let refused = |status| Failure::refused_with(status, none.clone(), Ok(Bytes::new()));
        assert!(refused(503).is_down());
        assert!(!refused(404).is_down());
        // No answer at all: a redirect to a login page, or that page.
        assert!(refused(302).is_down());
        assert!(Failure::timed_out(Duration::from_secs(1)).is_down());
        assert!(Failure::unusable("x").is_down());
    }
}
