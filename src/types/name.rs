//! Names of locks and of cache entries, and the limits they keep.

use std::fmt;

/// The longest lock or cache name, in bytes.
pub(crate) const MAX_NAME: usize = 128;

/// What a name may hold beside letters and digits.
pub(crate) const NAME_MARKS: &str = "._~:-";

/// The cache entry that actions write.
pub(crate) const LAST_ACTION: &str = "last-action";

/// The name of a lock or of a cache entry: 1 to 128 of `A-Z a-z 0-9 . _ ~ : -`, but not `.` or
/// `..`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name(String);

impl Name {
    /// Reads a name after percent-decoding. `None` where it breaks the rule above.
    pub fn parse(text: &str) -> Option<Self> {
        let allowed =
            |byte: u8| byte.is_ascii_alphanumeric() || NAME_MARKS.as_bytes().contains(&byte);
        let fits = (1..=MAX_NAME).contains(&text.len())
            && text.bytes().all(allowed)
            && text != "."
            && text != "..";
        fits.then(|| Self(text.to_owned()))
    }

    /// The name as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_keep_to_their_alphabet_and_length() {
        assert!(Name::parse(&"n".repeat(128)).is_some());
        for bad in ["", ".", "..", "a/b", "a b", "é", "a{b", "a\n", "a%62"] {
            assert!(Name::parse(bad).is_none(), "{bad:?}");
        }
        assert!(Name::parse(&"n".repeat(129)).is_none());
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "\\PC{0,200}") {
            let _ = Name::parse(&text);
        }
    }
}
