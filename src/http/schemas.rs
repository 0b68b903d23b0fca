//! Members whose schema says more than their type: words that are the only ones, and patterns made
//! of the parsers' constants.
//!
//! A word that is the only one is an `enum` of one, which is JSON Schema's `const` and which older
//! tools know too.

use serde_json::Value;
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};

use crate::core::lock::{COULD_NOT_ACQUIRE, TOKEN_LENGTHS};

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

/// Visible ASCII, so many characters of it.
pub(crate) fn visible(least: usize, most: usize) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(least))
        .max_length(Some(most))
        .pattern(Some(format!("^[!-~]{{{least},{most}}}$")))
        .build()
}

/// What a lock is held by.
pub(crate) fn lock_token() -> Object {
    visible(*TOKEN_LENGTHS.start(), *TOKEN_LENGTHS.end())
}

/// The same, where it is given out.
pub(crate) fn secret_token() -> Object {
    ObjectBuilder::from(lock_token())
        .description(Some("What renews and releases the lock: a secret."))
        .build()
}
