//! `last-action`: read and deleted like any entry, written by actions alone.

use edgelatch_tests::App;

use super::{merge, tag_of};

const LAST_ACTION: &str = "/api/v1/users/42/cache/last-action";

#[tokio::test]
async fn last_action_can_be_read_and_deleted() {
    let app = App::patient().await;
    app.get(LAST_ACTION).await.assert_problem(404, "not-found");
    app.delete(LAST_ACTION).await.assert_body(204, "");
    let action = app.perform("user_id=42").await;
    let answer = app.get(LAST_ACTION).await;
    assert_eq!(answer.status, 200);
    let last = answer.json();
    assert_eq!(last["status"], "success");
    assert_eq!(last["fencing_token"], action.number("fencing-token"));
    let tag = tag_of(&answer);
    app.get(LAST_ACTION)
        .header("if-none-match", &tag)
        .await
        .assert_body(304, "");
    app.delete(LAST_ACTION)
        .header("if-match", "\"other\"")
        .await
        .assert_problem(412, "precondition-failed");
    app.delete(LAST_ACTION)
        .header("if-match", &tag)
        .await
        .assert_body(204, "");
    app.get(LAST_ACTION).await.assert_problem(404, "not-found");
}

#[tokio::test]
async fn last_action_is_not_written_by_put_or_patch() {
    let app = App::patient().await;
    let refused = async |before: Option<&str>| {
        for path in [
            LAST_ACTION,
            "/api/v1/users/42/cache/last-action/",
            "/api/v1/users/42/cache/last%2Daction",
            "/api/v1/users/42/cache/%6cast-action",
        ] {
            app.put(path)
                .json("{}")
                .await
                .assert_problem(409, "reserved-key");
            app.put(path)
                .header("if-match", "*")
                .json("{}")
                .await
                .assert_problem(409, "reserved-key");
            merge(&app, path, "{}")
                .await
                .assert_problem(409, "reserved-key");
        }
        let stored = app.redis.entry("{user:42:lock}:cache:last-action").await;
        assert_eq!(stored.as_deref(), before);
    };
    refused(None).await;
    app.perform("user_id=42").await;
    let answer = app.get(LAST_ACTION).await.text();
    refused(Some(&answer)).await;
    // Only that very name.
    for name in ["Last-Action", "last-action.", "last_action"] {
        let path = format!("/api/v1/users/42/cache/{name}");
        app.put(&path).json("1").await.assert_body(201, "");
    }
    // What is wrong with the request is said first.
    app.put(LAST_ACTION)
        .json("{")
        .await
        .assert_problem(400, "malformed-json");
}
