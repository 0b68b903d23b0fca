//! Who holds a lock.

use std::fmt;

use crate::types::random;

/// The shortest and the longest token that a client may bring, in bytes.
pub(crate) const TOKEN_LENGTHS: std::ops::RangeInclusive<usize> = 16..=128;

/// The secret that a lock is held by: what releases or renews it must present the same one.
#[derive(Clone, PartialEq, Eq)]
pub struct OwnerToken {
    text: String,
    brought: bool,
}

impl OwnerToken {
    /// 128 random bits in hexadecimal digits.
    pub fn random() -> Self {
        Self {
            text: random::hex128(),
            brought: false,
        }
    }

    /// A client's own token: 16 to 128 visible ASCII characters. `None` for anything else.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let fits = TOKEN_LENGTHS.contains(&text.len()) && text.iter().all(u8::is_ascii_graphic);
        let text = std::str::from_utf8(text).ok().filter(|_| fits)?;
        Some(Self {
            text: text.to_owned(),
            brought: true,
        })
    }

    /// The token as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a client brought it, and so may be trying again with it.
    pub(super) fn is_brought(&self) -> bool {
        self.brought
    }
}

/// A token is a secret: it is not shown.
impl fmt::Debug for OwnerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnerToken(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn only_visible_ascii_of_the_right_length_is_a_token(text in prop::collection::vec(any::<u8>(), 0..140)) {
            let good = (16..=128).contains(&text.len()) && text.iter().all(|byte| (0x21..=0x7e).contains(byte));
            prop_assert_eq!(OwnerToken::parse(&text).is_some(), good);
        }

        #[test]
        fn a_good_one_is_kept_as_it_is(text in "[!-~]{16,128}") {
            let token = OwnerToken::parse(text.as_bytes());
            prop_assert_eq!(token.as_ref().map(OwnerToken::as_str), Some(text.as_str()));
        }
    }
}
