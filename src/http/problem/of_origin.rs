//! Problems that are the origin's.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::value::RawValue;

use super::Problem;

/// An answer of the origin that is not a 2xx.
#[derive(Debug, Clone)]
pub(crate) enum OriginAnswer {
    /// A problem of this service tells of it.
    Told {
        /// Its status.
        status: StatusCode,
        /// Its JSON.
        body: Option<Box<RawValue>>,
    },
    /// It is passed on as it is.
    Verbatim {
        /// Its status.
        status: StatusCode,
        /// Those of its headers that tell of the body, or what to do.
        headers: HeaderMap,
        /// Its body.
        body: Bytes,
    },
}

impl Problem {
    /// 404: there is no origin to read from.
    pub(crate) fn no_origin() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "no-origin",
            "No origin",
            "Users are read from an origin, and this service has none: its variable `origin` is not set",
        )
    }

    /// 502: the origin answered with a failure, or with something that is no answer, or could not
    /// be reached.
    pub(crate) fn origin_failed(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_GATEWAY,
            "origin-failed",
            "Origin failed",
            detail,
        )
    }

    /// 504: the origin was too slow.
    pub(crate) fn origin_too_slow(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            "origin-timeout",
            "Origin too slow",
            detail,
        )
    }

    /// Adds what the origin answered.
    #[must_use]
    pub(crate) fn answered_by_origin(self, answer: OriginAnswer) -> Self {
        Self {
            origin: Some(Box::new(answer)),
            ..self
        }
    }
}
