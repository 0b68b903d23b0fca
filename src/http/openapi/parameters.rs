//! Parameters, with bounds that are the constants of their parsers.

use serde_json::{Value, json};
use utoipa::Number;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::path::{ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{
    AnyOfBuilder, KnownFormat, Object, ObjectBuilder, Schema, SchemaFormat, Type,
};
use utoipa::openapi::{RefOr, Required};

use super::examples::{SOME_NUMBER, SOME_OWNER, SOME_TOKEN};
use crate::core::idempotency;
use crate::http::schemas;
use crate::types::name::{MAX_NAME, NAME_MARKS};
use crate::types::ttl::{MAX_TTL_MS, MAX_WAIT_MS, MIN_TTL_MS};

/// Parameters by the names that operations refer to them by.
pub(super) fn parameters() -> Vec<(&'static str, ParameterBuilder)> {
    let mut all = in_path();
    all.extend(in_query());
    all.extend(in_headers());
    all
}

fn in_path() -> Vec<(&'static str, ParameterBuilder)> {
    vec![
        ("UserIdPath", path("user_id", USER, user_id(), 42)),
        (
            "LockName",
            path("name", "The lock's name; not `.` or `..`", name(), "build"),
        ),
        (
            "CacheKey",
            path(
                "key",
                "The entry's name; not `.` or `..`",
                name(),
                "profile",
            ),
        ),
    ]
}

fn in_query() -> Vec<(&'static str, ParameterBuilder)> {
    vec![
        (
            "UserIdQuery",
            query("user_id", USER, user_id(), 42).required(Required::True),
        ),
        (
            "ActionTimeout",
            query("timeout", ACTION_TIMEOUT, wait(), 0.25),
        ),
        ("Compute", query("compute", COMPUTE, compute(), 10)),
        (
            "ComputeTimeout",
            query("timeout", COMPUTE_TIMEOUT, wait(), 5),
        ),
        ("Refresh", query("refresh", REFRESH, refresh(), 2)),
        ("Wait", query("wait", WAIT, wait(), 30)),
        ("After", query("after", AFTER, number(), SOME_NUMBER)),
        ("Force", query("force", FORCE, boolean(), true)),
        ("LeaseTimeout", query("timeout", LEASE_TIMEOUT, wait(), 0)),
        ("LockExpire", query("expire", LOCK_EXPIRE, ttl(), 10)),
        ("CacheExpire", query("expire", CACHE_EXPIRE, ttl(), 60)),
        ("PatchExpire", query("expire", PATCH_EXPIRE, ttl(), 60)),
        ("UserExpire", query("expire", USER_EXPIRE, ttl(), 60)),
    ]
}

fn in_headers() -> Vec<(&'static str, ParameterBuilder)> {
    let key = schemas::visible(1, idempotency::MAX_KEY);
    let token = schemas::lock_token;
    vec![
        (
            "IdempotencyKey",
            header("Idempotency-Key", KEY, key, "order-2026-11-24-0007"),
        ),
        (
            "BroughtToken",
            header("Lock-Token", BROUGHT_TOKEN, token(), SOME_TOKEN),
        ),
        (
            "LockToken",
            header("Lock-Token", LOCK_TOKEN, token(), SOME_TOKEN).required(Required::True),
        ),
        (
            "ReleaseToken",
            header("Lock-Token", RELEASE_TOKEN, token(), SOME_TOKEN),
        ),
        (
            "LockOwner",
            header("Lock-Owner", LOCK_OWNER, schemas::owner_name(), SOME_OWNER),
        ),
        (
            "BreakOwner",
            header("Lock-Owner", BREAK_OWNER, schemas::owner_name(), SOME_OWNER),
        ),
        (
            "ComputeToken",
            header("Compute-Token", COMPUTE_TOKEN, token(), SOME_TOKEN),
        ),
        (
            "CacheControl",
            header("Cache-Control", CACHE_CONTROL, directives(), "no-cache"),
        ),
        ("IfMatch", header("If-Match", IF_MATCH, tags(), "*")),
        (
            "IfNoneMatch",
            header("If-None-Match", IF_NONE_MATCH, tags(), SOME_TAGS),
        ),
    ]
}

const SOME_TAGS: &str = r#""a96faf705af16834e6c632b61e964e1f", "4b2212e31ac97fd4575a0b1c44d8843f""#;
const USER: &str = "The user: an integer, written canonically (`7`, not `007`). Where the variable `user_ids` is `uuid`, a UUID in its usual \
    form, in either case, instead; where it is `name`, 1 to 64 of `A-Z a-z 0-9 . _ ~ -`, but not `.`, `..`, `perform-action` or \
    `attempt-action`";
const ACTION_TIMEOUT: &str =
    "How long to wait for the lock, in seconds; `lock_timeout` (5) by default";
const COMPUTE: &str = "Where the entry is absent, one caller gets a `Compute-Token` to compute it, and the others wait: how many seconds \
    that takes at the most, up to `max_hold` (60)";
const COMPUTE_TIMEOUT: &str = "Beside `compute`: how long to wait for somebody else's result, in seconds; `lock_timeout` (5) by default";
const REFRESH: &str = "Beside `compute`: how many seconds before its expiry one caller is given the entry and a `Compute-Token`; 0, never, by default";
const COMPUTE_TOKEN: &str = "The token of a computing. PUT stores its result, if the token is still the one, and DELETE gives it up; else 409";
const LEASE_TIMEOUT: &str = "How long to wait for the lock, in seconds; 0 by default";
const LOCK_EXPIRE: &str =
    "How long the lock lives without renewal, in seconds; `lock_expire` (10) by default";
const CACHE_EXPIRE: &str = "How long the entry lives, in seconds; `cache_expire` (3600) by default";
const PATCH_EXPIRE: &str =
    "How long the entry lives from now on, in seconds; by default it keeps its remaining time";
const USER_EXPIRE: &str = "The longest time to cache the user, in seconds; by default as long as the origin \
    says, else `cache_expire` (3600)";
const CACHE_CONTROL: &str =
    "`no-cache` asks the origin; other directives are ignored (RFC 9111, section 5.2.1)";
const KEY: &str =
    "The first success under this key is stored for `idempotency_expire` (24 h) and replayed";
const BROUGHT_TOKEN: &str = "The client's own token. Acquiring again with the same token renews the lock, so a \
    retry after a lost answer is safe. Without one, an answer lost on the way leaves a lease that nobody knows until it expires";
const LOCK_TOKEN: &str = "The token that the lock was acquired with; without it: 428";
const RELEASE_TOKEN: &str =
    "The token that the lock was acquired with; without it, and without `force=true`: 428";
const BREAK_OWNER: &str = "With `force=true`: who breaks the lock and why, for the service's log; otherwise it is ignored";
const LOCK_OWNER: &str = "Who takes the lock, and why, for people to read. GET and 423 tell it while the lock is held. \
    Acquiring again with the same token replaces it, and leaves it where this header is absent";
const WAIT: &str = "Answers only when the lock is free, or after this many seconds; 0 by default";
const AFTER: &str =
    "Beside `wait`: answers also when the lock has another fencing token than this one";
const FORCE: &str = "`true` takes the lock from whoever holds it, and needs the `admin_token`; \
    `false` by default";
const IF_MATCH: &str = "Only if the entry has one of these tags; `*`: only if the entry exists";
const IF_NONE_MATCH: &str =
    "Only if the entry has none of these tags; `*`: only if the entry is absent";

fn path(
    name: &str,
    description: &str,
    schema: impl Into<RefOr<Schema>>,
    example: impl Into<Value>,
) -> ParameterBuilder {
    parameter(ParameterIn::Path, name, description, schema, example)
}

fn query(
    name: &str,
    description: &str,
    schema: impl Into<RefOr<Schema>>,
    example: impl Into<Value>,
) -> ParameterBuilder {
    parameter(ParameterIn::Query, name, description, schema, example)
}

fn header(
    name: &str,
    description: &str,
    schema: impl Into<RefOr<Schema>>,
    example: impl Into<Value>,
) -> ParameterBuilder {
    parameter(ParameterIn::Header, name, description, schema, example)
}

/// One that may be absent, unless it is in the path.
fn parameter(
    place: ParameterIn,
    name: &str,
    description: &str,
    schema: impl Into<RefOr<Schema>>,
    example: impl Into<Value>,
) -> ParameterBuilder {
    ParameterBuilder::new()
        .parameter_in(place)
        .required(Required::False)
        .name(name)
        .description(Some(description))
        .schema(Some(schema))
        .example(Some(example.into()))
}

fn user_id() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .minimum(Some(i64::MIN as isize))
        .maximum(Some(i64::MAX as isize))
        .build()
}

fn name() -> Object {
    // A pattern without look-ahead, which not every engine has, can't leave out `.` and `..`: JSON
    // Schema's `not` can, and utoipa has no member for it.
    let not = Extensions::from_iter([("not", json!({ "enum": [".", ".."] }))]);
    ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(MAX_NAME))
        .pattern(Some(format!("^[A-Za-z0-9{NAME_MARKS}]{{1,{MAX_NAME}}}$")))
        .extensions(Some(not))
        .build()
}

fn wait() -> Object {
    seconds(0, MAX_WAIT_MS)
}

fn number() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .minimum(Some(0))
        .maximum(Some(i64::MAX as isize))
        .build()
}

fn boolean() -> Object {
    ObjectBuilder::new().schema_type(Type::Boolean).build()
}

fn ttl() -> Object {
    seconds(MIN_TTL_MS, MAX_TTL_MS)
}

/// Up to the default of `max_hold`.
fn compute() -> Object {
    seconds(MIN_TTL_MS, MAX_WAIT_MS)
}

fn refresh() -> Object {
    seconds(0, MAX_TTL_MS)
}

fn seconds(min_ms: u64, max_ms: u64) -> Object {
    let bound = |ms: u64| Some(Number::Float(ms as f64 / 1000.0));
    ObjectBuilder::new()
        .schema_type(Type::Number)
        .minimum(bound(min_ms))
        .maximum(bound(max_ms))
        .build()
}

fn directives() -> Object {
    ObjectBuilder::new().schema_type(Type::String).build()
}

/// `*`, or entity tags with commas between (RFC 9110, section 13.1.1).
fn tags() -> AnyOfBuilder {
    let any = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(["*"]));
    let listed = ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(r#"^(W/)?"[!#-~]*"([ \t]*,[ \t]*(W/)?"[!#-~]*")*$"#));
    AnyOfBuilder::new().item(any).item(listed)
}
