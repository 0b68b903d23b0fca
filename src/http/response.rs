//! Answers as they are handed over and sent.

use bytes::Bytes;
use http::StatusCode;

/// The body of an answer: whole, since its length is told before it.
pub type Body = Bytes;

/// An answer as it is sent.
pub type Response = http::Response<Body>;

/// An answer and what the request came to.
pub struct Answer {
    pub(super) response: Response,
    pub(super) outcome: Outcome,
}

/// What a request came to that did not end in a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// What was asked for was done.
    Success,
    /// It was done under an earlier request with the same `Idempotency-Key`.
    Replayed,
    /// `attempt-action` did not get the lock.
    LockHeld,
}

impl Outcome {
    /// Its name in the log and in spans.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Replayed => "replayed",
            Self::LockHeld => "lock-held",
        }
    }
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        Self {
            response,
            outcome: Outcome::Success,
        }
    }
}

/// An answer without a body.
pub fn empty(status: StatusCode) -> Response {
    let mut response = Response::default();
    *response.status_mut() = status;
    response
}
