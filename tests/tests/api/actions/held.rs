//! The lock is held by someone else: 423, or `failed`.

use edgelatch_tests::{Answer, App, Origin, Pace, RedisServer, Reply};
use std::time::Duration;

const FAILED: &str = r#"{"status":"failed","detail":"Could not acquire lock"}"#;

#[tokio::test]
async fn perform_is_423_with_exactly_this_detail() {
    let app = App::start().await;
    hold(&app.redis, Some(59_900)).await;
    for path in ["perform-action", "perform-action/"] {
        let path = format!("/api/v1/users/{path}?user_id=1&timeout=0.05");
        let answer = app.post(&path).await;
        answer.assert_problem(423, "lock-held");
        assert_eq!(answer.json()["detail"], "Could not acquire lock");
        assert_eq!(answer.header("retry-after"), Some("60"));
        assert_eq!(answer.header("fencing-token"), None);
    }
}

#[tokio::test]
async fn attempt_is_200_failed_with_exactly_this_body() {
    let app = App::start().await;
    hold(&app.redis, Some(59_900)).await;
    for path in ["attempt-action", "attempt-action/"] {
        let path = format!("/api/v1/users/{path}?user_id=1");
        let answer = app.post(&path).await;
        answer.assert_body(200, FAILED);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("retry-after"), Some("60"));
        assert_eq!(answer.header("fencing-token"), None);
    }
}

#[tokio::test]
async fn attempt_tries_once_and_does_not_wait() {
    let app = App::start().await;
    app.attempt("user_id=1").await;
    hold(&app.redis, None).await;
    let mut monitor = app.redis.monitor().await;
    let pace = Pace::watch(&app);
    let answer = app.attempt("user_id=1").await;
    answer.assert_body(200, FAILED);
    let commands = monitor.commands().await;
    let of_user = commands
        .iter()
        .filter(|command| command.contains("user:1:lock"));
    assert_eq!(of_user.count(), 1, "{commands:?}");
    let most = Duration::from_millis(100) + pace.slowest().await;
    assert!(answer.took <= most, "{:?}", answer.took);
}

#[tokio::test]
async fn retry_after_is_rounded_up_to_1_at_least() {
    let app = App::start().await;
    // Each leaves the machine 900 ms until the next lower second.
    let cases = [
        (Some(2_900), "3"),
        (Some(1_900), "2"),
        (Some(900), "1"),
        (None, "1"),
        (Some(2_591_999_900), "2592000"),
    ];
    for (left, seconds) in cases {
        for answer in both(&app, left).await {
            assert_eq!(answer.header("retry-after"), Some(seconds), "{left:?}");
        }
    }
}

/// What both actions answer while a stranger's lock has so many milliseconds left.
async fn both(app: &App, left: Option<u64>) -> [Answer; 2] {
    hold(&app.redis, left).await;
    let performed = app.perform("user_id=1&timeout=0").await;
    performed.assert_problem(423, "lock-held");
    hold(&app.redis, left).await;
    let attempted = app.attempt("user_id=1").await;
    attempted.assert_body(200, FAILED);
    [performed, attempted]
}

/// Sets user 1's lock as a stranger would.
async fn hold(redis: &RedisServer, left: Option<u64>) {
    let left = left.map(|left| left.to_string());
    match &left {
        Some(left) => {
            redis
                .run::<()>(&["SET", "user:1:lock", "1", "PX", left])
                .await
        }
        None => redis.run::<()>(&["SET", "user:1:lock", "1"]).await,
    }
}

#[tokio::test]
async fn the_action_did_not_run_and_nothing_is_written() {
    let origin = Origin::start(Reply::nothing()).await;
    let app = App::builder().origin(&origin).start().await;
    hold(&app.redis, None).await;
    app.perform("user_id=1&timeout=0.1")
        .await
        .assert_problem(423, "lock-held");
    app.attempt("user_id=1").await.assert_body(200, FAILED);
    // Later than all that either call may have sent.
    app.perform("user_id=2")
        .await
        .assert_body(200, r#"{"status":"success"}"#);
    let users: Vec<_> = origin.seen().iter().map(|seen| seen.path.clone()).collect();
    assert_eq!(users, ["/users/2/perform-action"]);
    let keys: Vec<String> = app.redis.run(&["KEYS", "*user:1:*"]).await;
    assert_eq!(keys, ["user:1:lock"]);
}

#[tokio::test]
async fn a_lock_of_any_type_is_a_lock_held_by_someone_else() {
    let app = App::start().await;
    let strangers: [&[&str]; 6] = [
        &["SET", "user:1:lock", ""],
        &["RPUSH", "user:1:lock", "a"],
        &["HSET", "user:1:lock", "a", "b"],
        &["SADD", "user:1:lock", "a"],
        &["ZADD", "user:1:lock", "1", "a"],
        &["XADD", "user:1:lock", "*", "a", "b"],
    ];
    for stranger in strangers {
        app.redis.run::<redis::Value>(&["DEL", "user:1:lock"]).await;
        app.redis.run::<redis::Value>(stranger).await;
        let before: Vec<u8> = app.redis.run(&["DUMP", "user:1:lock"]).await;
        let performed = app.perform("user_id=1&timeout=0.02").await;
        performed.assert_problem(423, "lock-held");
        let attempted = app.attempt("user_id=1").await;
        attempted.assert_body(200, FAILED);
        for answer in [performed, attempted] {
            assert_eq!(answer.header("retry-after"), Some("1"), "{stranger:?}");
        }
        let after: Vec<u8> = app.redis.run(&["DUMP", "user:1:lock"]).await;
        assert_eq!(before, after, "{stranger:?}");
        assert_eq!(app.redis.run::<i64>(&["PTTL", "user:1:lock"]).await, -1);
    }
}
