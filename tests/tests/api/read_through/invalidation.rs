//! An action that changes a user makes what was read of it void.

use std::time::Duration;

use edgelatch_tests::{App, Origin, Reply, until};

use super::{ENTRY, USER, age, before};

#[tokio::test]
async fn a_commit_invalidates_the_users_entry() {
    let (app, origin) = before(Reply::json("1")).await;
    for action in ["perform-action", "attempt-action"] {
        app.get(USER).await.assert_body(200, "1");
        assert!(app.redis.exists(ENTRY).await);
        let commands = app.redis.calls("evalsha").await;
        let action = app.post(&format!("/api/v1/users/{action}?user_id=42"));
        action.await.assert_success();
        assert!(!app.redis.exists(ENTRY).await);
        // As without an origin: acquire and commit.
        assert!(app.redis.calls("evalsha").await - commands <= 2);
    }
    origin.reply_with(Reply::json("2"));
    app.get(USER).await.assert_body(200, "2");
}

#[tokio::test]
async fn it_leaves_other_users_alone() {
    let (app, origin) = before(Reply::json("1")).await;
    app.get("/api/v1/users/43").await.assert_body(200, "1");
    app.perform("user_id=42").await.assert_success();
    app.get("/api/v1/users/43").await.assert_body(200, "1");
    assert_eq!(origin.seen().len(), 2);
}

#[tokio::test]
async fn a_fetch_that_began_before_an_action_is_not_kept() {
    let (app, origin) = before(Reply::json("1").gated()).await;
    let reading = app.get(USER).spawn();
    origin.until_seen(1).await;
    origin.reply_with(Reply::json("2"));
    app.perform("user_id=42").await.assert_success();
    origin.release_one();
    let read = reading.await.unwrap();
    assert_eq!(read.status, 200);
    app.get(USER).await.assert_body(200, "2");
}

#[tokio::test]
async fn a_variable_turns_it_off() {
    let origin = Origin::start(Reply::json("1")).await;
    let app = App::builder()
        .origin(&origin)
        .var("origin_invalidate", "false");
    let app = app.start().await;
    app.get(USER).await.assert_body(200, "1");
    app.perform("user_id=42").await.assert_success();
    origin.reply_with(Reply::status(500, "{}"));
    app.perform("user_id=42")
        .await
        .assert_problem(502, "origin-failed");
    app.get(USER).await.assert_body(200, "1");
}

#[tokio::test]
async fn a_failed_action_makes_the_entry_stale() {
    let (app, origin) = before(Reply::json("1").header("cache-control", "max-age=60")).await;
    app.get(USER).await.assert_body(200, "1");
    origin.reply_with(Reply::status(500, "{}"));
    app.perform("user_id=42")
        .await
        .assert_problem(502, "origin-failed");
    // Down: better old than nothing.
    app.get(USER).await.assert_body(200, "1");
    let _: i64 = app
        .redis
        .run(&["DEL", "{user:42:lock}:origin:outcome"])
        .await;
    origin.reply_with(Reply::json("2"));
    app.get(USER).await.assert_body(200, "2");
}

#[tokio::test]
async fn a_failed_action_does_not_extend_the_entry() {
    let (app, origin) = before(Reply::json("1").header("cache-control", "max-age=60")).await;
    app.get(USER).await.assert_body(200, "1");
    age(&app, Duration::from_secs(359)).await;
    origin.reply_with(Reply::status(500, "{}"));
    app.perform("user_id=42")
        .await
        .assert_problem(502, "origin-failed");
    assert!(app.redis.ms_left(ENTRY).await <= 1000);
    until("it is gone", || async { !app.redis.exists(ENTRY).await }).await;
}
