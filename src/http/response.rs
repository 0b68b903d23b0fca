//! Answers as they are handed over and sent.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;

/// The body of an answer: whole, since its length is told before it.
pub(crate) type Body = Bytes;

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

/// What to do where an answer can't be delivered, because its client has hung up. An extension of a
/// [`Response`] that has a body.
#[derive(Clone)]
pub(crate) struct Undelivered(Arc<dyn Fn() + Send + Sync>);

impl Undelivered {
    /// Notes what to do.
    pub(crate) fn new(undo: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(undo))
    }

    /// Does it.
    pub(super) fn undo(&self) {
        (self.0)();
    }
}

impl fmt::Debug for Undelivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Undelivered")
    }
}

/// An answer without a body.
pub fn empty(status: StatusCode) -> Response {
    let mut response = Response::default();
    *response.status_mut() = status;
    response
}
