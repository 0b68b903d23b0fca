//! Maps errors of the layers below to HTTP problems. They know no HTTP.

use http::StatusCode;
use serde_json::value::RawValue;

use super::{OriginAnswer, Problem};
use crate::action::{ActionError, ActionErrorKind};
use crate::core::actions::PerformError;
use crate::core::cache::{CacheError, PatchError};
use crate::core::idempotency::ReplayError;
use crate::core::lock::LockError;
use crate::platform::origin::{Failure, FailureKind};
use crate::platform::redis::{RedisError, RedisErrorKind};
use crate::types::error_code::ErrorCode as _;
use crate::types::json;

/// The most that a problem shows of the origin's body: 2 KB.
const SHOWN_BYTES: usize = 2048;

impl From<RedisError> for Problem {
    fn from(error: RedisError) -> Self {
        let became = match error.kind() {
            RedisErrorKind::TimedOut => "; what was asked for may or may not have been done",
            _ => "",
        };
        redis_failure(error, became)
    }
}

/// `became` follows the sentence that says what went wrong.
fn redis_failure(error: RedisError, became: &str) -> Problem {
    let (title, what) = match error.kind() {
        RedisErrorKind::TimedOut => ("Redis too slow", "Redis did not answer in time"),
        _ if error.slot_is_moving() => (
            "Redis unavailable",
            "Redis Cluster is moving the user's keys to another node, which took too long",
        ),
        RedisErrorKind::Unreachable | RedisErrorKind::Refused(_) | RedisErrorKind::Unexpected => (
            "Redis unavailable",
            "Redis could not be reached, or refused",
        ),
    };
    let status = StatusCode::SERVICE_UNAVAILABLE;
    Problem {
        retry_after: Some(1),
        ..Problem::new(status, error.code(), title, format!("{what}{became}")).caused_by(error)
    }
}

/// The problem of a break: it says what became of the lock, too. Whoever breaks it again in doubt
/// may break the next holder's.
pub(crate) fn break_failure(error: RedisError) -> Problem {
    let became = if may_have_been_done(&error) {
        "; the lock may have been broken or not: look at it before you try again"
    } else {
        "; the lock was not broken"
    };
    redis_failure(error, became)
}

/// Whether a script may have been carried out, or begun, although it failed.
pub(crate) fn may_have_been_done(error: &RedisError) -> bool {
    error.is_ambiguous() || error.may_be_half_done()
}

impl From<LockError> for Problem {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Held(by) => Self::lock_held(by),
            LockError::Lost => Self::lock_lost(),
            LockError::Redis(error) => error.into(),
        }
    }
}

/// The problem of a renewal or a release with a token: a lost lock is another owner's.
pub(crate) fn not_lock_owner(error: LockError) -> Problem {
    match error {
        LockError::Lost => Problem::not_lock_owner(),
        error => error.into(),
    }
}

/// The problem of giving up a computing with a token.
pub(crate) fn not_computing(error: LockError) -> Problem {
    match error {
        LockError::Lost => Problem::not_computing(),
        error => error.into(),
    }
}

impl From<CacheError> for Problem {
    fn from(error: CacheError) -> Self {
        match error {
            CacheError::PreconditionFailed => Self::precondition_failed(),
            CacheError::NotComputing => Self::not_computing(),
            CacheError::Redis(error) => error.into(),
            CacheError::Json(error) => Self::internal(error),
        }
    }
}

/// `max_bytes` bounds the merged entry.
pub(crate) fn patch_failure(error: PatchError, max_bytes: usize) -> Problem {
    match error {
        PatchError::Absent => Problem::nothing_cached(),
        PatchError::NotJson => Problem::not_json_cached(),
        PatchError::TooLarge => Problem::merged_too_large(max_bytes),
        PatchError::Overtaken => Problem::overtaken(),
        PatchError::TooMuchToMerge => Problem::too_much_to_merge(),
        PatchError::PreconditionFailed => Problem::precondition_failed(),
        PatchError::Redis(error) => error.into(),
    }
}

impl From<ReplayError> for Problem {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::OtherRequest => Self::idempotency_key_reused(),
            ReplayError::Malformed => Self::strange_answer(),
        }
    }
}

impl From<PerformError<ActionError>> for Problem {
    fn from(error: PerformError<ActionError>) -> Self {
        match error {
            PerformError::Lock(error) => error.into(),
            PerformError::Work(error) => error.into(),
            PerformError::Replay(error) => error.into(),
            PerformError::Json(error) => Self::internal(error),
        }
    }
}

impl From<ActionError> for Problem {
    fn from(error: ActionError) -> Self {
        match error.kind {
            ActionErrorKind::InvalidInput(detail) => Self::malformed_json(detail),
            ActionErrorKind::Origin {
                failure,
                passthrough,
            } => origin_failure(failure, passthrough),
            ActionErrorKind::Rejected {
                status,
                code,
                title,
                detail,
            } => match StatusCode::from_u16(status) {
                Ok(status) => Self::new(status, code, title, detail),
                Err(error) => Self::internal(error),
            },
            ActionErrorKind::Internal(cause) => Self::internal(cause),
        }
    }
}

/// The problem that the caller is told of a failed origin. With `passthrough`, a 4xx or 5xx is told
/// as it is, if all of it is there. The log has a cause for each that is told with a 5xx; what the
/// origin said is no part of it.
pub(crate) fn origin_failure(failure: Failure, passthrough: bool) -> Problem {
    let problem = match failure.kind {
        FailureKind::TimedOut => Problem::origin_too_slow(failure.detail.as_str()),
        _ => Problem::origin_failed(failure.detail.as_str()),
    };
    let status = failure.status().map(StatusCode::from_u16);
    let Some(Ok(status)) = status else {
        return problem.caused_by(failure.cause.unwrap_or(failure.detail));
    };
    let is_error = status.is_client_error() || status.is_server_error();
    let answer = if passthrough && is_error && failure.is_whole {
        OriginAnswer::Verbatim {
            status,
            headers: failure.telling_headers(),
            body: failure.body,
        }
    } else {
        OriginAnswer::Told {
            status,
            body: shown(&failure),
        }
    };
    let problem = problem.answered_by_origin(answer);
    if problem.status().is_server_error() {
        return problem.caused_by(failure.detail);
    }
    problem
}

/// The origin's JSON; of a longer one its beginning, as a string.
fn shown(failure: &Failure) -> Option<Box<RawValue>> {
    if !failure.may_be_json() {
        return None;
    }
    let json = json::parse(&failure.body).ok()?;
    if json.get().len() <= SHOWN_BYTES {
        return Some(json.to_owned());
    }
    let beginning = &json.get()[..json.get().floor_char_boundary(SHOWN_BYTES)];
    serde_json::value::to_raw_value(beginning).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue, header};

    #[test]
    fn json_is_shown_whole_or_by_its_beginning_and_nothing_else_is() {
        let shown = |content_type, body: &str| {
            let body = Bytes::from(body.to_owned());
            let value = HeaderValue::try_from(content_type).ok();
            let headers = value.map(|value| (header::CONTENT_TYPE, value));
            let headers = headers.into_iter().filter(|(_, value)| !value.is_empty());
            let failure = Failure::refused_with(409, headers.collect::<HeaderMap>(), Ok(body));
            shown(&failure).map(|json| json.get().to_owned())
        };
        let json = "application/json";
        assert_eq!(shown(json, "{\"a\": 1}").as_deref(), Some("{\"a\": 1}"));
        assert_eq!(shown("", "{\"a\": 1}").as_deref(), Some("{\"a\": 1}"));
        assert_eq!(shown(json, "{\"a\": 1"), None);
        assert_eq!(shown("text/html", "{}"), None);
        let long = format!("\"{}\"", "\u{e4}".repeat(2000));
        let beginning = shown(json, &long).unwrap_or_default();
        let beginning: String = serde_json::from_str(&beginning).unwrap_or_default();
        assert!(long.starts_with(&beginning) && (2040..=2048).contains(&beginning.len()));
    }
}
