//! Everything that can be answered instead of a result, as RFC 9457 problem details.
//!
//! A handler returns a [`Problem`]; [`body`] renders it, where the request's path is known. What
//! the caller gets to read is fixed here; the cause goes to the log and nowhere else.

mod body;
mod errors;
mod kinds;
mod of_origin;

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Serialize;

use super::response::Undelivered;
use crate::core::lock::HeldBy;

#[cfg(not(target_family = "wasm"))]
pub(crate) use body::Members;
pub(crate) use errors::{
    break_failure, may_have_been_done, not_computing, not_lock_owner, origin_failure, patch_failure,
};
pub(crate) use of_origin::OriginAnswer;

/// A request that has no result, and why.
#[derive(Debug, Clone)]
pub struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) slug: &'static str,
    pub(crate) title: &'static str,
    pub(crate) detail: Box<str>,
    pub(crate) errors: Box<[InputFault]>,
    /// `Retry-After`, in whole seconds.
    pub(crate) retry_after: Option<u32>,
    /// Who has the lock, where that is the problem.
    pub(crate) held_by: Option<Box<HeldBy>>,
    /// What the origin answered, where that is the problem.
    pub(crate) origin: Option<Box<OriginAnswer>>,
    /// For the log alone.
    pub(crate) cause: Option<Box<str>>,
    /// Whose doing it is, for the log alone.
    pub(crate) blame: Blame,
    more: Option<Box<More>>,
}

/// Whose doing a problem is, where that decides whether the log has a line of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blame {
    /// That of the service, of Redis or of the origin if there is a cause, else nobody's.
    AsCaused,
    /// The service refused the caller, whose token is missing, wrong or not enough, or whose page
    /// is another site's. What an origin or an action refuses is not meant.
    Refused,
    /// The client did what it must not. The cause says more, but is no reason for a line.
    Client,
}

/// What few problems have. It is apart, since a problem is small.
#[derive(Debug, Clone, Default)]
struct More {
    /// Further headers of the answer.
    headers: HeaderMap,
    undelivered: Option<Undelivered>,
}

/// One fault of a request, in the shape that FastAPI gives them.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
#[cfg_attr(not(target_family = "wasm"), derive(utoipa::ToSchema))]
pub struct InputFault {
    /// Where it is: `["query", "user_id"]`.
    #[cfg_attr(not(target_family = "wasm"), schema(min_items = 2, max_items = 2))]
    pub(crate) loc: [String; 2],
    /// What is wrong, for a person.
    pub(crate) msg: String,
    /// What is wrong, for a program.
    pub(crate) r#type: &'static str,
}

impl Problem {
    /// A problem of a service's own. `slug` becomes `urn:edgelatch:<slug>`; `title` is the same for
    /// all of its kind, `detail` is about this one. Both are shown to the caller.
    pub(crate) fn new(
        status: StatusCode,
        slug: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            status,
            slug,
            title,
            detail: detail.into().into_boxed_str(),
            errors: Box::default(),
            retry_after: None,
            held_by: None,
            origin: None,
            cause: None,
            blame: Blame::AsCaused,
            more: None,
        }
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        let more = self.more.get_or_insert_default();
        more.headers.insert(name, value);
        self
    }

    /// Says what to do if the answer can't be delivered.
    #[must_use]
    pub(crate) fn or_undo(mut self, undelivered: Undelivered) -> Self {
        let more = self.more.get_or_insert_default();
        more.undelivered = Some(undelivered);
        self
    }

    /// Marks this as a refusal by the service itself.
    #[must_use]
    fn refusing(self) -> Self {
        Self {
            blame: Blame::Refused,
            ..self
        }
    }

    /// Adds what the client did, for the log. No line is written for it alone.
    #[must_use]
    pub(crate) fn by_client(self, what: impl ToString) -> Self {
        Self {
            blame: Blame::Client,
            ..self.caused_by(what)
        }
    }

    /// Adds what goes to the log with the request's id, and nowhere else.
    #[must_use]
    pub(crate) fn caused_by(mut self, cause: impl ToString) -> Self {
        self.cause = Some(cause.to_string().into_boxed_str());
        self
    }
}

/// When it is worth trying again: the holder's remaining time in whole seconds, rounded up, and at
/// least 1; 1 where the holder's key has no expiry (RFC 9110, section 10.2.3).
pub(crate) fn retry_after_seconds(remaining: Option<Duration>) -> u32 {
    let seconds = remaining.map_or(1, |left| left.as_millis().div_ceil(1000).max(1));
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_rounded_up_and_at_least_one() {
        for (ms, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (9_999, 10)] {
            let remaining = Some(Duration::from_millis(ms));
            assert_eq!(retry_after_seconds(remaining), seconds, "{ms} ms");
        }
        assert_eq!(retry_after_seconds(None), 1);
    }

    #[test]
    fn the_cause_is_not_rendered() {
        let body = Problem::internal("redis://:secret@host").body("/x");
        let body = String::from_utf8_lossy(&body).into_owned();
        assert!(!body.contains("secret"), "{body}");
        assert!(
            body.starts_with(r#"{"type":"urn:edgelatch:internal","title":"#),
            "{body}"
        );
    }
}
