//! Entity tags and the conditions made of them (RFC 9110, sections 8.8.3 and 13.1).

use std::fmt;

use http::HeaderValue;

use super::digest::{Sha1Pieces, Xxh3, xxh3_hex};

/// How many digits the tag of an entry of this service has.
pub(crate) const TAG_LENGTH: usize = 32;

/// How many digits the tag of a stranger's value has.
const FOREIGN_TAG_LENGTH: usize = 40;

/// A strong entity tag, in hexadecimal digits. An entry of this service is stored with its tag: 32
/// digits of a fast digest of its JSON. The tag of a stranger's value has 40 digits: it is the
/// SHA-1 of the bytes, which Redis can compute too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ETag(String);

impl ETag {
    /// The tag of these bytes.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(xxh3_hex(bytes))
    }

    /// The same of bytes that come in pieces.
    pub(crate) fn of_pieces(digest: &Xxh3) -> Self {
        Self(digest.finish_hex())
    }

    /// The tag of bytes that a stranger stored, or an earlier version of this service.
    pub(crate) fn of_foreign(digest: Sha1Pieces) -> Self {
        Self(digest.finish_hex())
    }

    /// A tag from its digits; `None` where they are not 32 or 40 hexadecimal ones.
    pub fn of_digits(digits: &str) -> Option<Self> {
        let fits = matches!(digits.len(), TAG_LENGTH | FOREIGN_TAG_LENGTH)
            && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        fits.then(|| Self(digits.to_owned()))
    }

    /// As a header's value, in quotes.
    pub(crate) fn header(&self) -> HeaderValue {
        // Hexadecimal digits in quotes are always a header's value.
        HeaderValue::try_from(self.to_string()).unwrap_or(HeaderValue::from_static("\"\""))
    }

    /// The digits, without quotes.
    pub(crate) fn digits(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

/// One of `If-Match` and `If-None-Match`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Tags {
    /// The header is absent.
    #[default]
    Absent,
    /// `*`: whatever is there.
    Any,
    /// Any of these.
    OneOf(Vec<ETag>),
}

impl Tags {
    /// Whether the header names the tag of what is there; `None` if nothing is.
    fn name(&self, current: Option<&ETag>) -> bool {
        match (self, current) {
            (Self::Absent, _) | (_, None) => false,
            (Self::Any, Some(_)) => true,
            (Self::OneOf(tags), Some(current)) => tags.contains(current),
        }
    }

    /// As the cache's scripts take them: empty, `*`, or digits with spaces between.
    pub(crate) fn argument(&self) -> String {
        match self {
            Self::Absent => String::new(),
            Self::Any => "*".to_owned(),
            // A list that can match nothing is still a list: a dash is no tag's digits.
            Self::OneOf(tags) if tags.is_empty() => "-".to_owned(),
            Self::OneOf(tags) => tags.iter().map(ETag::digits).collect::<Vec<_>>().join(" "),
        }
    }
}

/// What a request makes its effect depend on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conditions {
    /// Only if what is there is named.
    pub(crate) if_match: Tags,
    /// Only if what is there is not named.
    pub(crate) if_none_match: Tags,
}

impl Conditions {
    /// No conditions.
    pub const NONE: Self = Self {
        if_match: Tags::Absent,
        if_none_match: Tags::Absent,
    };

    /// Only if what is there has this tag; `None`: only if nothing is there.
    pub fn expecting(current: Option<&ETag>) -> Self {
        match current {
            Some(tag) => Self {
                if_match: Tags::OneOf(vec![tag.clone()]),
                ..Self::NONE
            },
            None => Self {
                if_none_match: Tags::Any,
                ..Self::NONE
            },
        }
    }

    /// Whether `If-Match` holds for what is there.
    pub(crate) fn match_holds(&self, current: Option<&ETag>) -> bool {
        self.if_match == Tags::Absent || self.if_match.name(current)
    }

    /// Whether `If-None-Match` holds for what is there.
    pub fn none_match_holds(&self, current: Option<&ETag>) -> bool {
        !self.if_none_match.name(current)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_the_digest_in_quotes() {
        let mut sha1 = Sha1Pieces::new();
        sha1.update(b"a");
        let (own, foreign) = (ETag::of(b"a"), ETag::of_foreign(sha1));
        assert_eq!(own.to_string(), "\"a96faf705af16834e6c632b61e964e1f\"");
        assert_eq!(own.header(), own.to_string());
        let sha1 = "\"86f7e437faa5a7fce15d1ddcb9eaeaea377667b8\"";
        assert_eq!(foreign.to_string(), sha1);
        for tag in [own, foreign] {
            assert_eq!(ETag::of_digits(tag.digits()), Some(tag));
        }
        assert_eq!(ETag::of_digits("86f7e437"), None);
    }
}
