//! The values of the instance flags: a number or a time, or a half-open range `a..b`, from which
//! each new instance draws a random value.
//!
//! Follows the parsers in Spin's `crates/trigger-http/src/lib.rs`.

use std::time::Duration;

use rand::Rng as _;
use rand::distr::uniform::SampleUniform;

/// One value, or a range of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValueOrRange<T> {
    /// The same value for every instance.
    Value(T),
    /// From the first up to, not including, the second.
    Range(T, T),
}

impl<T: SampleUniform + PartialOrd + Copy> ValueOrRange<T> {
    /// The value for a new instance.
    pub(crate) fn draw(self) -> T {
        match self {
            Self::Value(value) => value,
            Self::Range(start, end) => rand::rng().random_range(start..end),
        }
    }
}

/// `128` or `64..128`.
pub(crate) fn parse_count(text: &str) -> Result<ValueOrRange<usize>, String> {
    parse(text, |number| {
        number
            .parse()
            .map_err(|error| format!("expected an integer or a range of them: {error}"))
    })
}

/// `1`, `1s`, `500ms`, `20us`, `20μs`, `100ns`, or a range such as `1..8s`. The default unit is
/// seconds. In a range each end has its own unit.
pub(crate) fn parse_time(text: &str) -> Result<ValueOrRange<Duration>, String> {
    parse(text, parse_duration)
}

fn parse<T: PartialOrd>(
    text: &str,
    one: impl Fn(&str) -> Result<T, String>,
) -> Result<ValueOrRange<T>, String> {
    let Some((start, end)) = text.split_once("..") else {
        return one(text).map(ValueOrRange::Value);
    };
    let (start, end) = (one(start)?, one(end)?);
    if start >= end {
        // Spin accepts such a range and panics at the first request.
        return Err(format!("the range {text:?} is empty"));
    }
    Ok(ValueOrRange::Range(start, end))
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let number = &text[..text.len() - unit.len()];
    let time = match unit {
        "" | "s" => Duration::from_secs,
        "ms" => Duration::from_millis,
        "us" | "μs" => Duration::from_micros,
        "ns" => Duration::from_nanos,
        _ => {
            return Err(format!(
                "{text:?} is not an integer with s, ms, us, μs, ns or no unit"
            ));
        }
    };
    number
        .parse()
        .map(time)
        .map_err(|error| format!("{text:?}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        assert_eq!(parse_count("128"), Ok(ValueOrRange::Value(128)));
        assert_eq!(parse_count("1..8"), Ok(ValueOrRange::Range(1, 8)));
        for bad in ["", "-1", "1..", "8..1", "1..1", "1.5", "many"] {
            assert!(parse_count(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn times() {
        for (text, time) in [
            ("2", Duration::from_secs(2)),
            ("2s", Duration::from_secs(2)),
            ("500ms", Duration::from_millis(500)),
            ("7us", Duration::from_micros(7)),
            ("7μs", Duration::from_micros(7)),
            ("9ns", Duration::from_nanos(9)),
        ] {
            assert_eq!(parse_time(text), Ok(ValueOrRange::Value(time)), "{text:?}");
        }
        assert_eq!(
            parse_time("1..8s"),
            Ok(ValueOrRange::Range(
                Duration::from_secs(1),
                Duration::from_secs(8)
            ))
        );
        for bad in ["", "s", "1m", "1.5s", "-1s"] {
            assert!(parse_time(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_drawn_value_is_in_the_range() {
        for _ in 0..100 {
            assert!((3..5).contains(&ValueOrRange::Range(3, 5).draw()));
        }
        assert_eq!(ValueOrRange::Value(3).draw(), 3);
    }
}
