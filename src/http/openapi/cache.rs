//! The JSON cache.

use std::time::Duration;

use serde_json::json;
use utoipa::openapi::link::Link;
use utoipa::openapi::path::HttpMethod;
use utoipa::openapi::{Ref, Required};

use super::draft::{Described, Draft, answer, content, link};
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
            "The JSON is that which was stored, byte for byte. Under `last-action` is what the user's last action left: its result, \
             its fencing token and when it ended. With `compute`, one caller of an absent entry is given a `Compute-Token` to compute it, \
             and the others wait until it is stored, or until the task is theirs.",
        )
        .parameters(&["Compute", "ComputeTimeout", "Refresh"])
        .reply(200, found)
        .reply(304, answer("`If-None-Match` names what is stored", &ENTRY_HEADERS))
        .problem(Problem::nothing_cached())
        .problem(Problem::compute_granted())
        .problem(Problem::reserved_key())
        .problem(Problem::lock_held(Some(Duration::from_secs(10))))
        .guarded()
        .finish()
}

fn put() -> Described {
    let new = next()
        .into_iter()
        .fold(answer("It is new", &["ETag"]), |new, (name, link)| {
            new.link(name, link)
        });
    draft(HttpMethod::Put, "put_cache", "Store JSON")
        .describe(
            "It is stored byte for byte. `If-None-Match: *` stores it only if there is nothing yet, `If-Match` only if what is \
             there has not changed; both are decided in Redis, in the step that stores it. `last-action` is written by actions alone. \
             Callers that wait for the entry to be computed get it. With a `Compute-Token` it is stored only as the result of that computing.",
        )
        .parameters(&["CacheExpire", "ComputeToken"])
        .body(
            "application/json",
            Required::True,
            "What is stored; any type that is JSON (`application/...+json`) is taken, and so is none",
            json!({ "name": "Ada" }),
        )
        .reply(201, new)
        .reply(200, answer("It replaced another", &["ETag"]))
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
    draft(HttpMethod::Patch, "patch_cache", "Merge into an entry (RFC 7396)")
        .describe(
            "Members that are null are taken away, others set. Nothing that others write in between is lost: the merge is made anew. \
             The entry keeps the time that it has left, unless `expire` is given.",
        )
        .parameters(&["PatchExpire"])
        .body(
            "application/merge-patch+json",
            Required::True,
            "What is merged",
            json!({ "name": null, "age": 36 }),
        )
        .reply(200, stored)
        .problem(Problem::nothing_cached())
        .problem(Problem::reserved_key())
        .problem(Problem::not_a_merge_patch())
        .guarded()
        .problem(Problem::too_contended())
        .finish()
}

fn delete() -> Described {
    draft(HttpMethod::Delete, "delete_cache", "Remove an entry")
        .describe("With a `Compute-Token` the entry stays: that computing is given up, and the next who waits gets the task.")
        .parameters(&["ComputeToken"])
        .reply(204, answer("It is not there, whether or not it was", &[]))
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

/// What the answer to a new entry leads to.
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
