//! The error body: a problem as it is sent, with its status and its headers.

use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{InputFault, OriginAnswer, Problem};
use crate::core::lock::OwnerName;
use crate::http::response::{Body, Response, empty};
#[cfg(not(target_family = "wasm"))]
use crate::http::schemas;

/// The longest path that a problem repeats, in bytes: longer than that of any resource. A longer
/// one is cut.
const MAX_SHOWN_PATH: usize = 2048;

/// The members of `application/problem+json` (RFC 9457, section 3.1).
#[derive(Serialize)]
#[cfg_attr(not(target_family = "wasm"), derive(utoipa::ToSchema))]
#[cfg_attr(not(target_family = "wasm"), schema(as = Problem))]
pub(crate) struct Members<'a> {
    /// What kind of problem it is: `urn:edgelatch:<kind>`.
    #[cfg_attr(
        not(target_family = "wasm"),
        schema(pattern = "^urn:edgelatch:[a-z-]+$")
    )]
    r#type: String,
    /// The same for all of its kind.
    title: &'a str,
    /// The status of the answer.
    #[cfg_attr(not(target_family = "wasm"), schema(minimum = 400, maximum = 599))]
    status: u16,
    /// About this one.
    detail: &'a str,
    /// The request's path; of one longer than 2048 bytes the beginning.
    instance: &'a str,
    /// All faults of an invalid request.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [InputFault],
    /// Of a held lock: what the holder said of itself in `Lock-Owner`; null where it said nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(not(target_family = "wasm"), schema(schema_with = schemas::owner))]
    owner: Option<Option<&'a str>>,
    /// Of a held lock: how many live waiters it has; 1000 where more wait, the dead included.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(not(target_family = "wasm"), schema(minimum = 0, nullable = false))]
    waiting: Option<u32>,
    /// The status that the origin answered with, where it answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        not(target_family = "wasm"),
        schema(minimum = 100, maximum = 999, nullable = false)
    )]
    origin_status: Option<u16>,
    /// What the origin answered, if that is JSON; of more than 2 KB the beginning, as a string.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(not(target_family = "wasm"), schema(schema_with = schemas::origin_body))]
    origin_body: Option<&'a RawValue>,
}

impl Problem {
    /// The answer to a request for `path`, and the cause, for the log.
    pub(crate) fn into_response(mut self, path: &str) -> (Response, Option<Box<str>>) {
        let mut response = empty(self.status());
        *response.body_mut() = Body::from(self.body(path));
        let headers = response.headers_mut();
        match self.origin.as_deref_mut() {
            Some(OriginAnswer::Verbatim { headers: told, .. }) => headers.extend(told.drain()),
            _ => headers.extend(self.own_headers()),
        }
        if let Some(more) = self.more {
            headers.extend(more.headers);
            if let Some(undelivered) = more.undelivered {
                response.extensions_mut().insert(undelivered);
            }
        }
        (response, self.cause)
    }

    /// The body for a request to `path`.
    pub(crate) fn body(&self, path: &str) -> Vec<u8> {
        let (origin_status, origin_body) = match self.origin.as_deref() {
            Some(OriginAnswer::Verbatim { body, .. }) => return body.to_vec(),
            Some(OriginAnswer::Told { status, body }) => (Some(status.as_u16()), body.as_deref()),
            None => (None, None),
        };
        let held_by = self.held_by.as_deref();
        let owner = held_by.map(|by| by.owner.as_ref().map(OwnerName::as_str));
        let members = Members {
            r#type: format!("urn:edgelatch:{}", self.slug),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            instance: &path[..path.floor_char_boundary(MAX_SHOWN_PATH)],
            errors: &self.errors,
            owner,
            waiting: held_by.map(|by| by.waiting),
            origin_status,
            origin_body,
        };
        // Strings and numbers under string keys always serialize.
        serde_json::to_vec(&members).unwrap_or_default()
    }

    /// The status that it is answered with.
    pub(crate) fn status(&self) -> StatusCode {
        match self.origin.as_deref() {
            Some(OriginAnswer::Verbatim { status, .. }) => *status,
            _ => self.status,
        }
    }

    /// The headers that belong to the problem.
    fn own_headers(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> + use<> {
        let content = HeaderValue::from_static("application/problem+json");
        let retry = self.retry_after.map(HeaderValue::from);
        let challenge =
            (self.status == StatusCode::UNAUTHORIZED).then(|| HeaderValue::from_static("Bearer"));
        let optional = [
            (header::CONTENT_TYPE, Some(content)),
            (header::RETRY_AFTER, retry),
            (header::WWW_AUTHENTICATE, challenge),
        ];
        optional
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
    }
}
