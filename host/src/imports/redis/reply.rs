//! Redis replies in the form of `spin:redis`: one flat list of limited size.

use redis::{ErrorKind, RedisError, Value};

use crate::imports::bindings::redis::{Error, RedisResult};

/// The largest reply that a component gets, in bytes: Spin's `MAX_HOST_BUFFERED_BYTES`.
const MAX_REPLY_BYTES: usize = 128 << 20;

/// Checks the size of the reply to a `GET`.
pub(super) fn check_value(value: Option<&Vec<u8>>) -> Result<(), Error> {
    check_size(size_of::<Option<Vec<u8>>>() + value.map_or(0, Vec::len))
}

/// Flattens the reply to any command.
pub(super) fn flatten(value: Value) -> Result<Vec<RedisResult>, Error> {
    let mut results = Vec::new();
    append(value, &mut results).map_err(|error| Error::Other(error.to_string()))?;
    check_size(size_of::<Vec<RedisResult>>() + results.iter().map(size).sum::<usize>())?;
    Ok(results)
}

/// Arrays and sets are flattened. A type that `redis-result` lacks is an error.
fn append(value: Value, into: &mut Vec<RedisResult>) -> Result<(), RedisError> {
    let unsupported = |subject: &str| {
        Err(RedisError::from((
            ErrorKind::TypeError,
            "Could not convert Redis response",
            format!("Redis {subject} not supported"),
        )))
    };
    into.push(match value {
        Value::Nil => RedisResult::Nil,
        Value::Int(number) => RedisResult::Int64(number),
        Value::Boolean(yes) => RedisResult::Int64(i64::from(yes)),
        Value::BulkString(bytes) => RedisResult::Binary(bytes),
        Value::Double(number) => RedisResult::Binary(number.to_string().into_bytes()),
        Value::BigNumber(number) => RedisResult::Binary(number.to_string().into_bytes()),
        Value::SimpleString(text) => RedisResult::Status(text),
        Value::Okay => RedisResult::Status("OK".to_owned()),
        Value::Array(values) | Value::Set(values) => {
            return values.into_iter().try_for_each(|value| append(value, into));
        }
        Value::Map(_) => return unsupported("Map type is"),
        Value::Attribute { .. } => return unsupported("Attribute type is"),
        Value::VerbatimString { .. } => return unsupported("string with format attribute is"),
        Value::Push { .. } => return unsupported("Pub/Sub types are"),
        Value::ServerError(error) => {
            return Err((
                ErrorKind::ResponseError,
                "Server error",
                format!("{error:?}"),
            )
                .into());
        }
    });
    Ok(())
}

/// Bytes of memory that a result takes.
fn size(result: &RedisResult) -> usize {
    size_of::<RedisResult>()
        + match result {
            RedisResult::Nil | RedisResult::Int64(_) => 0,
            RedisResult::Binary(bytes) => bytes.len(),
            RedisResult::Status(text) => text.len(),
        }
}

fn check_size(size: usize) -> Result<(), Error> {
    if size > MAX_REPLY_BYTES {
        return Err(Error::Other(format!(
            "query result exceeds limit of {MAX_REPLY_BYTES} bytes"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_nested_reply_is_flattened() {
        let reply = Value::Array(vec![
            Value::Okay,
            Value::Array(vec![Value::Int(1), Value::Nil]),
            Value::Set(vec![Value::Boolean(true), Value::Double(1.5)]),
            Value::BulkString(b"a".to_vec()),
        ]);
        let names: Vec<_> = flatten(reply)
            .unwrap()
            .into_iter()
            .map(|result| match result {
                RedisResult::Nil => "nil".to_owned(),
                RedisResult::Int64(number) => format!("int {number}"),
                RedisResult::Status(text) => format!("status {text}"),
                RedisResult::Binary(bytes) => format!("binary {}", String::from_utf8_lossy(&bytes)),
            })
            .collect();
        assert_eq!(
            names,
            [
                "status OK",
                "int 1",
                "nil",
                "int 1",
                "binary 1.5",
                "binary a"
            ]
        );
    }

    #[test]
    fn a_map_is_an_error() {
        let Error::Other(text) = flatten(Value::Map(vec![])).unwrap_err() else {
            unreachable!("every failed conversion is of this kind");
        };
        assert_eq!(
            text,
            "Could not convert Redis response - TypeError: Redis Map type is not supported"
        );
    }

    #[test]
    fn a_reply_that_is_too_large_is_an_error() {
        assert!(check_size(MAX_REPLY_BYTES).is_ok());
        assert!(check_size(MAX_REPLY_BYTES + 1).is_err());
    }
}
