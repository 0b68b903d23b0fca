//! Times to live: their limits, and the defaults that are no variables. The defaults of variables
//! (`lock_expire`, `cache_expire` and others) are in `spin.toml`, as Spin has it.

use std::time::Duration;

use super::seconds::{SecondsError, parse_seconds};

/// The longest time to live of anything stored: 30 days, in milliseconds.
pub(crate) const MAX_TTL_MS: u64 = 2_592_000_000;

/// The shortest time to live of anything stored: one millisecond.
pub(crate) const MIN_TTL_MS: u64 = 1;

/// How long the result of the last action is kept by default: an hour, in milliseconds.
pub(crate) const LAST_ACTION_TTL_MS: u64 = 3_600_000;

/// How long the lock of a fetch from the origin lives without renewal at most, in milliseconds: that
/// is how long others wait for an instance that died.
pub(crate) const FETCH_LOCK_TTL_MS: u64 = 3000;

/// The longest that a request may wait for a lock: 60 seconds, in milliseconds.
pub(crate) const MAX_WAIT_MS: u64 = 60_000;

/// A time to live: 1 millisecond to 30 days, in whole milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ttl(u64);

impl Ttl {
    /// A time to live from a duration, rounded up to a millisecond. `None` outside of 1 ms to 30
    /// days.
    pub fn new(duration: Duration) -> Option<Self> {
        let ms = duration.as_nanos().div_ceil(1_000_000);
        let ms = u64::try_from(ms).ok()?;
        (MIN_TTL_MS..=MAX_TTL_MS).contains(&ms).then_some(Self(ms))
    }

    /// A time to live in milliseconds, brought within 1 ms and 30 days.
    pub const fn of_millis(ms: u64) -> Self {
        if ms < MIN_TTL_MS {
            Self(MIN_TTL_MS)
        } else if ms > MAX_TTL_MS {
            Self(MAX_TTL_MS)
        } else {
            Self(ms)
        }
    }

    /// Reads decimal seconds, 0.001 to 2 592 000.
    ///
    /// # Errors
    /// As [`parse_seconds`].
    pub(crate) fn parse(text: &str) -> Result<Self, SecondsError> {
        parse_seconds(text, MIN_TTL_MS, MAX_TTL_MS).map(|ttl| Self(ttl.as_millis() as u64))
    }

    /// Milliseconds, as Redis' `PX` takes them.
    pub(crate) fn as_millis(self) -> u64 {
        self.0
    }

    /// As a duration.
    pub fn as_duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::seconds::display_seconds;
    use proptest::prelude::*;

    fn ttl_ms(text: &str) -> Result<u64, SecondsError> {
        Ttl::parse(text).map(Ttl::as_millis)
    }

    #[test]
    fn bounds_are_checked_as_written_and_before_rounding() {
        assert_eq!(ttl_ms("0.001"), Ok(1));
        assert_eq!(ttl_ms("0.0011"), Ok(2));
        assert_eq!(ttl_ms("0.0009"), Err(SecondsError::TooSmall(1)));
        assert_eq!(ttl_ms("2592000"), Ok(MAX_TTL_MS));
        assert_eq!(ttl_ms("2592000.000"), Ok(MAX_TTL_MS));
        assert_eq!(
            ttl_ms("2592000.0000001"),
            Err(SecondsError::TooLarge(MAX_TTL_MS))
        );
    }

    #[test]
    fn only_digits_with_optional_decimals_are_numbers() {
        for text in [
            "", ".", "1.", ".5", "-1", "+1", "1e3", "NaN", "inf", " 1", "1 ", "1_0", "0x1", "١",
            "1.2.3", "1,5",
        ] {
            assert_eq!(ttl_ms(text), Err(SecondsError::NotANumber), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_never_leaves_its_bounds(text in "\\PC{0,40}|[0-9]{1,40}(\\.[0-9]{1,40})?") {
            if let Ok(value) = parse_seconds(&text, 5, 60_000) {
                prop_assert!((5..=60_000).contains(&(value.as_millis() as u64)));
            }
        }

        #[test]
        fn whole_milliseconds_survive_a_round_trip(ms in 1u64..=MAX_TTL_MS) {
            prop_assert_eq!(ttl_ms(&display_seconds(ms)), Ok(ms));
        }

        #[test]
        fn rounds_up_and_by_less_than_a_millisecond(seconds in 0u64..1000, digits in "[0-9]{4,12}") {
            let text = format!("{seconds}.{digits}");
            if let Ok(ms) = ttl_ms(&text) {
                let floor = seconds * 1000 + digits[..3].parse::<u64>().unwrap_or(0);
                let exact = digits[3..].bytes().all(|digit| digit == b'0');
                prop_assert_eq!(ms, floor + u64::from(!exact));
            }
        }
    }
}
