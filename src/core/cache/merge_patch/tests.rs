//! Merges, by the examples and the pseudocode of RFC 7396, and what they leave as it is.

use super::*;
use futures::FutureExt as _;
use proptest::prelude::*;
use serde_json::Value;
use serde_json::value::RawValue;

fn merged(target: &str, patch: &str) -> Option<String> {
    let merged = merge(Some(target), patch, usize::MAX).now_or_never()?;
    String::from_utf8(merged.ok()?).ok()
}

/// RFC 7396, appendix A; the tests over HTTP use the same file.
#[derive(serde::Deserialize)]
struct Example {
    original: Box<RawValue>,
    patch: Box<RawValue>,
    result: Box<RawValue>,
}

#[test]
fn the_examples_of_the_rfc_hold() {
    let examples = include_str!("rfc7396.json");
    let examples: Vec<Example> = serde_json::from_str(examples).unwrap_or_default();
    assert_eq!(examples.len(), 15);
    for example in examples {
        let (original, patch) = (example.original.get(), example.patch.get());
        let result = Some(example.result.get());
        assert_eq!(
            merged(original, patch).as_deref(),
            result,
            "{original} {patch}"
        );
    }
}

#[test]
fn what_is_not_touched_keeps_its_bytes() {
    let target = r#"{"z": 1.10, "long":123456789012345678901234567890, "e":"\u00e9", "a":[ 1 ]}"#;
    let result = merged(target, r#"{"b":2}"#);
    let expected =
        r#"{"z":1.10,"long":123456789012345678901234567890,"e":"\u00e9","a":[ 1 ],"b":2}"#;
    assert_eq!(result.as_deref(), Some(expected));
}

#[test]
fn a_name_that_is_there_twice_has_its_last_value() {
    for (target, patch, result) in [
        (r#"{"a":1,"b":2,"a":3}"#, "{}", r#"{"a":3,"b":2}"#),
        (r#"{"a":1,"b":2,"a":3}"#, r#"{"a":null}"#, r#"{"b":2}"#),
        (
            r#"{"a":{"x":1},"a":2}"#,
            r#"{"a":{"y":3}}"#,
            r#"{"a":{"y":3}}"#,
        ),
        (
            r#"{"a":2,"a":{"x":1}}"#,
            r#"{"a":{"y":3}}"#,
            r#"{"a":{"x":1,"y":3}}"#,
        ),
        (r#"{"\u0061":1,"a":2}"#, r#"{"a":3}"#, r#"{"a":3}"#),
        (r#"{"a":1}"#, r#"{"a":null,"a":2}"#, r#"{"a":2}"#),
        (r#"{"a":1}"#, r#"{"a":2,"\u0061":null}"#, "{}"),
        (
            r#"{"o":{"a":1,"a":2}}"#,
            r#"{"b":1}"#,
            r#"{"o":{"a":1,"a":2},"b":1}"#,
        ),
    ] {
        let merged = merged(target, patch);
        assert_eq!(merged.as_deref(), Some(result), "{target} {patch}");
    }
}

#[test]
fn what_a_patch_adds_to_a_name_that_is_there_twice_is_added_once() {
    for (target, patch, result) in [
        (
            r#"{"a":{"x":1},"b":0,"a":{"z":2}}"#,
            r#"{"a":{"y":3,"x":null}}"#,
            r#"{"a":{"z":2,"y":3},"b":0}"#,
        ),
        (
            r#"{"a":{"y":1},"a":{}}"#,
            r#"{"a":{"y":3}}"#,
            r#"{"a":{"y":3}}"#,
        ),
        (
            r#"{"a":{}}"#,
            r#"{"a":{"x":1},"a":{"y":{"z":null,"z":1}}}"#,
            r#"{"a":{"y":{"z":1}}}"#,
        ),
    ] {
        let merged = merged(target, patch);
        assert_eq!(merged.as_deref(), Some(result), "{target} {patch}");
    }
}

#[test]
fn a_merged_text_has_its_bound() {
    let merge = |longest| merge(Some(r#"{"a":1}"#), r#"{"b":2}"#, longest).now_or_never();
    let merged = merge(13);
    assert_eq!(merged, Some(Ok(br#"{"a":1,"b":2}"#.to_vec())));
    assert_eq!(merge(12), Some(Err(MergeError::TooLong)));
}

#[test]
fn no_text_is_merged_without_breaks() {
    use crate::platform::long_work::BREAKS;
    let members = |value: &str| {
        let members: Vec<_> = (0..100_000).map(|n| format!("\"{n}\":{value}")).collect();
        format!("{{{}}}", members.join(","))
    };
    let (flat, long) = (members("1"), "a".repeat(2_000_000));
    for (target, patch) in [
        (flat.clone(), flat.clone()),
        (flat, "{}".to_owned()),
        ("{}".to_owned(), members("{\"a\":1}")),
        (format!("{{\"{long}\":1}}"), format!("{{\"{long}\":2}}")),
        (
            format!("{{\"a\":\"{long}\"}}"),
            format!("{{\"b\":\"{long}\"}}"),
        ),
        (
            format!("{{{}}}", " ".repeat(2_000_000)),
            "{\"a\":1}".to_owned(),
        ),
    ] {
        let before = BREAKS.get();
        assert!(merged(&target, &patch).is_some());
        let pieces = (target.len() + patch.len()) / Pace::PIECE;
        assert!(BREAKS.get() - before >= pieces - 2, "{}", &patch[..2]);
    }
}

#[test]
fn thousands_of_members_are_merged() {
    let object = |range: std::ops::Range<u32>, value| {
        let members: Vec<_> = range.map(|n| format!("\"{n}\":{value}")).collect();
        format!("{{{}}}", members.join(","))
    };
    let expected =
        object(0..3000, 1).replace('}', ",") + object(3000..9000, 2).trim_start_matches('{');
    let merged = merged(&object(0..6000, 1), &object(3000..9000, 2));
    assert_eq!(merged, Some(expected));
}

#[test]
fn what_is_not_json_is_told() {
    for bad in [
        "{",
        r#"{"a""#,
        r#"{"a":"#,
        r#"{"a":1"#,
        r#"{"a":{"b":1}"#,
        "{1}",
    ] {
        assert_eq!(merged(bad, r#"{"a":{"b":2}}"#), None, "{bad}");
        assert_eq!(merged(r#"{"a":{}}"#, bad), None, "{bad}");
    }
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-c]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-c]{1,2}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// The pseudocode of RFC 7396, section 2, on parsed values.
fn reference(target: Value, patch: &Value) -> Value {
    let Value::Object(changes) = patch else {
        return patch.clone();
    };
    let mut members = match target {
        Value::Object(members) => members,
        _ => serde_json::Map::new(),
    };
    for (name, change) in changes {
        if change.is_null() {
            members.remove(name);
        } else {
            let before = members.remove(name).unwrap_or(Value::Null);
            members.insert(name.clone(), reference(before, change));
        }
    }
    Value::Object(members)
}

/// One of several ways to write a value: with space, and with names escaped.
fn spelled(value: &Value, spelling: usize) -> String {
    let space = ["", " ", "\n\t"][spelling % 3];
    match value {
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| {
                let name = match spelling % 2 {
                    0 => name.clone(),
                    _ => name.replace('a', "\\u0061"),
                };
                let value = spelled(value, spelling / 2);
                format!("{space}\"{name}\"{space}:{space}{value}{space}")
            };
            let members: Vec<_> = members.iter().map(member).collect();
            format!("{{{space}{}}}", members.join(","))
        }
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| spelled(item, spelling)).collect();
            format!("[{space}{}]", items.join(&format!("{space},")))
        }
        leaf => leaf.to_string(),
    }
}

proptest! {
    #[test]
    fn agrees_with_the_rfc(target in json(), patch in json(), spelling in 0usize..36) {
        let spelled = |value| format!(" {}\n", spelled(value, spelling));
        let result = merged(&spelled(&target), &spelled(&patch)).unwrap_or_default();
        prop_assert_eq!(serde_json::from_str::<Value>(&result).ok(), Some(reference(target, &patch)));
    }

    #[test]
    fn no_text_makes_it_panic(target in "[{}\\[\\]\":,a\\\\ ]{0,16}", patch in "[{}\":,a]{0,12}") {
        let _ = merged(&target, &patch);
    }
}
