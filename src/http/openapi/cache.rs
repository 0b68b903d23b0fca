//! The JSON cache.

use std::time::Duration;

use serde_json::json;
use utoipa::openapi::link::Link;
use utoipa::openapi::path::HttpMethod;
use utoipa::openapi::{Ref, Required};

use super::draft::{Described, Draft, answer, content, link};
use crate::core::lock::HeldBy;
use crate::http::problem::Problem;

const ENTRY_HEADERS: [&str; 4] = ["ETag", "Cache-Control", "Cache-Status", "Compute-Token"];

pub(super) fn operations() -> Vec<Described> {
    vec![get(), put(), patch(), delete()]
}

fn get() -> Described {
    let entry = [("entry", json!({ "name": "Ada" }))];
    let found = answer("The entry", &ENTRY_HEADERS).content(
        "application/json",
        content(Ref::from_schema_name("Json"), &entry),
    );
    draft(HttpMethod::Get, "get_cache", "Read an entry")
        .describe(
            "Returns the JSON byte for byte as it was stored. `last-action` holds the user's last \
             action: its result, its fencing token and when it ended. With `compute`, one caller of \
             an absent entry gets a `Compute-Token` to compute it; the others wait until it is \
             stored, or until the task is theirs. `HEAD` is answered as without `compute`. \
             Without an `api_token`, a page of another site may not say `compute`.",
        )
        .parameters(&["Compute", "ComputeTimeout", "Refresh"])
        .reply(200, found)
        .reply(
            304,
            answer("`If-None-Match` names the entry's tag", &ENTRY_HEADERS),
        )
        .problem(Problem::nothing_cached())
        .problem(Problem::compute_granted())
        .problem(Problem::cross_site())
        .problem(Problem::reserved_key())
        .problem(Problem::lock_held(HeldBy {
            remaining: Some(Duration::from_secs(10)),
            ..HeldBy::default()
        }))
        .guarded()
        .finish()
}

fn put() -> Described {
    let new = next().into_iter().fold(
        answer("The entry is new", &["ETag"]),
        |new, (name, link)| new.link(name, link),
    );
    draft(HttpMethod::Put, "put_cache", "Store JSON")
        .describe(
            "Stores the JSON byte for byte. `If-None-Match: *` stores it only if the entry is \
             absent, `If-Match` only if the entry is unchanged. Redis compares and stores in one \
             step. Only actions write `last-action`. Callers that wait for the entry to be \
             computed get it. With a `Compute-Token` it is stored only as the result of that \
             computing.",
        )
        .parameters(&["CacheExpire", "ComputeToken"])
        .body(
            "application/json",
            Required::True,
            "The value. `Content-Type` may be any JSON type (`application/...+json`) or absent",
            json!({ "name": "Ada" }),
        )
        .reply(201, new)
        .reply(200, answer("The entry was replaced", &["ETag"]))
        .problem(Problem::unsupported_media_type())
        .problem(Problem::reserved_key())
        .problem(Problem::not_computing())
        .guarded()
        .finish()
}

fn patch() -> Described {
    let merged = [("merged", json!({ "age": 36 }))];
    let stored = answer("The merged JSON", &["ETag"]).content(
        "application/json",
        content(Ref::from_schema_name("Json"), &merged),
    );
    draft(
        HttpMethod::Patch,
        "patch_cache",
        "Merge into an entry (RFC 7396)",
    )
    .describe(
        "Members that are null are removed, others are set. If somebody else writes in between, \
             the merge is repeated, so no write is lost. The entry keeps its remaining time unless \
             `expire` is given.",
    )
    .parameters(&["PatchExpire"])
    .body(
        "application/merge-patch+json",
        Required::True,
        "The merge patch",
        json!({ "name": null, "age": 36 }),
    )
    .reply(200, stored)
    .problem(Problem::nothing_cached())
    .problem(Problem::reserved_key())
    .problem(Problem::not_a_merge_patch())
    .problem(Problem::overtaken())
    .problem(Problem::too_much_to_merge())
    .guarded()
    .finish()
}

fn delete() -> Described {
    draft(HttpMethod::Delete, "delete_cache", "Remove an entry")
        .describe(
            "With a `Compute-Token` the entry stays: that computing is given up, and the next \
             waiter gets the task.",
        )
        .parameters(&["ComputeToken"])
        .reply(
            204,
            answer("The entry is absent now, whether or not it existed", &[]),
        )
        .problem(Problem::not_computing())
        .guarded()
        .finish()
}

fn draft(method: HttpMethod, id: &str, summary: &str) -> Draft {
    let path = "/api/v1/users/{user_id}/cache/{key}";
    Draft::new(method, path, id, "cache", summary)
        .parameters(&["UserIdPath", "CacheKey", "IfMatch", "IfNoneMatch"])
        .problem(Problem::precondition_failed())
}

/// The links of the answer to a new entry.
fn next() -> Vec<(&'static str, Link)> {
    let same = [
        ("path.user_id", "$request.path.user_id"),
        ("path.key", "$request.path.key"),
    ];
    [
        ("read", "get_cache"),
        ("merge", "patch_cache"),
        ("remove", "delete_cache"),
    ]
    .map(|(name, id)| (name, link(id, &same)))
    .to_vec()
}
