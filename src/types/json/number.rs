//! Numbers that are long, or may be beyond f64, byte by byte.

/// How many of its digits say how great a number is.
const TELLING: usize = 40;

/// A number of so many bytes is serde_json's to judge as it is.
const LONG: usize = 1024;

/// What of a number was read last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Part {
    #[default]
    Nothing,
    Minus,
    /// A zero before the point, after which no digit comes.
    Zero,
    Whole,
    Point,
    Fraction,
    E,
    Sign,
    Exponent,
}

/// A number that is being read.
#[derive(Debug, Default)]
pub(super) struct Number {
    /// Where it begins.
    pub(super) from: usize,
    part: Part,
    /// Its first digits, without the zeros before them.
    digits: String,
    /// Where its point is, counted from the first of them.
    point: i64,
    exponent: i64,
    exponent_is_negative: bool,
}

impl Number {
    pub(super) fn new(from: usize) -> Self {
        Self {
            from,
            ..Self::default()
        }
    }

    /// Whether a byte may be in a number.
    pub(super) fn may_have(byte: u8) -> bool {
        matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')
    }

    /// Reads a byte; `None` where it can't come next.
    pub(super) fn push(&mut self, byte: u8) -> Option<()> {
        self.part = match (self.part, byte) {
            (Part::Nothing, b'-') => Part::Minus,
            (Part::Nothing | Part::Minus, b'0') => Part::Zero,
            (Part::Nothing | Part::Minus | Part::Whole, b'0'..=b'9') => {
                self.digit(byte);
                self.point += 1;
                Part::Whole
            }
            (Part::Zero | Part::Whole, b'.') => Part::Point,
            (Part::Point | Part::Fraction, b'0'..=b'9') => {
                if self.digits.is_empty() && byte == b'0' {
                    self.point -= 1;
                }
                self.digit(byte);
                Part::Fraction
            }
            (Part::Zero | Part::Whole | Part::Fraction, b'e' | b'E') => Part::E,
            (Part::E, b'+' | b'-') => {
                self.exponent_is_negative = byte == b'-';
                Part::Sign
            }
            (Part::E | Part::Sign | Part::Exponent, b'0'..=b'9') => {
                let digit = i64::from(byte - b'0');
                self.exponent = self.exponent.saturating_mul(10).saturating_add(digit);
                Part::Exponent
            }
            _ => return None,
        };
        Some(())
    }

    fn digit(&mut self, byte: u8) {
        let is_leading_zero = self.digits.is_empty() && byte == b'0';
        if !is_leading_zero && self.digits.len() < TELLING {
            self.digits.push(char::from(byte));
        }
    }

    /// Ends it; `None` if it is not whole, or beyond f64. `text` is all of it.
    pub(super) fn end(&self, text: &[u8]) -> Option<()> {
        if !matches!(
            self.part,
            Part::Zero | Part::Whole | Part::Fraction | Part::Exponent
        ) {
            return None;
        }
        if text.len() <= LONG {
            return serde_json::from_slice::<f64>(text).ok().map(drop);
        }
        if self.digits.is_empty() {
            return Some(());
        }
        let exponent = match self.exponent_is_negative {
            true => -self.exponent,
            false => self.exponent,
        };
        let same = format!("0.{}e{}", self.digits, self.point.saturating_add(exponent));
        serde_json::from_str::<f64>(&same).ok().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Whether it is a number. As a long one, it has zeros at its end that change nothing.
    fn is_number(text: &str, long: bool) -> bool {
        let mut number = Number::new(0);
        let read = text.bytes().try_for_each(|byte| number.push(byte));
        let length = if long { LONG + 1 } else { text.len() };
        let text = format!("{text:\0<length$}");
        read.and_then(|()| number.end(text.as_bytes())).is_some()
    }

    #[test]
    fn what_is_beyond_f64_is_no_number() {
        let nines = "9".repeat(2000);
        for (number, expected) in [
            ("1e308".to_owned(), true),
            ("1e309".to_owned(), false),
            (nines.clone(), false),
            (format!("-{nines}"), false),
            (format!("{nines}e-1700"), true),
            (format!("0.{nines}e308"), true),
            (format!("0.{}1e2300", "0".repeat(2000)), true),
            (format!("0.{}1e2400", "0".repeat(2000)), false),
            (format!("0.{}e99999999999999999999", "0".repeat(2000)), true),
            (format!("{nines}e-99999999999999999999"), true),
            (format!("{nines}e99999999999999999999"), false),
        ] {
            assert_eq!(is_number(&number, false), expected, "{number}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json(text in "-?[0-9]{0,3}(\\.[0-9]{0,3})?([eE][+-]?[0-9]{0,3})?") {
            let expected = serde_json::from_str::<f64>(&text).is_ok();
            prop_assert_eq!(is_number(&text, false), expected);
            prop_assert_eq!(is_number(&text, true), expected);
        }
    }
}
