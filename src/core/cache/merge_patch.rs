//! JSON merge patch (RFC 7396) on JSON texts.
//!
//! What a patch does not touch keeps its bytes: order, spelling of numbers however long, escapes. A
//! library that merges parsed values would round a number with more digits than an f64 has.

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

/// Members of an object in their order. `None` is one that was removed: taking it out would move
/// all that follow.
type Members = IndexMap<String, Option<Box<RawValue>>>;

/// Applies `patch` to `target`, both JSON nested at most as deep as [`crate::types::json::parse`]
/// allows.
///
/// # Errors
/// None for such texts.
pub(crate) fn merge(
    target: Option<&RawValue>,
    patch: &RawValue,
) -> Result<Box<RawValue>, serde_json::Error> {
    if !is_object(patch) {
        return Ok(patch.to_owned());
    }
    let mut members: Members = match target {
        // Read into `Members` at once, a `null` would count as removed.
        Some(target) if is_object(target) => read(target)?.map(keep).collect(),
        _ => Members::new(),
    };
    for (name, change) in read(patch)? {
        if change.get() == "null" {
            if let Some(member) = members.get_mut(&name) {
                *member = None;
            }
        } else {
            let before = members.get(&name).and_then(|member| member.as_deref());
            let merged = merge(before, &change)?;
            members.insert(name, Some(merged));
        }
    }
    to_raw_value(&Present(&members))
}

type Member = (String, Box<RawValue>);

fn read(object: &RawValue) -> Result<impl Iterator<Item = Member> + use<>, serde_json::Error> {
    let members: IndexMap<String, Box<RawValue>> = serde_json::from_str(object.get())?;
    Ok(members.into_iter())
}

fn keep((name, value): Member) -> (String, Option<Box<RawValue>>) {
    (name, Some(value))
}

/// Serializes the members that were not removed.
struct Present<'a>(&'a Members);

impl Serialize for Present<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let present = self.0.iter();
        serializer.collect_map(present.filter_map(|(name, value)| Some((name, value.as_ref()?))))
    }
}

fn is_object(json: &RawValue) -> bool {
    json.get().starts_with('{')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn merged(target: &str, patch: &str) -> Option<String> {
        let target: &RawValue = serde_json::from_str(target).ok()?;
        let patch: &RawValue = serde_json::from_str(patch).ok()?;
        merge(Some(target), patch)
            .ok()
            .map(|json| json.get().to_owned())
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
        let examples = include_str!("../../../tests/data/rfc7396.json");
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

    proptest! {
        #[test]
        fn agrees_with_the_rfc(target in json(), patch in json()) {
            let result = merged(&target.to_string(), &patch.to_string()).unwrap_or_default();
            prop_assert_eq!(serde_json::from_str::<Value>(&result).ok(), Some(reference(target, &patch)));
        }
    }
}
