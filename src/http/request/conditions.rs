//! `If-Match` and `If-None-Match` of a request (RFC 9110, section 13.1).

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::http::problem::InputFault;
use crate::types::etag::{Conditions, ETag, Tags};

/// Reads both headers.
///
/// # Errors
/// A fault for each header that is no list of entity tags and not `*`.
pub fn parse(headers: &HeaderMap) -> Result<Conditions, Vec<InputFault>> {
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
    let conditions = Conditions {
        if_match: read(header::IF_MATCH, Weak::NeverMatches),
        if_none_match: read(header::IF_NONE_MATCH, Weak::Matches),
    };
    if faults.is_empty() {
        Ok(conditions)
    } else {
        Err(faults)
    }
}

/// What a weak tag (`W/"..."`) counts for: `If-Match` compares strongly, `If-None-Match` weakly
/// (RFC 9110, section 8.8.3.2).
#[derive(Clone, Copy, PartialEq)]
enum Weak {
    Matches,
    NeverMatches,
}

/// The tags of a header that may be there more than once; `None` if it breaks its grammar.
fn tags(headers: &HeaderMap, name: &HeaderName, weak: Weak) -> Option<Tags> {
    // A tag may have bytes beyond ASCII, of any encoding: one character for each serves.
    let text = |value: &HeaderValue| value.as_bytes().iter().copied().map(char::from).collect();
    let values: Vec<String> = headers.get_all(name).iter().map(text).collect();
    if values.is_empty() {
        return Some(Tags::Absent);
    }
    let text = values.join(",");
    if text.trim_matches([' ', '\t']) == "*" {
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
        parse(&headers).ok()
    }

    #[test]
    fn strong_and_weak_comparison() {
        let a = ETag::of_digits(A.trim_matches('"'));
        for (value, matches, none_matches) in [
            (A.to_owned(), true, false),
            (format!("W/{A}"), false, false),
            (format!("\"x\", {A} ,"), true, false),
            ("\"x\"".to_owned(), false, true),
            ("\"\u{e4}\"".to_owned(), false, true),
            (format!("\"\u{e4}\",{A}"), true, false),
            ("*".to_owned(), true, false),
        ] {
            let if_match = conditions("if-match", &value).unwrap_or_default();
            assert_eq!(if_match.match_holds(a.as_ref()), matches, "{value}");
            assert!(!if_match.match_holds(None), "{value}");
            let if_none_match = conditions("if-none-match", &value).unwrap_or_default();
            assert_eq!(
                if_none_match.none_match_holds(a.as_ref()),
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
            "\u{e4}",
            "\u{a0}*",
            ",",
        ] {
            assert_eq!(conditions("if-match", bad), None, "{bad:?}");
        }
        assert_eq!(parse(&HeaderMap::new()), Ok(Conditions::NONE));
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
        fn no_header_makes_it_panic(value in "[ -~\u{80}-\u{ff}]{0,80}") {
            let _ = conditions("if-none-match", &value);
        }
    }
}
