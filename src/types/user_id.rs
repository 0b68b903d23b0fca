//! Whose lock, cache entries and readings they are.

use std::fmt;

/// A user's number: any i64, written canonically.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UserId(i64);

impl UserId {
    /// A user id from its number.
    pub fn new(id: i64) -> Self {
        Self(id)
    }

    /// Reads a decimal integer that fits i64, written canonically: `7`, `-7`, but not `+7`, `007`
    /// or `-0`. `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let id: i64 = text.parse().ok()?;
        // Two spellings of one number would be one user to us and two to anybody who compares
        // texts.
        (id.to_string() == text).then_some(Self(id))
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_canonical_integers_are_user_ids() {
        for good in [
            "0",
            "7",
            "-7",
            "9223372036854775807",
            "-9223372036854775808",
        ] {
            assert!(UserId::parse(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "+7",
            "007",
            "-0",
            " 7",
            "7 ",
            "7.0",
            "1e3",
            "0x7",
            "٧",
            "--7",
            "-",
            "9223372036854775808",
            "-9223372036854775809",
            "7\0",
        ] {
            assert!(UserId::parse(bad).is_none(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn every_i64_is_a_user_and_keeps_its_text(id in any::<i64>()) {
            let parsed = UserId::parse(&id.to_string());
            prop_assert_eq!(parsed.map(|user| user.to_string()), Some(id.to_string()));
        }

        #[test]
        fn parsing_never_panics(text in "\\PC{0,200}") {
            let _ = UserId::parse(&text);
        }
    }
}
