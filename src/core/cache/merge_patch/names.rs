//! The names of members: two are the same if their characters are, however they are spelled.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};

use crate::platform::long_work::Pace;

/// How many bytes are read without a break where that is simpler: most names are no longer.
pub(super) const SHORT: usize = 256;

/// A name as it stands in a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name<'a> {
    /// Where its first quote is.
    pub(super) at: usize,
    /// With its quotes.
    pub(super) spelled: &'a str,
}

/// Hashes names. Nobody can choose names of one hash, since it depends on a random key.
pub(super) struct Hashing {
    keyed: RandomState,
    keys: [u64; 2],
}

impl Hashing {
    pub(super) fn new() -> Self {
        let keyed = RandomState::new();
        let keys = [keyed.hash_one(1), keyed.hash_one(2)];
        Self { keyed, keys }
    }

    /// The hash of a name's characters.
    pub(super) async fn name(&self, name: Name<'_>, pace: &mut Pace) -> u64 {
        let mut hasher = self.keyed.build_hasher();
        let mut characters = Characters::of(name);
        let whole = characters.rest;
        if whole.len() <= SHORT && !whole.contains('\\') {
            hasher.write(whole.as_bytes());
            return hasher.finish();
        }
        while let Some(run) = characters.next_run() {
            match run {
                Run::Plain(text) => {
                    hasher.write(text.as_bytes());
                    pace.after(text.len()).await;
                }
                Run::Escaped(character) => {
                    hasher.write(character.encode_utf8(&mut [0; 4]).as_bytes());
                    pace.after(1).await;
                }
            }
        }
        hasher.finish()
    }

    /// The hash of a member: that of its name, and in which object it is.
    pub(super) fn member(&self, object: usize, name: u64) -> u32 {
        let [first, second] = self.keys;
        // Both halves of the product of two numbers that nobody knows.
        let product = u128::from(name ^ first) * u128::from(object as u64 ^ second);
        let folded = (product >> 64) as u64 ^ product as u64;
        (folded >> 32) as u32 ^ folded as u32
    }
}

/// Whether two names have the same characters.
pub(super) async fn are_same(one: Name<'_>, other: Name<'_>, pace: &mut Pace) -> bool {
    let (mut one, mut other) = (Characters::of(one), Characters::of(other));
    if !one.rest.contains('\\') && !other.rest.contains('\\') {
        return one.rest == other.rest;
    }
    loop {
        match (one.next(), other.next()) {
            (None, None) => return true,
            (first, second) if first != second => return false,
            _ => pace.after(1).await,
        }
    }
}

/// The characters of a name.
struct Characters<'a> {
    rest: &'a str,
}

/// Some of them.
enum Run<'a> {
    Plain(&'a str),
    Escaped(char),
}

impl<'a> Characters<'a> {
    fn of(name: Name<'a>) -> Self {
        let spelled = name.spelled;
        let within = spelled.strip_prefix('"').unwrap_or(spelled);
        Self {
            rest: within.strip_suffix('"').unwrap_or(within),
        }
    }

    /// The next one, or several at once up to a piece of work.
    fn next_run(&mut self) -> Option<Run<'a>> {
        if self.rest.starts_with('\\') {
            return self.escaped().map(Run::Escaped);
        }
        let piece = &self.rest[..self.rest.floor_char_boundary(Pace::PIECE)];
        let (run, _) = piece.split_once('\\').unwrap_or((piece, ""));
        self.rest = &self.rest[run.len()..];
        (!run.is_empty()).then_some(Run::Plain(run))
    }

    fn next(&mut self) -> Option<char> {
        if self.rest.starts_with('\\') {
            return self.escaped();
        }
        let mut characters = self.rest.chars();
        let next = characters.next();
        self.rest = characters.as_str();
        next
    }

    /// The character that is escaped here. A half of a pair alone is no JSON: it is read as some
    /// other character.
    fn escaped(&mut self) -> Option<char> {
        let mut characters = self.rest.chars();
        characters.next();
        let character = match characters.next()? {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let (unit, rest) = code_unit(characters.as_str())?;
                let second = rest.strip_prefix("\\u").and_then(code_unit);
                let pair = second.filter(|_| (0xd800..0xdc00).contains(&unit));
                let (units, rest) = match pair {
                    Some((second, rest)) => (vec![unit, second], rest),
                    None => (vec![unit], rest),
                };
                self.rest = rest;
                let decoded = char::decode_utf16(units).next()?;
                return Some(decoded.unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            same => same,
        };
        self.rest = characters.as_str();
        Some(character)
    }
}

/// Four hexadecimal digits, and what follows them.
fn code_unit(text: &str) -> Option<(u16, &str)> {
    let (digits, rest) = text.split_at_checked(4)?;
    Some((u16::from_str_radix(digits, 16).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;
    use proptest::prelude::*;

    fn name(spelled: &str) -> Name<'_> {
        Name { at: 0, spelled }
    }

    /// Whether they are the same, and whether their hashes are.
    fn compared(one: &str, other: &str) -> Option<(bool, bool)> {
        let pace = &mut Pace::default();
        let hashing = Hashing::new();
        let same = are_same(name(one), name(other), pace).now_or_never()?;
        let first = hashing.name(name(one), pace).now_or_never()?;
        let second = hashing.name(name(other), pace).now_or_never()?;
        Some((same, first == second))
    }

    /// Each character as it is, or escaped.
    fn spelled(text: &str, mut escaped: impl FnMut() -> bool) -> String {
        let mut spelled = String::from("\"");
        for character in text.chars() {
            if escaped() || matches!(character, '"' | '\\') || character < ' ' {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    spelled.push_str(&format!("\\u{unit:04x}"));
                }
            } else {
                spelled.push(character);
            }
        }
        spelled + "\""
    }

    #[test]
    fn short_escapes_are_characters() {
        let both = compared(
            r#""\"\\\/\b\f\n\r\t""#,
            r#""\u0022\u005c/\u0008\u000c\u000a\u000d\u0009""#,
        );
        assert_eq!(both, Some((true, true)));
    }

    proptest! {
        #[test]
        fn a_name_is_the_same_however_it_is_spelled(
            text in "[a-c\u{e9}\u{1f600}\"\\\\\n]{0,12}",
            escaped in prop::collection::vec(any::<bool>(), 1..7),
        ) {
            let mut turns = escaped.iter().cycle();
            let one = spelled(&text, || *turns.next().unwrap_or(&false));
            let other = spelled(&text, || false);
            prop_assert_eq!(compared(&one, &other), Some((true, true)));
        }

        #[test]
        fn other_characters_are_another_name(one in "[a-b\u{e9}]{0,3}", other in "[a-b\u{e9}]{0,3}") {
            let same = compared(&spelled(&one, || true), &spelled(&other, || false));
            prop_assert_eq!(same.map(|(same, _)| same), Some(one == other));
        }

        #[test]
        fn no_name_makes_it_panic(text in "[\"\\\\ud80a\u{e9}]{0,12}") {
            let _ = compared(&text, "\"\\ud800\"");
        }
    }
}
