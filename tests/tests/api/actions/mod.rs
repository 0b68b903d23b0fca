//! `perform-action` and `attempt-action`, without and with an input and a result.

mod held;
mod last_action;

use std::time::Duration;

use edgelatch_tests::{App, Origin, Pace, Reply};

/// Both actions, by their last segment.
const ACTIONS: [&str; 2] = ["perform-action", "attempt-action"];

#[tokio::test]
async fn success_has_exactly_this_body() {
    let app = App::start().await;
    for action in ACTIONS {
        for slash in ["", "/"] {
            let path = format!("/api/v1/users/{action}{slash}?user_id=42");
            let answer = app.post(&path).await;
            answer.assert_body(200, r#"{"status":"success"}"#);
            assert_eq!(answer.header("content-type"), Some("application/json"));
            assert!(answer.number("fencing-token") > 0);
            assert!(answer.number("lock-wait") >= 0);
        }
    }
}

#[tokio::test]
async fn a_result_is_there_if_the_action_returned_one() {
    let origin = Origin::start(Reply::json(r#"{"paid":true}"#)).await;
    let app = App::builder().origin(&origin).start().await;
    for action in ACTIONS {
        for slash in ["", "/"] {
            let path = format!("/api/v1/users/{action}{slash}?user_id=42");
            let answer = app.post(&path).await;
            answer.assert_body(200, r#"{"status":"success","result":{"paid":true}}"#);
            assert!(answer.number("fencing-token") > 0);
            assert!(answer.number("lock-wait") >= 0);
        }
    }
}

#[tokio::test]
async fn a_json_input_is_optional() {
    let app = App::start().await;
    for action in ACTIONS {
        let path = format!("/api/v1/users/{action}?user_id=42");
        for input in [r#"{"amount": 5}"#, "[]", "null", "17", r#""text""#] {
            let answer = app.post(&path).json(input).await;
            answer.assert_body(200, r#"{"status":"success"}"#);
            let untyped = app.post(&path).body(input).await;
            untyped.assert_body(200, r#"{"status":"success"}"#);
        }
        app.post(&path)
            .await
            .assert_body(200, r#"{"status":"success"}"#);
        app.post(&path)
            .json("{")
            .await
            .assert_problem(400, "malformed-json");
    }
}

#[tokio::test]
async fn perform_waits_5_s_unless_timeout_says_otherwise() {
    let app = App::start().await;
    app.redis
        .run::<()>(&["SET", "user:1:lock", "somebody"])
        .await;
    let pace = Pace::watch(&app);
    let answer = app.perform("user_id=1").await;
    answer.assert_problem(423, "lock-held");
    let (least, most) = (Duration::from_secs(5), Duration::from_millis(5250));
    let most = most + pace.slowest().await;
    assert!((least..=most).contains(&answer.took), "{:?}", answer.took);
}

#[tokio::test]
async fn attempt_takes_no_timeout_since_it_never_waits() {
    let app = App::start().await;
    let answer = app.attempt("user_id=1&timeout=1").await;
    assert_eq!(answer.faults(), ["query.timeout"]);
}

#[tokio::test]
async fn the_lock_lives_10_s_unless_expire_says_otherwise() {
    let origin = Origin::start(Reply::nothing().gated()).await;
    let app = App::builder().origin(&origin).start().await;
    let cases = [
        ("perform-action", "", 10_000),
        ("attempt-action", "", 10_000),
        ("perform-action", "&expire=47.5", 47_500),
        ("attempt-action", "&expire=47.5", 47_500),
    ];
    for (index, (action, expire, most)) in cases.into_iter().enumerate() {
        let path = format!("/api/v1/users/{action}?user_id=1{expire}");
        let call = app.post(&path).spawn();
        origin.until_seen(index + 1).await;
        let left: i64 = app.redis.run(&["PTTL", "user:1:lock"]).await;
        // At a third of its life it is renewed.
        assert!((most * 6 / 10..=most).contains(&left), "{path}: {left} ms");
        origin.release_one();
        call.await
            .unwrap()
            .assert_body(200, r#"{"status":"success"}"#);
    }
}

#[tokio::test]
async fn users_do_not_wait_for_each_other() {
    let origin = Origin::start(Reply::nothing().gated()).await;
    let app = App::builder().origin(&origin).start().await;
    let users = [
        "1",
        "2",
        "-1",
        "9223372036854775807",
        "-9223372036854775808",
    ];
    let mut calls = Vec::new();
    for (index, user) in users.into_iter().enumerate() {
        calls.push(app.attempt(&format!("user_id={user}")).spawn());
        // All are under way at the same time: none has been let go yet.
        origin.until_seen(index + 1).await;
    }
    for _ in users {
        origin.release_one();
    }
    for call in calls {
        call.await
            .unwrap()
            .assert_body(200, r#"{"status":"success"}"#);
    }
}
