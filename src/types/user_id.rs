//! Whose lock, cache entries and readings they are.
//!
//! A [`UserId`] is its text in the one spelling that counts, so two ids are equal exactly if their
//! keys are. No id holds a colon, so no user's key is another user's named lock; no id is a segment
//! of a path with a meaning of its own.

use std::fmt;
use std::io::Write as _;

/// The longest user id, in bytes.
pub(crate) const MAX_USER_NAME: usize = 64;

/// What a user's name may hold beside letters and digits: the unreserved characters of RFC 3986,
/// section 2.3, so that an id stands for itself in a path.
pub(crate) const USER_NAME_MARKS: &str = "._~-";

/// Names that are no users: relative segments of a path, and the routes beside the users.
pub(crate) const NO_USER_NAMES: [&str; 4] = [".", "..", "perform-action", "attempt-action"];

/// What names users: the variable `user_ids`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UserIds {
    /// Decimal integers that fit i64.
    #[default]
    Integer,
    /// UUIDs (RFC 9562), of any version.
    Uuid,
    /// Names: see [`UserId::name`].
    Name,
}

impl UserIds {
    /// Every kind.
    pub(crate) const ALL: [Self; 3] = [Self::Integer, Self::Uuid, Self::Name];

    /// The kind with this name in the configuration.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Its name in the configuration.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Uuid => "uuid",
            Self::Name => "name",
        }
    }

    /// Reads a user id after percent-decoding. `None` where it is none of this kind.
    ///
    /// ```
    /// use edgelatch::types::user_id::UserIds;
    ///
    /// let user = UserIds::Uuid.read("0190A5B8-7C3D-7E4F-8A9B-0C1D2E3F4A5B").unwrap();
    /// assert_eq!(user.as_str(), "0190a5b8-7c3d-7e4f-8a9b-0c1d2e3f4a5b");
    /// assert!(UserIds::Integer.read("007").is_none());
    /// assert!(UserIds::Name.read("ada:lock").is_none());
    /// ```
    pub fn read(self, text: &str) -> Option<UserId> {
        match self {
            Self::Integer => read_integer(text),
            Self::Uuid => read_uuid(text),
            Self::Name => UserId::name(text),
        }
    }
}

/// A user: 1 to 64 of `A-Z a-z 0-9 . _ ~ -`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct UserId {
    /// The text, and zeros after it. Held in place, so that an id is copied and never allocated.
    bytes: [u8; MAX_USER_NAME],
    length: u8,
}

impl UserId {
    /// The user with this number.
    ///
    /// ```
    /// use edgelatch::types::user_id::UserId;
    ///
    /// assert_eq!(UserId::new(-7).as_str(), "-7");
    /// ```
    pub fn new(id: i64) -> Self {
        Self::written(format_args!("{id}"))
    }

    /// The user with this UUID, given as its 128 bits, the first of the text first: `as_u128` of
    /// the crate `uuid` returns them so.
    ///
    /// ```
    /// use edgelatch::types::user_id::UserId;
    ///
    /// let user = UserId::uuid(0x0190a5b8_7c3d_7e4f_8a9b_0c1d2e3f4a5b);
    /// assert_eq!(user.as_str(), "0190a5b8-7c3d-7e4f-8a9b-0c1d2e3f4a5b");
    /// ```
    pub fn uuid(bits: u128) -> Self {
        let (a, b, c) = (bits >> 96, bits >> 80 & 0xffff, bits >> 64 & 0xffff);
        let (d, e) = (bits >> 48 & 0xffff, bits & 0xffff_ffff_ffff);
        Self::written(format_args!("{a:08x}-{b:04x}-{c:04x}-{d:04x}-{e:012x}"))
    }

    /// The user with this name: 1 to 64 of `A-Z a-z 0-9 . _ ~ -`, but not `.`, `..`,
    /// `perform-action` or `attempt-action`. `None` for anything else.
    ///
    /// ```
    /// use edgelatch::types::user_id::UserId;
    ///
    /// assert_eq!(UserId::name("ada").unwrap().as_str(), "ada");
    /// assert!(UserId::name("ada lovelace").is_none());
    /// ```
    pub fn name(text: &str) -> Option<Self> {
        let allowed =
            |byte: u8| byte.is_ascii_alphanumeric() || USER_NAME_MARKS.as_bytes().contains(&byte);
        let fits = (1..=MAX_USER_NAME).contains(&text.len())
            && text.bytes().all(allowed)
            && !NO_USER_NAMES.contains(&text);
        fits.then(|| Self::written(format_args!("{text}")))
    }

    /// The id as text, in the spelling that keys have.
    pub fn as_str(&self) -> &str {
        let text = self.bytes.get(..self.length.into());
        // All of it is ASCII.
        text.and_then(|text| str::from_utf8(text).ok())
            .unwrap_or_default()
    }

    /// An id of this text, which has at most [`MAX_USER_NAME`] bytes.
    fn written(text: fmt::Arguments<'_>) -> Self {
        let mut bytes = [0; MAX_USER_NAME];
        let mut rest = bytes.as_mut_slice();
        // What did not fit would be left out.
        let _ = rest.write_fmt(text);
        let length = MAX_USER_NAME - rest.len();
        Self {
            bytes,
            length: length as u8,
        }
    }
}

/// Reads a decimal integer that fits i64, written canonically: `7`, `-7`, but not `+7`, `007` or
/// `-0`.
fn read_integer(text: &str) -> Option<UserId> {
    let id = UserId::new(text.parse().ok()?);
    // Two spellings of one number would be one user to us and two to anybody who compares texts.
    (id.as_str() == text).then_some(id)
}

/// Reads a UUID in its usual form (RFC 9562, section 4), in either case.
fn read_uuid(text: &str) -> Option<UserId> {
    let is_uuid = text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    let mut id = is_uuid.then(|| UserId::written(format_args!("{text}")))?;
    id.bytes.make_ascii_lowercase();
    Some(id)
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_canonical_integers_are_integers() {
        for good in [
            "0",
            "7",
            "-7",
            "9223372036854775807",
            "-9223372036854775808",
        ] {
            assert!(UserIds::Integer.read(good).is_some(), "{good}");
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
            assert!(UserIds::Integer.read(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn a_uuid_has_one_form() {
        let text = "0190a5b8-7c3d-7e4f-8a9b-0c1d2e3f4a5b";
        let user = UserIds::Uuid.read(text);
        assert_eq!(user, UserIds::Uuid.read(&text.to_uppercase()));
        assert_eq!(user.map(|user| user.to_string()).as_deref(), Some(text));
        let plain = text.replace('-', "");
        for bad in [
            "",
            "7",
            &plain,
            &format!("{{{text}}}"),
            &format!("urn:uuid:{text}"),
            &format!("{text} "),
            &text.replace('a', "g"),
            &text.replacen("b8-7", "b-87", 1),
            &text.replacen("0190", "٧19", 1),
        ] {
            assert!(UserIds::Uuid.read(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn names_keep_to_their_alphabet_and_length() {
        for good in ["a", "-", "...", "~", "A.b_c~d-e", &"n".repeat(64)] {
            assert_eq!(
                UserId::name(good).map(|user| user.to_string()).as_deref(),
                Some(good)
            );
        }
        for bad in [
            "",
            "a:b",
            "a/b",
            "a b",
            "é",
            "a{b",
            "a\n",
            "a%62",
            &"n".repeat(65),
        ] {
            assert!(UserId::name(bad).is_none(), "{bad:?}");
        }
        for bad in NO_USER_NAMES {
            assert!(UserId::name(bad).is_none(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn every_i64_is_a_user_and_keeps_its_text(id in any::<i64>()) {
            let read = UserIds::Integer.read(&id.to_string());
            prop_assert_eq!(read, Some(UserId::new(id)));
            prop_assert_eq!(read.map(|user| user.to_string()), Some(id.to_string()));
        }

        #[test]
        fn every_uuid_is_a_user_in_either_case(bits in any::<u128>()) {
            let user = UserId::uuid(bits);
            prop_assert_eq!(UserIds::Uuid.read(user.as_str()), Some(user));
            prop_assert_eq!(UserIds::Uuid.read(&user.as_str().to_uppercase()), Some(user));
            prop_assert_eq!(user.as_str().replace('-', ""), format!("{bits:032x}"));
        }

        #[test]
        fn whoever_is_read_stands_for_itself_in_a_path(text in "\\PC{0,70}|[0-9a-fA-F-]{36}") {
            for kind in UserIds::ALL {
                let Some(user) = kind.read(&text) else { continue };
                prop_assert!(user.as_str().eq_ignore_ascii_case(&text));
                prop_assert_eq!(UserId::name(user.as_str()), Some(user));
            }
        }
    }
}
