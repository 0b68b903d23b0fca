//! What the errors below the edge are to a caller: they know no HTTP, and this is where they learn it.

use http::StatusCode;

use super::Problem;
use crate::json_cache::CacheError;
use crate::lock::LockError;
use crate::redis_error::{RedisError, RedisErrorKind};

impl From<RedisError> for Problem {
    fn from(error: RedisError) -> Self {
        let problem = match error.kind() {
            RedisErrorKind::TimedOut => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "redis-timeout",
                "Redis too slow",
                "Redis did not answer in time; what was asked for may or may not have been done",
            ),
            RedisErrorKind::Unreachable
            | RedisErrorKind::Refused(_)
            | RedisErrorKind::Unexpected => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "redis-unavailable",
                "Redis unavailable",
                "Redis could not be reached, or refused",
            ),
        };
        Self {
            retry_after: Some(1),
            ..problem.caused_by(error)
        }
    }
}

impl From<LockError> for Problem {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Held { remaining } => Self::lock_held(remaining),
            LockError::Lost => Self::lock_lost(),
            LockError::Redis(error) => error.into(),
        }
    }
}

impl From<CacheError> for Problem {
    fn from(error: CacheError) -> Self {
        match error {
            CacheError::PreconditionFailed => Self::precondition_failed(),
            CacheError::Redis(error) => error.into(),
            CacheError::Json(error) => Self::internal(error),
        }
    }
}
