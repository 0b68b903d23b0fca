//! Headers of answers.

use serde_json::Value;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::examples::{SOME_NUMBER, SOME_TOKEN};

/// Headers by name. A name may go on after a dot, where one header is described in several ways.
pub(super) fn headers() -> Vec<(&'static str, Header)> {
    vec![
        (
            "X-Request-Id",
            always(text(REQUEST_ID, "7c0e0ab6a07dd8fb1a0c6c7b3c4c9a35")),
        ),
        (
            "Server-Timing",
            always(text(
                TIMING,
                "redis;dur=0.412, wait;dur=0.298, action;dur=0.001",
            )),
        ),
        ("Fencing-Token", always(whole(FENCING_TOKEN, SOME_NUMBER))),
        (
            "Fencing-Token.if-run",
            whole(
                "The number of the acquisition, if the action ran",
                SOME_NUMBER,
            ),
        ),
        (
            "Lock-Wait",
            always(whole("How long the lock took, in milliseconds", 0)),
        ),
        (
            "Lock-Wait.if-run",
            whole(
                "How long the lock took, in milliseconds, if the action ran",
                0,
            ),
        ),
        (
            "Idempotent-Replayed",
            text(
                "`true` if this is the stored answer to an earlier request",
                "true",
            ),
        ),
        ("Retry-After", always(whole(RETRY_AFTER, 1))),
        (
            "Retry-After.if-held",
            whole(
                "If the lock was not acquired: when to try again, in seconds",
                1,
            ),
        ),
        (
            "ETag",
            always(text("The tag of the stored bytes", SOME_TAG)),
        ),
        (
            "ETag.weak",
            always(text(
                "The tag of the file, whether it is compressed or not",
                r#"W/"86f7e437faa5a7fce15d1ddcb9eaeaea377667b8""#,
            )),
        ),
        (
            "Vary",
            always(text(
                "The file is compressed for clients that accept gzip",
                "accept-encoding",
            )),
        ),
        (
            "Cache-Control.revalidate",
            always(text(
                "Caches may store the file and must revalidate it",
                "no-cache",
            )),
        ),
        (
            "Cache-Control",
            always(text(
                "How long caches may keep the answer",
                "private, max-age=59",
            )),
        ),
        (
            "Cache-Control.secret",
            always(text("The answer holds a secret", "no-store")),
        ),
        ("Compute-Token", text(COMPUTE_TOKEN, SOME_TOKEN)),
        (
            "Cache-Status",
            always(text(
                "How the cache handled the request (RFC 9211)",
                "edgelatch; hit; ttl=59",
            )),
        ),
        (
            "Age",
            always(whole(
                "How long ago the origin made it, in seconds (RFC 9111, section 5.1)",
                1,
            )),
        ),
        (
            "WWW-Authenticate",
            always(text(
                "The required authentication scheme (RFC 6750)",
                "Bearer",
            )),
        ),
    ]
}

const SOME_TAG: &str = r#""a96faf705af16834e6c632b61e964e1f""#;
const COMPUTE_TOKEN: &str = "Where it is for this caller to compute the entry: the token to store it with, good for `compute` seconds";
const REQUEST_ID: &str = "The caller's own `X-Request-Id` if it is 1 to 128 of `A-Z a-z 0-9 . _ ~ + / = : -`, else a new one";
const TIMING: &str = "Milliseconds spent on Redis, waiting for the lock, and in the action";
const FENCING_TOKEN: &str = "The number of the acquisition: greater than that of every earlier one";
const RETRY_AFTER: &str = "When to try again, in seconds";

fn text(description: &str, example: &str) -> Header {
    header(Type::String, description, example)
}

fn whole(description: &str, example: i64) -> Header {
    header(Type::Integer, description, example)
}

fn header(kind: Type, description: &str, example: impl Into<Value>) -> Header {
    HeaderBuilder::new()
        .schema(Some(ObjectBuilder::new().schema_type(kind)))
        .description(Some(description))
        .example(Some(example.into()))
        .build()
}

/// It is on every such answer. utoipa has no member for `required` of a header.
fn always(mut header: Header) -> Header {
    header.extensions = Some(Extensions::from_iter([("required", true)]));
    header
}
