//! Headers of requests that this service gives a meaning.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::core::idempotency::IdempotencyKey;
use crate::core::lock::{OwnerName, OwnerToken};
use crate::http::problem::Problem;
use crate::http::request::values::ValueFault;
use crate::types::header_names::{IDEMPOTENCY_KEY, X_REQUEST_ID};
use crate::types::request_id::RequestId;

const LOCK_TOKEN: HeaderName = HeaderName::from_static("lock-token");

const LOCK_OWNER: HeaderName = HeaderName::from_static("lock-owner");

/// The token of a caller who computes a cache entry.
pub(crate) const COMPUTE_TOKEN: HeaderName = HeaderName::from_static("compute-token");

/// The id of the request: the caller's if it is there once and well formed, else a new one.
pub(crate) fn request_id(headers: &HeaderMap) -> RequestId {
    let given = single(headers, &X_REQUEST_ID).ok().flatten();
    given
        .and_then(RequestId::parse)
        .unwrap_or_else(RequestId::random)
}

/// The caller's `Idempotency-Key`, if there is one.
///
/// # Errors
/// 400 where it is there more than once or malformed.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Problem> {
    let parse = |value: &HeaderValue| IdempotencyKey::parse(value.as_bytes());
    parsed(headers, &IDEMPOTENCY_KEY, parse).map_err(|Malformed| Problem::idempotency_key_invalid())
}

/// The client's own `Lock-Token`, if it brought one.
///
/// # Errors
/// 400 where it is there more than once or malformed.
pub(crate) fn brought_lock_token(headers: &HeaderMap) -> Result<Option<OwnerToken>, Problem> {
    let parse = |value: &HeaderValue| OwnerToken::parse(value.as_bytes());
    parsed(headers, &LOCK_TOKEN, parse).map_err(|Malformed| Problem::lock_token_invalid())
}

/// The `Lock-Token` of a holder.
///
/// # Errors
/// 428 where it is absent, 400 where it is there more than once or malformed.
pub(crate) fn lock_token(headers: &HeaderMap) -> Result<OwnerToken, Problem> {
    brought_lock_token(headers)?.ok_or_else(Problem::lock_token_required)
}

/// What the client says of itself in `Lock-Owner`, if it does.
///
/// # Errors
/// Where it is there more than once or malformed.
pub(crate) fn lock_owner(headers: &HeaderMap) -> Result<Option<OwnerName>, ValueFault> {
    let value = single(headers, &LOCK_OWNER).map_err(|Malformed| {
        let msg = "Header is given more than once";
        (msg.to_owned(), "multiple_values")
    })?;
    let Some(value) = value else {
        return Ok(None);
    };
    let name = OwnerName::parse(value.as_bytes());
    name.map(Some).ok_or_else(|| {
        let msg = "Input should be 1 to 128 visible ASCII characters and spaces";
        (msg.to_owned(), "string_pattern_mismatch")
    })
}

/// The `Compute-Token` of a caller who computes a cache entry, if there is one.
///
/// # Errors
/// 409 where it is there more than once or malformed: nobody was given such a one.
pub(crate) fn compute_token(headers: &HeaderMap) -> Result<Option<OwnerToken>, Problem> {
    let parse = |value: &HeaderValue| OwnerToken::parse(value.as_bytes());
    parsed(headers, &COMPUTE_TOKEN, parse).map_err(|Malformed| Problem::not_computing())
}

struct Malformed;

fn parsed<T>(
    headers: &HeaderMap,
    name: &HeaderName,
    parse: impl Fn(&HeaderValue) -> Option<T>,
) -> Result<Option<T>, Malformed> {
    match single(headers, name)? {
        Some(value) => parse(value).map(Some).ok_or(Malformed),
        None => Ok(None),
    }
}

/// The value of a header that may be there once.
fn single<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a HeaderValue>, Malformed> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        (_, Some(_)) => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_may_be_there_once_is_not_read_twice() {
        let mut headers = HeaderMap::new();
        assert!(matches!(idempotency_key(&headers), Ok(None)));
        headers.append(IDEMPOTENCY_KEY, HeaderValue::from_static("a"));
        assert!(matches!(idempotency_key(&headers), Ok(Some(_))));
        headers.append(IDEMPOTENCY_KEY, HeaderValue::from_static("b"));
        assert!(idempotency_key(&headers).is_err());
    }
}
