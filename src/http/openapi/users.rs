//! Users, read from the origin.

use bytes::Bytes;
use http::HeaderMap;
use serde_json::json;
use std::time::Duration;
use utoipa::openapi::Ref;
use utoipa::openapi::path::HttpMethod;

use super::draft::{Described, Draft, answer, content};
use crate::http::problem::{Problem, origin_failure};
use crate::platform::origin::Failure;

const USER_HEADERS: [&str; 4] = ["ETag", "Age", "Cache-Control", "Cache-Status"];

pub(super) fn operations() -> Vec<Described> {
    vec![get()]
}

fn get() -> Described {
    let user = [("user", json!({ "name": "Ada" }))];
    let found = answer("The user", &USER_HEADERS).content(
        "application/json",
        content(Ref::from_schema_name("Json"), &user),
    );
    let timed_out = Failure::timed_out(Duration::from_secs(30));
    let timed_out = origin_failure(timed_out, false);
    Draft::new(
        HttpMethod::Get,
        "/api/v1/users/{user_id}",
        "get_user",
        "users",
        "Read a user through the cache",
    )
    .describe(
        "Returns the origin's JSON byte for byte. It is cached for as long as the origin says in \
         `Cache-Control`, else for `expire`. One request at a time asks the origin; the others wait \
         for its answer. After its expiry the old value is served for a while: while it is being \
         refreshed, and while the origin is down. `Cache-Control: no-cache` asks the origin. \
         Without an `api_token`, a page of another site may not say `expire`.",
    )
    .parameters(&["UserIdPath", "UserExpire", "CacheControl", "IfMatch", "IfNoneMatch"])
    .reply(200, found)
    .reply(304, answer("`If-None-Match` names the tag", &USER_HEADERS))
    .problem(Problem::no_origin())
    .problem(Problem::cross_site())
    .problem(Problem::precondition_failed())
    .problem(refused())
    .problem(timed_out)
    .guarded()
    .finish()
}

/// What is told of an origin that answers with an error.
pub(super) fn refused() -> Problem {
    let body = Bytes::from_static(b"{\"error\":\"no such user\"}");
    origin_failure(
        Failure::refused_with(404, HeaderMap::new(), Ok(body)),
        false,
    )
}
