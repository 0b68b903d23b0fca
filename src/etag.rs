//! Entity tags and the conditions made of them (RFC 9110, sections 8.8.3 and 13.1).

use http::{HeaderMap, HeaderName, HeaderValue, header};
use std::fmt;

use crate::problem::InputFault;

/// A strong entity tag: the SHA-1 of the stored bytes, in hexadecimal digits. Redis can compute the same one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ETag(String);

impl ETag {
    /// The tag of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha1_smol::Sha1::from(bytes).digest().to_string())
    }

    /// A tag from its digits; `None` where they are not 40 hexadecimal ones.
    pub fn of_digits(digits: &str) -> Option<Self> {
        let fits = digits.len() == 40 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        fits.then(|| Self(digits.to_owned()))
    }

    /// As a header's value, in quotes.
    pub fn header(&self) -> HeaderValue {
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
pub enum Tags {
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
    pub if_match: Tags,
    /// Only if what is there is not named.
    pub if_none_match: Tags,
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

    /// Reads both headers.
    ///
    /// # Errors
    /// A fault for each header that is no list of entity tags and not `*`.
    pub fn of(headers: &HeaderMap) -> Result<Self, Vec<InputFault>> {
        let mut faults = Vec::new();
        let mut read = |name: HeaderName, weak: Weak| {
            tags(headers, &name, weak).unwrap_or_else(|| {
                faults.push(InputFault {
                    loc: ["header".to_owned(), name.to_string()],
                    msg: "Input should be `*` or entity tags in double quotes, separated by commas"
                        .to_owned(),
                    r#type: "entity_tag_parsing",
                });
                Tags::Absent
            })
        };
        let conditions = Self {
            if_match: read(header::IF_MATCH, Weak::NeverMatches),
            if_none_match: read(header::IF_NONE_MATCH, Weak::Matches),
        };
        if faults.is_empty() {
            Ok(conditions)
        } else {
            Err(faults)
        }
    }

    /// Whether `If-Match` holds for what is there.
    pub fn match_holds(&self, current: Option<&ETag>) -> bool {
        self.if_match == Tags::Absent || self.if_match.name(current)
    }

    /// Whether `If-None-Match` holds for what is there.
    pub fn none_match_holds(&self, current: Option<&ETag>) -> bool {
        !self.if_none_match.name(current)
    }
}

/// What a weak tag (`W/"..."`) counts for: `If-Match` compares strongly, `If-None-Match` weakly (RFC 9110, section 8.8.3.2).
#[derive(Clone, Copy, PartialEq)]
enum Weak {
    Matches,
    NeverMatches,
}

/// The tags of a header that may be there more than once; `None` if it breaks its grammar.
fn tags(headers: &HeaderMap, name: &HeaderName, weak: Weak) -> Option<Tags> {
    let values: Option<Vec<&str>> = headers
        .get_all(name)
        .iter()
        .map(|value| value.to_str().ok())
        .collect();
    let values = values?;
    if values.is_empty() {
        return Some(Tags::Absent);
    }
    let text = values.join(",");
    if text.trim() == "*" {
        return Some(Tags::Any);
    }
    let mut listed = Vec::new();
    let mut any = false;
    let mut rest = text.trim_start_matches(separator);
    while !rest.is_empty() {
        let is_weak = rest.starts_with("W/");
        let quoted = rest.strip_prefix("W/").unwrap_or(rest).strip_prefix('"')?;
        let (opaque, after) = quoted.split_once('"')?;
        any = true;
        // What is not the shape of our tags can't be one of them, and need not go to Redis.
        if !is_weak || weak == Weak::Matches {
            listed.extend(ETag::of_digits(opaque));
        }
        let after = after.trim_start_matches([' ', '\t']);
        if !after.is_empty() && !after.starts_with(',') {
            return None;
        }
        rest = after.trim_start_matches(separator);
    }
    any.then_some(Tags::OneOf(listed))
}

fn separator(character: char) -> bool {
    matches!(character, ',' | ' ' | '\t')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const A: &str = "\"86f7e437faa5a7fce15d1ddcb9eaeaea377667b8\"";

    fn conditions(name: &'static str, value: &str) -> Option<Conditions> {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::try_from(value).ok()?);
        Conditions::of(&headers).ok()
    }

    #[test]
    fn a_tag_is_the_digest_in_quotes() {
        assert_eq!(ETag::of(b"a").to_string(), A);
        assert_eq!(ETag::of(b"a").header(), A);
    }

    #[test]
    fn strong_and_weak_comparison() {
        let a = ETag::of(b"a");
        for (value, matches, none_matches) in [
            (A.to_owned(), true, false),
            (format!("W/{A}"), false, false),
            (format!("\"x\", {A} ,"), true, false),
            ("\"x\"".to_owned(), false, true),
            ("*".to_owned(), true, false),
        ] {
            let if_match = conditions("if-match", &value).unwrap_or_default();
            assert_eq!(if_match.match_holds(Some(&a)), matches, "{value}");
            assert!(!if_match.match_holds(None), "{value}");
            let if_none_match = conditions("if-none-match", &value).unwrap_or_default();
            assert_eq!(
                if_none_match.none_match_holds(Some(&a)),
                none_matches,
                "{value}"
            );
            assert!(if_none_match.none_match_holds(None), "{value}");
        }
    }

    #[test]
    fn what_is_no_list_of_tags_is_refused() {
        for bad in [
            "",
            "abc",
            "\"a",
            "\"a\"b",
            "\"a\" \"b\"",
            "*, \"a\"",
            "w/\"a\"",
            ",",
        ] {
            assert_eq!(conditions("if-match", bad), None, "{bad:?}");
        }
        assert_eq!(Conditions::of(&HeaderMap::new()), Ok(Conditions::NONE));
    }

    #[test]
    fn a_list_without_a_possible_tag_still_matches_nothing() {
        let argument = |value| conditions("if-match", value).map(|c| c.if_match.argument());
        assert_eq!(argument("\"x\"").as_deref(), Some("-"));
        assert_eq!(argument("*").as_deref(), Some("*"));
        assert_eq!(argument(A).as_deref(), Some(A.trim_matches('"')));
        assert_eq!(Conditions::NONE.if_match.argument(), "");
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(value in "[ -~]{0,80}") {
            let _ = conditions("if-none-match", &value);
        }
    }
}
