//! Why there is no lock.

use std::fmt;

use super::HeldBy;
use crate::platform::redis::RedisError;
use crate::types::error_code::ErrorCode;

/// Why there is no lock, or no longer.
#[derive(Debug, Clone)]
pub enum LockError {
    /// Somebody else holds it, also after any waiting.
    Held(HeldBy),
    /// It was ours, and it expired, was taken, or was held for as long as allowed.
    Lost,
    /// Redis failed.
    Redis(RedisError),
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held(_) => f.write_str("the lock is held by someone else"),
            Self::Lost => f.write_str("the lock was lost"),
            Self::Redis(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for LockError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Redis(error) => Some(error),
            _ => None,
        }
    }
}

impl ErrorCode for LockError {
    fn code(&self) -> &'static str {
        match self {
            Self::Held(_) => "lock-held",
            Self::Lost => "lock-lost",
            Self::Redis(error) => error.code(),
        }
    }
}

impl From<RedisError> for LockError {
    fn from(error: RedisError) -> Self {
        Self::Redis(error)
    }
}
