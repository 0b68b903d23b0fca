//! An action whose fence is gone, with the data of Redis or alone: the origin may still be at work
//! when the action was given up.

use std::time::Duration;

use edgelatch_tests::{App, Origin, RedisServer, Reply, until};

use super::USER;

const LOCK: &str = "user:42:lock";
const FENCE: &str = "{user:42:lock}:fence";

fn reading(value: &str) -> Reply {
    Reply::json(value).header("cache-control", "max-age=600")
}

/// What is taken away while the origin is at work, and what the action is told.
async fn assert_never_older(app: &App, origin: &Origin, query: &str, lost: &[&str], told: u16) {
    app.redis.run::<()>(&["FLUSHALL"]).await;
    origin.reply_with(reading("0"));
    app.get(USER).await.assert_body(200, "0");
    let seen = origin.seen().len();
    origin.reply_with(Reply::json("{}").gated());
    let action = app.perform(&format!("user_id=42{query}")).spawn();
    origin.until_seen(seen + 1).await;
    app.redis.run::<redis::Value>(lost).await;
    origin.reply_with(reading("0"));
    let answer = action.await.unwrap();
    assert_eq!(answer.status, told, "{lost:?}: {}", answer.text());
    until("the lock is free", async || !app.redis.exists(LOCK).await).await;
    for _ in 0..2 {
        app.get(USER).await.assert_body(200, "0");
    }
    // The origin completes the action.
    origin.reply_with(reading("1"));
    let read = app.get(USER).await;
    assert_eq!(read.text(), "1", "{told} {lost:?}");
}

#[tokio::test]
async fn nothing_is_fresh_after_an_action_that_was_too_slow() {
    let origin = Origin::start(reading("0")).await;
    let app = App::builder().origin(&origin).var("origin_timeout", "0.7");
    let app = app.start().await;
    for lost in [
        ["DEL", FENCE].as_slice(),
        &["DEL", LOCK],
        &["DEL", LOCK, FENCE],
        &["FLUSHALL"],
    ] {
        assert_never_older(&app, &origin, "", lost, 504).await;
    }
}

#[tokio::test]
async fn nothing_is_fresh_after_an_action_that_found_its_lock_lost() {
    let origin = Origin::start(reading("0")).await;
    let app = App::builder().origin(&origin).start().await;
    for lost in [
        ["DEL", LOCK].as_slice(),
        &["DEL", LOCK, FENCE],
        &["FLUSHALL"],
    ] {
        assert_never_older(&app, &origin, "&expire=1", lost, 409).await;
    }
}

/// A reader that comes before the holder finds out makes a fence of its own.
#[tokio::test]
async fn nothing_is_fresh_though_somebody_has_read_in_between() {
    let origin = Origin::start(reading("0")).await;
    let app = App::builder().origin(&origin).var("origin_timeout", "1");
    let app = app.start().await;
    app.get(USER).await.assert_body(200, "0");
    origin.reply_with(Reply::json("{}").gated());
    let action = app.perform("user_id=42").spawn();
    origin.until_seen(2).await;
    app.redis.run::<()>(&["FLUSHALL"]).await;
    origin.reply_with(reading("0"));
    app.get(USER).await.assert_body(200, "0");
    action.await.unwrap().assert_problem(504, "origin-timeout");
    app.get(USER).await.assert_body(200, "0");
    origin.reply_with(reading("1"));
    app.get(USER).await.assert_body(200, "1");
}

async fn set_memory(redis: &RedisServer, bytes: &str) {
    redis
        .run::<()>(&["CONFIG", "SET", "maxmemory", bytes])
        .await;
}

/// What somebody read while a holder had lost its lock, when Redis was full as the holder found out.
async fn assert_not_fresh_though_full(app: &App, origin: &Origin, query: &str, commits: bool) {
    app.redis.run::<()>(&["FLUSHALL"]).await;
    let seen = origin.seen().len();
    origin.reply_with(Reply::json("{}").gated());
    let action = app.perform(&format!("user_id=42{query}")).spawn();
    origin.until_seen(seen + 1).await;
    app.redis.run::<()>(&["FLUSHALL"]).await;
    origin.reply_with(reading("0"));
    app.get(USER).await.assert_body(200, "0");
    let hit = app.get(USER).await;
    let status = hit.header("cache-status").unwrap();
    assert!(status.starts_with("edgelatch; hit"), "{status}");
    set_memory(&app.redis, "1").await;
    if commits {
        origin.release_one();
    }
    let answer = action.await.unwrap();
    set_memory(&app.redis, "0").await;
    answer.assert_problem(409, "lock-lost");
    if !commits {
        app.get(USER).await.assert_body(200, "0");
    }
    origin.reply_with(reading("1"));
    app.get(USER).await.assert_body(200, "1");
}

#[tokio::test]
async fn nothing_is_fresh_though_redis_was_full_when_the_loss_was_found() {
    let origin = Origin::start(reading("0")).await;
    let app = App::builder().origin(&origin).start().await;
    // By a renewal, with the origin still at work; and by a commit.
    assert_not_fresh_though_full(&app, &origin, "&expire=15", false).await;
    assert_not_fresh_though_full(&app, &origin, "&expire=60", true).await;
}

/// Redis comes back as it was before the action, later than a release would give up that only has a
/// lock of a second to give back.
#[tokio::test]
async fn nothing_is_fresh_after_an_action_that_an_outage_undid() {
    const OUTAGE: Duration = Duration::from_secs(8);
    let origin = Origin::start(reading("0")).await;
    let mut app = App::builder().origin(&origin).start().await;
    app.get(USER).await.assert_body(200, "0");
    app.redis.run::<()>(&["SAVE"]).await;
    let undone: Option<String> = app.redis.get(FENCE).await;
    origin.reply_with(Reply::json("{}").gated());
    let action = app.perform("user_id=42&expire=1").spawn();
    origin.until_seen(2).await;
    app.redis.kill();
    let answer = action.await.unwrap();
    assert!([409, 503].contains(&answer.status), "{}", answer.text());
    tokio::time::sleep(OUTAGE).await;
    app.redis.restart().await;
    origin.reply_with(reading("1"));
    until("Redis is told of the action", async || {
        app.redis.get(FENCE).await != undone
    })
    .await;
    app.get(USER).await.assert_body(200, "1");
}
