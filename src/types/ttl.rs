//! Times to live and the limits of times.

use std::time::Duration;

use super::seconds::{SecondsError, parse_seconds};

/// The longest time to live of anything stored: 30 days, in milliseconds.
pub const MAX_TTL_MS: u64 = 2_592_000_000;

/// The shortest time to live of anything stored: one millisecond.
pub const MIN_TTL_MS: u64 = 1;

/// The longest that a request may wait for a lock: 60 seconds, in milliseconds.
pub const MAX_WAIT_MS: u64 = 60_000;

/// A time to live: 1 millisecond to 30 days, in whole milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ttl(u64);

impl Ttl {
    /// A time to live from a duration, rounded up to a millisecond. `None` outside of 1 ms to 30 days.
    pub fn new(duration: Duration) -> Option<Self> {
        let ms = duration.as_nanos().div_ceil(1_000_000);
        let ms = u64::try_from(ms).ok()?;
        (MIN_TTL_MS..=MAX_TTL_MS).contains(&ms).then_some(Self(ms))
    }

    /// A time to live in milliseconds, brought within 1 ms and 30 days.
    pub fn of_millis(ms: u64) -> Self {
        Self(ms.clamp(MIN_TTL_MS, MAX_TTL_MS))
    }

    /// Reads decimal seconds, 0.001 to 2 592 000.
    ///
    /// # Errors
    /// As [`parse_seconds`].
    pub fn parse(text: &str) -> Result<Self, SecondsError> {
        parse_seconds(text, MIN_TTL_MS, MAX_TTL_MS).map(|ttl| Self(ttl.as_millis() as u64))
    }

    /// Milliseconds, as Redis' `PX` takes them.
    pub fn as_millis(self) -> u64 {
        self.0
    }

    /// As a duration.
    pub fn as_duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}
