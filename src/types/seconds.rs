//! Durations as people write them: decimal seconds, read exactly.
//!
//! Owns the one grammar for durations, of query parameters and of variables alike: digits with an
//! optional `.digits`. No sign, no exponent, no unit. The value is compared with its bounds as it
//! was written and only then rounded up to a whole millisecond, the finest time that Redis keeps.

use std::time::Duration;

/// Why a text is not a duration within its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SecondsError {
    /// Not digits with an optional `.digits`.
    NotANumber,
    /// Below the least value allowed (milliseconds).
    TooSmall(u64),
    /// Above the greatest value allowed (milliseconds).
    TooLarge(u64),
}

/// Reads decimal seconds between `min_ms` and `max_ms` (milliseconds, both included).
///
/// A value finer than a millisecond is rounded up, so that what was asked for is never cut short.
///
/// # Errors
/// [`SecondsError`] says whether the text is no number or which bound it breaks. Leading zeros and
/// any number of digits are accepted; nothing overflows.
pub(crate) fn parse_seconds(
    text: &str,
    min_ms: u64,
    max_ms: u64,
) -> Result<Duration, SecondsError> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) if is_digits(fraction) => (whole, fraction),
        Some(_) => return Err(SecondsError::NotANumber),
        None => (text, ""),
    };
    if !is_digits(whole) {
        return Err(SecondsError::NotANumber);
    }
    // A number too long for u64 is beyond every bound that this service has.
    let Some(floor_ms) = floor_millis(whole, fraction) else {
        return Err(SecondsError::TooLarge(max_ms));
    };
    let finer = fraction.bytes().skip(3).any(|digit| digit != b'0');
    if floor_ms < min_ms {
        return Err(SecondsError::TooSmall(min_ms));
    }
    if floor_ms > max_ms || (floor_ms == max_ms && finer) {
        return Err(SecondsError::TooLarge(max_ms));
    }
    Ok(Duration::from_millis(floor_ms + u64::from(finer)))
}

/// Whole milliseconds as the JSON number of seconds that reads as they do: 1.997, where
/// [`Duration::as_secs_f64`] adds a fraction to the seconds and gives 1.9969999999999999.
pub(crate) fn json_seconds(time: Duration) -> f64 {
    time.as_millis() as f64 / 1000.0
}

/// Milliseconds as decimal seconds without trailing zeros, for messages.
pub(crate) fn display_seconds(ms: u64) -> String {
    let text = format!("{}.{:03}", ms / 1000, ms % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn floor_millis(whole: &str, fraction: &str) -> Option<u64> {
    let seconds: u64 = match whole.trim_start_matches('0') {
        "" => 0,
        digits => digits.parse().ok()?,
    };
    let thousandths = fraction
        .bytes()
        .chain(std::iter::repeat(b'0'))
        .take(3)
        .fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    seconds.checked_mul(1000)?.checked_add(thousandths)
}
