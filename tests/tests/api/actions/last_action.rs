//! `last-action`: what is kept of a success.

use std::time::{Duration, SystemTime};

use edgelatch_tests::{App, Origin, Reply};

const LAST_ACTION: &str = "{user:1:lock}:cache:last-action";

#[tokio::test]
async fn last_action_without_a_result_has_exactly_this_shape() {
    let app = App::start().await;
    for action in ["perform-action", "attempt-action"] {
        let path = format!("/api/v1/users/{action}?user_id=1");
        let token = app.post(&path).await.number("fencing-token");
        let kept = app.redis.get(LAST_ACTION).await.unwrap();
        let at = finished_at(&kept);
        let shape =
            format!(r#"{{"status":"success","fencing_token":{token},"finished_at":"{at}"}}"#);
        assert_eq!(kept, shape);
    }
}

#[tokio::test]
async fn last_action_with_a_result_has_exactly_this_shape() {
    let result = r#"{"b" : 1.50,  "a":[123456789012345678901234567890]}"#;
    let origin = Origin::start(Reply::json(result)).await;
    let app = App::builder().origin(&origin).start().await;
    let token = app.perform("user_id=1").await.number("fencing-token");
    let kept = app.redis.get(LAST_ACTION).await.unwrap();
    let at = finished_at(&kept);
    let shape = format!(
        r#"{{"status":"success","result":{result},"fencing_token":{token},"finished_at":"{at}"}}"#
    );
    assert_eq!(kept, shape);
    let cached = app.get("/api/v1/users/1/cache/last-action").await;
    cached.assert_body(200, &kept);
}

#[tokio::test]
async fn finished_at_is_the_end_of_the_action_as_rfc_3339() {
    let origin = Origin::start(Reply::nothing().gated()).await;
    let app = App::builder().origin(&origin).start().await;
    let action = app.perform("user_id=1").spawn();
    origin.until_seen(1).await;
    // Written in whole milliseconds.
    let least = SystemTime::now() - Duration::from_millis(1);
    origin.release_one();
    action
        .await
        .unwrap()
        .assert_body(200, r#"{"status":"success"}"#);
    let most = SystemTime::now();
    let at = finished_at(&app.redis.get(LAST_ACTION).await.unwrap());
    let (date, time) = at.split_once('T').unwrap();
    assert_eq!((date.len(), time.ends_with('Z')), (10, true), "{at}");
    let at = humantime::parse_rfc3339(&at).unwrap();
    assert!((least..=most).contains(&at), "{at:?}");
}

fn finished_at(kept: &str) -> String {
    let kept: serde_json::Value = serde_json::from_str(kept).unwrap();
    kept["finished_at"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn last_action_is_kept_for_an_hour() {
    let app = App::builder().var("cache_expire", "7").start().await;
    app.perform("user_id=1&expire=0.5").await;
    let left: i64 = app.redis.run(&["PTTL", LAST_ACTION]).await;
    assert!((3_580_000..=3_600_000).contains(&left), "{left} ms");
}

#[tokio::test]
async fn last_action_is_that_of_the_last_success() {
    let origin = Origin::start(Reply::json("1")).await;
    let app = App::builder().origin(&origin).start().await;
    app.perform("user_id=1").await;
    origin.reply_with(Reply::json("2"));
    let second = app.attempt("user_id=1").await.number("fencing-token");
    let kept = app.redis.get(LAST_ACTION).await.unwrap();
    let shape = format!(r#"{{"status":"success","result":2,"fencing_token":{second},"#);
    assert!(kept.starts_with(&shape), "{kept}");
    origin.reply_with(Reply::Plain(500, "", "".into()));
    app.perform("user_id=1")
        .await
        .assert_problem(502, "origin-failed");
    assert_eq!(app.redis.get(LAST_ACTION).await, Some(kept));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn last_action_is_written_with_the_release() {
    let origin = Origin::start(Reply::nothing().gated()).await;
    let app = App::builder().origin(&origin).start().await;
    for round in 1..=20 {
        app.redis.run::<i64>(&["DEL", LAST_ACTION]).await;
        let action = app.perform("user_id=1").spawn();
        origin.until_seen(round).await;
        let watching = tokio::spawn(until_released(app.redis.connection().await));
        origin.release_one();
        action
            .await
            .unwrap()
            .assert_body(200, r#"{"status":"success"}"#);
        watching.await.unwrap();
    }
}

/// Looks at both keys in one step, over and over: it is always one of the two that is there.
async fn until_released(mut redis: redis::aio::MultiplexedConnection) {
    const LOOK: &str = "return {redis.call('EXISTS', KEYS[1]), redis.call('EXISTS', KEYS[2])}";
    let mut look = redis::cmd("EVAL");
    look.arg(LOOK).arg(2).arg("user:1:lock").arg(LAST_ACTION);
    loop {
        let seen: (i64, i64) = look.query_async(&mut redis).await.unwrap();
        assert_eq!(seen.0 + seen.1, 1, "lock and last-action: {seen:?}");
        if seen == (0, 1) {
            return;
        }
    }
}
