//! What an owner says of itself.

use std::fmt;
use std::sync::Arc;

/// The longest name, in bytes.
pub(crate) const MAX_OWNER_NAME: usize = 128;

/// Who holds a lock and why, in the owner's own words: `billing run 17 on host-a`. It is for people
/// to read, and proves nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerName(Arc<str>);

impl OwnerName {
    /// 1 to 128 visible ASCII characters and spaces, and not spaces alone. `None` for anything else.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let fits = (1..=MAX_OWNER_NAME).contains(&text.len())
            && text.iter().all(|byte| matches!(byte, b' '..=b'~'))
            && text.iter().any(u8::is_ascii_graphic);
        let text = std::str::from_utf8(text).ok().filter(|_| fits)?;
        Some(Self(text.into()))
    }

    /// A name as scripts return it; `None` where there is none.
    pub(super) fn stored(text: &[u8]) -> Option<Self> {
        Self::parse(text)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OwnerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn only_visible_ascii_and_spaces_are_a_name(text in prop::collection::vec(any::<u8>(), 0..140)) {
            let good = (1..=128).contains(&text.len())
                && text.iter().all(|byte| (0x20..=0x7e).contains(byte))
                && text.iter().any(|byte| *byte != b' ');
            prop_assert_eq!(OwnerName::parse(&text).is_some(), good);
        }

        #[test]
        fn a_good_one_is_kept_as_it_is(text in "[!-~][ -~]{0,127}") {
            let name = OwnerName::parse(text.as_bytes());
            prop_assert_eq!(name.as_ref().map(OwnerName::as_str), Some(text.as_str()));
        }
    }
}
