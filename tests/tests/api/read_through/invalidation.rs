//! An action that changes a user makes what was read of it void.

use std::time::Duration;

use edgelatch_tests::{App, Origin, Reply, until};

use super::{ENTRY, USER, age, before};

#[tokio::test]
async fn an_action_makes_readings_stale_at_no_further_command() {
    let (app, origin) = before(Reply::json("1")).await;
    for action in ["perform-action", "attempt-action"] {
        app.get(USER).await.assert_body(200, "1");
        let asked = origin.seen().len();
        app.get(USER).await.assert_body(200, "1");
        assert_eq!(origin.seen().len(), asked);
        let commands = app.redis.calls("evalsha").await;
        let action = app.post(&format!("/api/v1/users/{action}?user_id=42"));
        action.await.assert_success();
        // As without an origin: acquire and commit.
        assert!(app.redis.calls("evalsha").await - commands <= 2);
    }
    origin.reply_with(Reply::json("2"));
    app.get(USER).await.assert_body(200, "2");
}

#[tokio::test]
async fn a_lease_makes_them_stale_too_and_so_does_a_stranger() {
    let (app, origin) = before(Reply::json("1")).await;
    app.get(USER).await.assert_body(200, "1");
    let lease = app.post("/api/v1/users/42/lock").await.json();
    let token = lease["token"].as_str().unwrap();
    origin.reply_with(Reply::json("2"));
    // While somebody has the lock, nothing is kept as fresh.
    for count in 2..4 {
        let read = app.get(USER).await;
        read.assert_body(200, "2");
        assert_eq!(read.header("cache-control"), Some("no-store"));
        assert_eq!(origin.seen().len(), count);
    }
    let given_back = app.delete("/api/v1/users/42/lock");
    given_back
        .header("lock-token", token)
        .await
        .assert_body(204, "");
    origin.reply_with(Reply::json("3"));
    for _ in 0..2 {
        app.get(USER).await.assert_body(200, "3");
        assert_eq!(origin.seen().len(), 4);
    }
    let _: String = app.redis.run(&["SET", "user:42:lock", "stranger"]).await;
    origin.reply_with(Reply::json("4"));
    app.get(USER).await.assert_body(200, "4");
    let _: i64 = app.redis.run(&["DEL", "user:42:lock"]).await;
    origin.reply_with(Reply::json("5"));
    for _ in 0..2 {
        app.get(USER).await.assert_body(200, "5");
    }
    // Another of the user's locks is nothing to do with it.
    let named = app.post("/api/v1/users/42/locks/report").await;
    assert_eq!(named.status, 201);
    app.get(USER).await.assert_body(200, "5");
    assert_eq!(origin.seen().len(), 6);
}

#[tokio::test]
async fn whatever_becomes_of_the_commit_readings_are_stale() {
    let (app, origin) = before(Reply::json("1")).await;
    app.get(USER).await.assert_body(200, "1");
    // The lock is lost in mid-action.
    origin.reply_with(Reply::json("2").gated());
    let action = app.perform("user_id=42").spawn();
    origin.until_seen(2).await;
    let _: i64 = app.redis.run(&["DEL", "user:42:lock"]).await;
    origin.release_one();
    action.await.unwrap().assert_problem(409, "lock-lost");
    origin.reply_with(Reply::json("2"));
    app.get(USER).await.assert_body(200, "2");
}

#[tokio::test]
async fn a_fence_that_is_gone_makes_no_reading_fresh_again() {
    let (app, origin) = before(Reply::json("1")).await;
    let fence = "{user:42:lock}:fence";
    app.get(USER).await.assert_body(200, "1");
    app.perform("user_id=42").await.assert_success();
    origin.reply_with(Reply::json("2"));
    let _: i64 = app.redis.run(&["DEL", fence]).await;
    app.get(USER).await.assert_body(200, "2");
    app.get(USER).await.assert_body(200, "2");
    assert_eq!(origin.seen().len(), 3);
    let _: i64 = app.redis.run(&["DEL", fence]).await;
    app.get(USER).await.assert_body(200, "2");
    assert_eq!(origin.seen().len(), 4);
}

#[tokio::test]
async fn a_read_slower_than_the_pace_of_actions_asks_once() {
    let (app, origin) = before(Reply::json("1").gated()).await;
    let read = app.get(USER).spawn();
    origin.until_seen(1).await;
    origin.reply_with(Reply::json("2"));
    for _ in 0..5 {
        app.perform("user_id=42").await.assert_success();
    }
    origin.release_one();
    read.await.unwrap().assert_body(200, "1");
    assert_eq!(origin.seen().len(), 6);
    app.get(USER).await.assert_body(200, "2");
}

#[tokio::test]
async fn a_read_does_not_share_a_fetch_that_began_before_an_action() {
    let (app, origin) = before(Reply::json("1").gated()).await;
    let first = app.get(USER).spawn();
    origin.until_seen(1).await;
    let joins = app.get(USER).spawn();
    until("it waits", || async {
        app.redis.calls("evalsha").await >= 10
    })
    .await;
    origin.reply_with(Reply::json("2"));
    app.perform("user_id=42").await.assert_success();
    let later = app.get(USER).spawn();
    let commands = app.redis.calls("evalsha").await;
    until("it waits too", || async {
        app.redis.calls("evalsha").await >= commands + 10
    })
    .await;
    origin.release_one();
    first.await.unwrap().assert_body(200, "1");
    // It came before the action, so either will do.
    assert_eq!(joins.await.unwrap().status, 200);
    later.await.unwrap().assert_body(200, "2");
}

#[tokio::test]
async fn a_fetch_that_nothing_is_known_of_makes_no_reading_new() {
    let (app, origin) = before(Reply::json("1")).await;
    app.get(USER).await.assert_body(200, "1");
    app.perform("user_id=42").await.assert_success();
    origin.reply_with(Reply::json("2"));
    let lock = "{user:42:lock}:origin:lock";
    let _: String = app.redis.run(&["SET", lock, "stranger", "PX", "500"]).await;
    app.get(USER).await.assert_body(200, "2");
    assert_eq!(origin.seen().len(), 3);
}

#[tokio::test]
async fn while_somebody_has_the_lock_fetches_are_shared_all_the_same() {
    let (app, origin) = before(Reply::json("1").gated()).await;
    assert_eq!(
        app.post("/api/v1/users/42/lock?expire=60").await.status,
        201
    );
    let readers: Vec<_> = (0..20).map(|_| app.get(USER).spawn()).collect();
    origin.until_seen(1).await;
    until("everybody waits", || async {
        app.redis.calls("evalsha").await >= 200
    })
    .await;
    origin.reply_with(Reply::json("2"));
    origin.release_one();
    let mut answers = Vec::new();
    for reader in readers {
        answers.push(reader.await.unwrap().text());
    }
    // The first fetch may have begun before a change that the others came after: they share another.
    assert_eq!(answers.iter().filter(|answer| *answer == "1").count(), 1);
    assert_eq!(origin.seen().len(), 2);
}

#[tokio::test]
async fn a_read_that_loses_its_lock_is_answered_and_not_kept() {
    let (app, origin) = before(Reply::json("1").gated()).await;
    let first = app.get(USER).spawn();
    origin.until_seen(1).await;
    let lock = "{user:42:lock}:origin:lock";
    let _: String = app.redis.run(&["SET", lock, "other", "PX", "2500"]).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    origin.release_one();
    let read = first.await.unwrap();
    read.assert_body(200, "1");
    assert_eq!(read.header("cache-control"), Some("no-store"));
    assert!(!app.redis.exists(ENTRY).await);
    assert_eq!(origin.seen().len(), 1);
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
    read.assert_body(200, "1");
    // The caller must not keep it either.
    assert_eq!(read.header("cache-control"), Some("no-store"));
    let status = read.header("cache-status").unwrap();
    assert!(!status.contains("stored"), "{status}");
    app.get(USER).await.assert_body(200, "2");
}

#[tokio::test]
async fn a_fetch_during_which_somebody_takes_the_lock_is_not_fresh() {
    let (app, origin) = before(Reply::json("1").gated()).await;
    let reading = app.get(USER).spawn();
    origin.until_seen(1).await;
    let lock = "/api/v1/users/42/lock?expire=60";
    assert_eq!(app.post(lock).await.status, 201);
    origin.release_one();
    let read = reading.await.unwrap();
    read.assert_body(200, "1");
    assert_eq!(read.header("cache-control"), Some("no-store"));
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
