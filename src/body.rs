//! Request bodies: bounded, then typed, then parsed, in the order in which the contract reports them (413, 415, 400).

use bytes::Bytes;
use http::{HeaderMap, header};

use crate::json;
use crate::problem::Problem;
use crate::wasi_http::{RequestBody, Unread};

/// Reads a JSON body of at most `limit` bytes; `None` if there is none. The bytes are those that were sent.
///
/// # Errors
/// 413 where it is longer, found out by its `Content-Length` before anything is read, else at the first byte too many; 415
/// where its `Content-Type` is not JSON (absent is read as JSON); 400 where it is not JSON, or ends before its announced length.
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
    json::check(&bytes).map_err(|error| not_json(&error))?;
    Ok(Some(bytes))
}

/// Reads a merge patch of at most `limit` bytes (RFC 7396).
///
/// # Errors
/// As [`json`], but for the type, which must be `application/merge-patch+json` or absent; and 400 without a body.
pub(crate) async fn merge_patch(
    headers: &HeaderMap,
    body: RequestBody,
    limit: usize,
) -> Result<Bytes, Problem> {
    let bytes = bounded(headers, body, limit).await?;
    let is_patch = |value| essence(value).is_some_and(|essence| essence == MERGE_PATCH);
    if !headers.get(header::CONTENT_TYPE).is_none_or(is_patch) {
        return Err(Problem::not_a_merge_patch());
    }
    json::check(&bytes).map_err(|error| not_json(&error))?;
    Ok(bytes)
}

/// 400, with what is wrong and where.
pub(crate) fn not_json(error: &serde_json::Error) -> Problem {
    Problem::malformed_json(format!("Not JSON: {error}"))
}

/// The type of a merge patch (RFC 7396, section 4).
const MERGE_PATCH: &str = "application/merge-patch+json";

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
        .map_err(|unread| match unread {
            Unread::TooLong => Problem::body_too_large(limit),
            Unread::Failed(error) => {
                let what = "The request body could not be read to its end";
                Problem::malformed_json(what).caused_by(error)
            }
        })
}

/// Whether a media type is JSON: `application/json` or `application/<something>+json` (RFC 6839, section 3.1), with any
/// parameters.
pub(crate) fn is_json(content_type: &http::HeaderValue) -> bool {
    let Some(essence) = essence(content_type) else {
        return false;
    };
    match essence.strip_prefix("application/") {
        Some(subtype) => subtype == "json" || (subtype.len() > 5 && subtype.ends_with("+json")),
        None => false,
    }
}

/// A media type in lower case without its parameters.
fn essence(content_type: &http::HeaderValue) -> Option<String> {
    let text = content_type.to_str().ok()?;
    let essence = text.split(';').next()?;
    Some(essence.trim().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn json_types_are_known() {
        for good in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/ld+json",
        ] {
            assert!(is_json(&HeaderValue::from_static(good)), "{good}");
        }
        for bad in [
            "",
            "text/json",
            "application/x-www-form-urlencoded",
            "application/+json",
            "application/jsonp",
        ] {
            assert!(!is_json(&HeaderValue::from_static(bad)), "{bad}");
        }
    }
}
