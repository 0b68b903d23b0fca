//! Values of parameters in the query and the path, each read strictly. Types and messages of faults
//! follow those of pydantic, as in `query.rs`.

use std::time::Duration;

use crate::types::name::Name;
use crate::types::seconds::{SecondsError, display_seconds, parse_seconds};
use crate::types::ttl::{MAX_TTL_MS, MAX_WAIT_MS, MIN_TTL_MS, Ttl};
use crate::types::user_id::{UserId, UserIds};

/// What is wrong with a value: a message for a person and a type for a program.
pub(crate) type ValueFault = (String, &'static str);

/// A reader of user ids of this kind.
///
/// It fails where a text is none.
pub(crate) fn user_id(user_ids: UserIds) -> impl FnOnce(&str) -> Result<UserId, ValueFault> {
    move |text| user_ids.read(text).ok_or_else(|| no_user(user_ids))
}

fn no_user(user_ids: UserIds) -> ValueFault {
    match user_ids {
        UserIds::Integer => {
            let msg = format!(
                "Input should be a valid integer from {} to {}, without plus sign, leading zeros or spaces",
                i64::MIN,
                i64::MAX
            );
            (msg, "int_parsing")
        }
        UserIds::Uuid => {
            let msg = "Input should be a valid UUID, as in 0190a5b8-7c3d-7e4f-8a9b-0c1d2e3f4a5b";
            (msg.to_owned(), "uuid_parsing")
        }
        UserIds::Name => {
            let msg = "Input should be 1 to 64 of A-Z a-z 0-9 . _ ~ - and not `.`, `..`, \
                `perform-action` or `attempt-action`";
            (msg.to_owned(), "string_pattern_mismatch")
        }
    }
}

/// Reads the name of a lock or of a cache entry.
///
/// # Errors
/// Where it breaks the rule of names.
pub(crate) fn name(text: &str) -> Result<Name, ValueFault> {
    Name::parse(text).ok_or_else(|| {
        let msg = "Input should be 1 to 128 of A-Z a-z 0-9 . _ ~ : - and not `.` or `..`";
        (msg.to_owned(), "string_pattern_mismatch")
    })
}

/// Reads how long to wait: seconds, 0 to 60.
///
/// # Errors
/// Where it is no decimal number or outside of these bounds.
pub(crate) fn timeout(text: &str) -> Result<Duration, ValueFault> {
    parse_seconds(text, 0, MAX_WAIT_MS).map_err(|error| seconds_fault(error, 0, MAX_WAIT_MS))
}

/// Reads a fencing token: a whole number from 0.
///
/// # Errors
/// Where it is not, or is not written canonically.
pub(crate) fn fencing_token(text: &str) -> Result<i64, ValueFault> {
    let number = text.parse::<u64>().ok().map(i64::try_from);
    match number {
        Some(Ok(number)) if number.to_string() == text => Ok(number),
        _ => {
            let max = i64::MAX;
            let msg = format!(
                "Input should be a valid integer from 0 to {max}, without sign, leading zeros or spaces"
            );
            Err((msg, "int_parsing"))
        }
    }
}

/// Reads `true` or `false`.
///
/// # Errors
/// Where it is anything else.
pub(crate) fn boolean(text: &str) -> Result<bool, ValueFault> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => {
            let msg = "Input should be `true` or `false`";
            Err((msg.to_owned(), "bool_parsing"))
        }
    }
}

/// Reads a time to live: seconds, 0.001 to 2 592 000.
///
/// # Errors
/// Where it is no decimal number or outside of these bounds.
pub(crate) fn expire(text: &str) -> Result<Ttl, ValueFault> {
    Ttl::parse(text).map_err(|error| seconds_fault(error, MIN_TTL_MS, MAX_TTL_MS))
}

/// Reads how long a caller takes to compute an entry: seconds, 0.001 to `max_hold`.
///
/// # Errors
/// Where it is no decimal number or outside of these bounds.
pub(crate) fn compute(text: &str, max_hold: Duration) -> Result<Ttl, ValueFault> {
    let most = u64::try_from(max_hold.as_millis()).unwrap_or(u64::MAX);
    let time = parse_seconds(text, MIN_TTL_MS, most);
    let time = time.map_err(|error| seconds_fault(error, MIN_TTL_MS, most))?;
    let ms = u64::try_from(time.as_millis()).unwrap_or(most);
    Ok(Ttl::of_millis(ms))
}

/// Reads how long before its expiry an entry is computed anew: seconds, 0 to 2 592 000.
///
/// # Errors
/// Where it is no decimal number or outside of these bounds.
pub(crate) fn refresh(text: &str) -> Result<Duration, ValueFault> {
    parse_seconds(text, 0, MAX_TTL_MS).map_err(|error| seconds_fault(error, 0, MAX_TTL_MS))
}

fn seconds_fault(error: SecondsError, min_ms: u64, max_ms: u64) -> ValueFault {
    let (min, max) = (display_seconds(min_ms), display_seconds(max_ms));
    match error {
        SecondsError::NotANumber => (
            format!(
                "Input should be a valid number of seconds from {min} to {max}: digits with an optional fraction, as in 2.5"
            ),
            "float_parsing",
        ),
        SecondsError::TooSmall(_) => (
            format!("Input should be greater than or equal to {min}"),
            "greater_than_equal",
        ),
        SecondsError::TooLarge(_) => (
            format!("Input should be less than or equal to {max}"),
            "less_than_equal",
        ),
    }
}
