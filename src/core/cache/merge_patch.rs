//! JSON merge patch (RFC 7396) on JSON texts, in one pass over each.
//!
//! What a patch does not touch keeps its bytes: order, spelling of numbers however long, escapes. A
//! library that merges parsed values would round a number with more digits than an f64 has.
//!
//! Of an object that a patch touches, and only of such a one, the members are read: a name that is
//! there twice has its last value, at its first place.

mod reader;
mod writer;

use std::borrow::Cow;

use indexmap::IndexMap;

use crate::platform::long_work::Pace;
use reader::Reader;

/// A text that is not JSON after all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The members of an object, in their order: by the characters of their names, each with its name
/// as it is spelled.
type Members<'a, T> = IndexMap<Cow<'a, str>, (&'a str, T)>;

/// The characters of a name, and how it is spelled, in quotes.
type MemberName<'a> = (Cow<'a, str>, &'a str);

/// What a patch does to a value.
enum Change<'a> {
    Remove,
    Replace(&'a str),
    Merge(Members<'a, Change<'a>>),
}

/// A value of the merged text.
enum Merged<'a> {
    /// As it was.
    Same(&'a str),
    /// As the patch has it, without what that removes.
    Patched(&'a Change<'a>),
    /// An object that the patch touches.
    Object(Members<'a, Merged<'a>>),
}

/// An object of the target that is being read, and what the patch does to it.
struct Frame<'a> {
    changes: &'a Members<'a, Change<'a>>,
    members: Members<'a, Merged<'a>>,
    /// The member that holds the next frame's object.
    inner: Option<MemberName<'a>>,
}

impl<'a> Frame<'a> {
    fn new(changes: &'a Members<'a, Change<'a>>) -> Self {
        Self {
            changes,
            members: Members::new(),
            inner: None,
        }
    }

    /// The merged object: what the patch adds comes last.
    fn finish(mut self) -> Merged<'a> {
        for (key, (name, change)) in self.changes {
            if !matches!(change, Change::Remove) && !self.members.contains_key(key) {
                let value = Merged::Patched(change);
                self.members.insert(key.clone(), (*name, value));
            }
        }
        Merged::Object(self.members)
    }
}

/// Applies `patch` to `target`, both JSON.
///
/// # Errors
/// [`Malformed`] where one of them is no JSON.
///
/// # Cancellation
/// Dropping the future loses the work.
pub(crate) async fn merge(target: Option<&str>, patch: &str) -> Result<String, Malformed> {
    let mut pace = Pace::default();
    let change = read_patch(&mut Reader::new(patch, &mut pace)).await?;
    let merged = match (&change, target) {
        (Change::Merge(changes), Some(target)) => {
            read_target(&mut Reader::new(target, &mut pace), changes).await?
        }
        _ => Merged::Patched(&change),
    };
    let room = patch.len() + target.map_or(0, str::len);
    Ok(writer::write(&merged, room, &mut pace).await)
}

/// Reads a patch. At its top, `null` is a value like any other.
async fn read_patch<'a>(reader: &mut Reader<'a, '_>) -> Result<Change<'a>, Malformed> {
    if !reader.enters_object() {
        return Ok(Change::Replace(reader.value().await?));
    }
    let mut outer: Vec<(Members<'a, Change<'a>>, MemberName<'a>)> = Vec::new();
    let mut members = Members::new();
    loop {
        let (member, change) = match reader.name().await? {
            Some(member) if reader.enters_object() => {
                outer.push((members, member));
                members = Members::new();
                continue;
            }
            Some(member) => match reader.value().await? {
                "null" => (member, Change::Remove),
                value => (member, Change::Replace(value)),
            },
            None => {
                let change = Change::Merge(members);
                let Some((around, member)) = outer.pop() else {
                    return Ok(change);
                };
                members = around;
                (member, change)
            }
        };
        let (key, name) = member;
        members.insert(key, (name, change));
    }
}

/// Reads a target and merges changes into it.
async fn read_target<'a>(
    reader: &mut Reader<'a, '_>,
    changes: &'a Members<'a, Change<'a>>,
) -> Result<Merged<'a>, Malformed> {
    let mut frame = Frame::new(changes);
    if !reader.enters_object() {
        // RFC 7396, section 2: as if it were an empty object.
        return Ok(frame.finish());
    }
    let mut outer: Vec<Frame<'a>> = Vec::new();
    loop {
        let (key, name, value) = match reader.name().await? {
            Some((key, name)) => match frame.changes.get(&key) {
                Some((_, Change::Merge(changes))) if reader.enters_object() => {
                    frame.inner = Some((key, name));
                    outer.push(frame);
                    frame = Frame::new(changes);
                    continue;
                }
                Some((_, change)) => {
                    reader.value().await?;
                    if matches!(change, Change::Remove) {
                        continue;
                    }
                    (key, name, Merged::Patched(change))
                }
                None => (key, name, Merged::Same(reader.value().await?)),
            },
            None => {
                let merged = frame.finish();
                let Some(around) = outer.pop() else {
                    return Ok(merged);
                };
                frame = around;
                let (key, name) = frame.inner.take().ok_or(Malformed)?;
                (key, name, merged)
            }
        };
        frame.members.insert(key, (name, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;
    use proptest::prelude::*;
    use serde_json::Value;
    use serde_json::value::RawValue;

    fn merged(target: &str, patch: &str) -> Option<String> {
        merge(Some(target), patch).now_or_never()?.ok()
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
        let examples = include_str!("merge_patch/rfc7396.json");
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
        let target =
            r#"{"z": 1.10, "long":123456789012345678901234567890, "e":"\u00e9", "a":[ 1 ]}"#;
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
}
