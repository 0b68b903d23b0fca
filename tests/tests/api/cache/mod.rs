//! The JSON cache: `/api/v1/users/{user_id}/cache/{key}`.

mod compute;
mod concurrency;
mod conditions;
mod delete;
mod get;
mod lifetime;
mod names;
mod patch;
mod put;
mod recipes;
mod reserved;
mod stored;
mod strangers;

use edgelatch_tests::{Answer, App, Call};

/// An entry, and the key in Redis under which its bytes are.
const ENTRY: &str = "/api/v1/users/42/cache/profile";
const KEY: &str = "{user:42:lock}:cache:profile";

/// Stores an entry that is not there yet, and returns its tag.
async fn store(app: &App, json: &str) -> String {
    let answer = app.put(ENTRY).json(json).await;
    answer.assert_body(201, "");
    tag_of(&answer)
}

/// The answer's tag, which is a strong one.
#[track_caller]
fn tag_of(answer: &Answer) -> String {
    let tag = answer.header("etag").unwrap();
    assert!(
        tag.len() > 2 && tag.starts_with('"') && tag.ends_with('"'),
        "{tag}"
    );
    tag.to_owned()
}

/// A PATCH with a merge patch.
fn merge(app: &App, path: &str, patch: &str) -> Call {
    app.call("PATCH", path)
        .header("content-type", "application/merge-patch+json")
        .body(patch.to_owned())
}
