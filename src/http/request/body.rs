//! Request bodies: bounded, then typed, then parsed, in the order in which the contract reports
//! them (413, 415, 400).

use bytes::Bytes;
use http::{HeaderMap, header};

use crate::http::problem::Problem;
use crate::http::wasi::{ReadBodyError, RequestBody};
use crate::platform::long_work::check_json;
use crate::types::media_type::{is_json, is_merge_patch};

/// Reads a JSON body of at most `limit` bytes; `None` if there is none. The bytes are those that
/// were sent.
///
/// # Errors
/// 413 where it is longer, found out by its `Content-Length` before anything is read, else at the
/// first byte too many; 415 where its `Content-Type` is not JSON (absent is read as JSON); 400
/// where it is not JSON, or ends before its announced length.
pub(crate) async fn json(
    headers: &HeaderMap,
    body: RequestBody,
    limit: usize,
) -> Result<Option<Bytes>, Problem> {
    let bytes = bounded(headers, body, limit).await?;
    if bytes.is_empty() {
        return Ok(None);
    }
    if !headers.get(header::CONTENT_TYPE).is_none_or(is_json) {
        return Err(Problem::unsupported_media_type());
    }
    let checked = check_json(&bytes).await;
    checked.map_err(|error| not_json(&error))?;
    Ok(Some(bytes))
}

/// Checks a body that nobody uses as [`json`] does: a client that sends its parameters as a form
/// should learn that they are not read. A body that no header announces is read too: over HTTP/1.1
/// in chunks, over HTTP/2 as usual.
///
/// # Errors
/// As [`json`].
pub(crate) async fn unused(
    headers: &HeaderMap,
    body: RequestBody,
    limit: usize,
) -> Result<(), Problem> {
    json(headers, body, limit).await.map(drop)
}

/// Reads a merge patch of at most `limit` bytes (RFC 7396).
///
/// # Errors
/// As [`json`], but for the type, which must be `application/merge-patch+json` or absent; and 400
/// without a body.
pub(crate) async fn merge_patch(
    headers: &HeaderMap,
    body: RequestBody,
    limit: usize,
) -> Result<Bytes, Problem> {
    let bytes = bounded(headers, body, limit).await?;
    if !headers.get(header::CONTENT_TYPE).is_none_or(is_merge_patch) {
        return Err(Problem::not_a_merge_patch());
    }
    let checked = check_json(&bytes).await;
    checked.map_err(|error| not_json(&error))?;
    Ok(bytes)
}

/// 400, with what is wrong and where.
pub(crate) fn not_json(error: &impl std::fmt::Display) -> Problem {
    Problem::malformed_json(format!("Not JSON: {error}"))
}

async fn bounded(headers: &HeaderMap, body: RequestBody, limit: usize) -> Result<Bytes, Problem> {
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(Problem::body_too_large(limit));
    }
    let announced = announced.map(|length| length as usize);
    body.read(announced, limit)
        .await
        .map_err(|error| match error {
            ReadBodyError::TooLong => Problem::body_too_large(limit),
            ReadBodyError::Failed(error) => {
                let what = "The request body could not be read to its end";
                Problem::malformed_json(what).by_client(error)
            }
        })
}
