//! Schemas of members that say more than the member's type: constants, and patterns made of the
//! parsers' limits.
//!
//! A constant is an `enum` of one: older tools do not know JSON Schema's `const`.

use serde_json::Value;
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};

use crate::core::lock::{COULD_NOT_ACQUIRE, MAX_OWNER_NAME, TOKEN_LENGTHS};

fn word(kind: Type, value: impl Into<Value>) -> Object {
    ObjectBuilder::new()
        .schema_type(kind)
        .enum_values(Some([value]))
        .build()
}

pub(crate) fn ok() -> Object {
    word(Type::String, "ok")
}

pub(crate) fn success() -> Object {
    word(Type::String, "success")
}

pub(crate) fn failed() -> Object {
    word(Type::String, "failed")
}

pub(crate) fn could_not_acquire() -> Object {
    word(Type::String, COULD_NOT_ACQUIRE)
}

pub(crate) fn yes() -> Object {
    word(Type::Boolean, true)
}

pub(crate) fn no() -> Object {
    word(Type::Boolean, false)
}

pub(crate) fn result() -> Object {
    json("What the action returned, if it returned something.")
}

pub(crate) fn origin_body() -> Object {
    json("What the origin answered, if that is JSON; of more than 2 KB the beginning, as a string.")
}

/// Any JSON.
pub(crate) fn json(description: &str) -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::AnyValue)
        .description(Some(description))
        .build()
}

/// Visible ASCII of a length between `least` and `most`.
pub(crate) fn visible(least: usize, most: usize) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(least))
        .max_length(Some(most))
        .pattern(Some(format!("^[!-~]{{{least},{most}}}$")))
        .build()
}

/// What an owner says of itself.
pub(crate) fn owner_name() -> Object {
    ObjectBuilder::from(owner_of_type(Type::String)).build()
}

/// The same in an answer, where it may be null.
pub(crate) fn owner() -> Object {
    let types = SchemaType::from_iter([Type::String, Type::Null]);
    ObjectBuilder::from(owner_of_type(types))
        .description(Some(
            "What the holder said of itself in `Lock-Owner`; null where it said nothing.",
        ))
        .build()
}

/// A server does not get spaces at the ends of a header (RFC 9110, section 5.5).
fn owner_of_type(types: impl Into<SchemaType>) -> Object {
    let inner = MAX_OWNER_NAME - 2;
    ObjectBuilder::new()
        .schema_type(types)
        .min_length(Some(1))
        .max_length(Some(MAX_OWNER_NAME))
        .pattern(Some(format!("^[!-~]([ -~]{{0,{inner}}}[!-~])?$")))
        .build()
}

/// The token of a lock.
pub(crate) fn lock_token() -> Object {
    visible(*TOKEN_LENGTHS.start(), *TOKEN_LENGTHS.end())
}

/// The same, in an answer.
pub(crate) fn secret_token() -> Object {
    ObjectBuilder::from(lock_token())
        .description(Some("What renews and releases the lock: a secret."))
        .build()
}
