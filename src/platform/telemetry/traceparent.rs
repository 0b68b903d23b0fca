//! The trace that a request belongs to (<https://www.w3.org/TR/trace-context/#traceparent-header>).

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::types::header_names::{TRACEPARENT, TRACESTATE};

/// The longest `tracestate` that is passed on, in characters: what every vendor must take.
const LONGEST_STATE: usize = 512;

/// The trace id in `traceparent`: version, trace id, parent id, flags, with hyphens between. `None`
/// where it is malformed.
pub(crate) fn trace_id(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(TRACEPARENT)?.to_str().ok()?;
    let mut parts = value.split('-');
    let (version, trace) = (parts.next()?, parts.next()?);
    let valid = is_hex(version, 2)
        && version != "ff"
        && is_hex(trace, 32)
        && trace.bytes().any(|byte| byte != b'0');
    valid.then_some(trace)
}

/// The most members that a `tracestate` may have.
const MOST_MEMBERS: usize = 32;

/// The longest key and the longest value of a member, in characters.
const LONGEST_PART: usize = 256;

/// What continues the caller's trace in a request to somebody else: nothing where `traceparent` is
/// malformed, and no `tracestate` that is malformed or longer than 512 characters.
pub(crate) fn continued_trace(headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    let mut parents = headers.get_all(TRACEPARENT).iter();
    let (Some(parent), None) = (parents.next(), parents.next()) else {
        return Vec::new();
    };
    if trace_id(headers).is_none() || !is_whole(parent) {
        return Vec::new();
    }
    let mut passed = vec![(TRACEPARENT, parent.clone())];
    let states = states(headers).into_iter();
    passed.extend(states.map(|state| (TRACESTATE, state.clone())));
    passed
}

/// The lines of `tracestate`. None if they are malformed or longer than 512 characters.
pub(super) fn states(headers: &HeaderMap) -> Vec<&HeaderValue> {
    let states: Vec<_> = headers.get_all(TRACESTATE).iter().collect();
    // Several lines are one list, with a comma between.
    let length = states.iter().map(|state| state.len() + 1).sum::<usize>();
    if length <= LONGEST_STATE + 1 && is_state(&states) {
        states
    } else {
        Vec::new()
    }
}

/// Whether parent id and flags are well-formed too. A later version may have more parts, up to a
/// bound.
fn is_whole(traceparent: &HeaderValue) -> bool {
    let text = traceparent.to_str().unwrap_or_default();
    let parts: Vec<_> = text.split('-').collect();
    let [version, _, parent, flags, rest @ ..] = parts.as_slice() else {
        return false;
    };
    is_hex(parent, 16)
        && parent.bytes().any(|byte| byte != b'0')
        && is_hex(flags, 2)
        && (rest.is_empty() || *version != "00")
        && text.len() <= LONGEST_STATE
}

/// Whether these lines are a list of members (section 3.3.1). Members may be empty.
fn is_state(lines: &[&HeaderValue]) -> bool {
    let members = |line| str::split(line, ',').map(|member| member.trim_matches([' ', '\t']));
    let texts: Option<Vec<_>> = lines.iter().map(|line| line.to_str().ok()).collect();
    let members = texts.iter().flatten().copied().flat_map(members);
    let members: Vec<_> = members.filter(|member| !member.is_empty()).collect();
    texts.is_some() && members.len() <= MOST_MEMBERS && members.into_iter().all(is_member)
}

/// Whether a text is `key=value`.
fn is_member(text: &str) -> bool {
    let Some((key, value)) = text.split_once('=') else {
        return false;
    };
    let first = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let later = |byte: u8| first(byte) || b"_-*/@".contains(&byte);
    let in_value = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'=';
    key.len() <= LONGEST_PART
        && key.bytes().next().is_some_and(first)
        && key.bytes().all(later)
        && (1..=LONGEST_PART).contains(&value.len())
        && value.bytes().all(in_value)
}

/// Whether a text is so many hexadecimal digits in lower case.
pub(super) fn is_hex(text: &str, digits: usize) -> bool {
    let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == digits && text.bytes().all(lower)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_trace_id_is_what_its_specification_says() {
        let trace = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(TRACEPARENT, HeaderValue::from_static(value));
            trace_id(&headers).map(str::to_owned)
        };
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        let valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(trace(valid).as_deref(), Some(id));
        for wrong in [
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "4bf92f3577b34da6a3ce929d0e0e4736",
            "",
        ] {
            assert_eq!(trace(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_malformed_parent_and_a_long_state_are_not_passed_on() {
        let valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let passed = |parent: &str, states: &[&str]| {
            let value = |text: &str| HeaderValue::try_from(text).ok();
            let mut headers = HeaderMap::new();
            headers.extend(value(parent).map(|value| (TRACEPARENT, value)));
            for state in states {
                headers.extend(value(state).map(|value| (TRACESTATE, value)));
            }
            continued_trace(&headers).len()
        };
        assert_eq!(passed(valid, &["a=1", "b=2"]), 3);
        let long = format!("a={}", "x".repeat(253));
        assert_eq!(passed(valid, &[&long, &long]), 3);
        assert_eq!(passed(valid, &[&format!("{long},{long},")]), 2);
        assert_eq!(passed(valid, &[&format!("{long},{long},,")]), 1);
        assert_eq!(passed(valid, &[&long, &format!("{long},,")]), 1);
        for state in ["", ",", "a=1, b@c=2\t,", "0/*-_=~ !", &"a=1,".repeat(32)] {
            assert_eq!(passed(valid, &[state]), 2, "{state}");
        }
        let long = format!("a={}", "x".repeat(257));
        for state in [
            ",,,===", "a", "a=", "=1", "A=1", "a b=1", "a=1=2", "a=\u{e4}", &long,
        ] {
            assert_eq!(passed(valid, &["b=2", state]), 1, "{state}");
        }
        assert_eq!(passed(valid, &[&"a=1,".repeat(33)]), 1);
        for wrong in [
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "nonsense",
        ] {
            assert_eq!(passed(wrong, &["a=1"]), 0, "{wrong}");
        }
        let later = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x";
        assert_eq!(passed(later, &[]), 1);
    }
}
