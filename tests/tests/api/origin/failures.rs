//! An origin that fails or is too slow: 502 and 504, the lock is free again, and nothing is kept.

use std::time::Duration;

use edgelatch_tests::{App, Origin, Pace, Reply, Service};

const LOCK: &str = "user:1:lock";

/// Asserts that both actions are refused like this, each leaving the lock free and nothing kept.
async fn assert_fails(app: &App, status: u16, slug: &str, why: &str) {
    for action in ["perform-action", "attempt-action"] {
        let path = format!("/api/v1/users/{action}?user_id=1&expire=60");
        let call = app.post(&path).header("idempotency-key", "again");
        let answer = call.await;
        answer.assert_problem(status, slug);
        assert!(!app.redis.exists(LOCK).await, "{why}: the lock is held");
        assert_eq!(answer.header("fencing-token"), None, "{why}");
        let kept: Vec<String> = app.redis.run(&["KEYS", "*"]).await;
        assert_eq!(kept, ["{user:1:lock}:fence"], "{why}");
    }
}

#[tokio::test]
async fn an_answer_other_than_2xx_is_502() {
    let origin = Origin::start(Reply::nothing()).await;
    let app = App::builder().origin(&origin).start().await;
    for status in [
        300, 304, 400, 401, 404, 409, 422, 423, 429, 500, 502, 503, 504,
    ] {
        let reply = Reply::Plain(status, "application/json", r#"{"secret":1}"#.into());
        origin.reply_with(reply);
        assert_fails(&app, 502, "origin-failed", &status.to_string()).await;
    }
}

#[tokio::test]
async fn a_redirect_is_502_and_not_followed() {
    let elsewhere = Origin::start(Reply::json("{}")).await;
    let origin = Origin::start(Reply::nothing()).await;
    let app = App::builder().origin(&origin).start().await;
    for status in [301, 302, 303, 307, 308] {
        for target in [elsewhere.url(), format!("{}/elsewhere", origin.url())] {
            origin.reply_with(Reply::redirect(status, &target));
            assert_fails(&app, 502, "origin-failed", &status.to_string()).await;
        }
    }
    assert_eq!(elsewhere.seen().len(), 0);
    assert!(origin.seen().iter().all(|seen| seen.path != "/elsewhere"));
}

#[tokio::test]
async fn a_2xx_that_is_not_json_is_502() {
    let origin = Origin::start(Reply::nothing()).await;
    let app = App::builder().origin(&origin).start().await;
    let deep = "[".repeat(200) + &"]".repeat(200);
    let answers: [(&str, &[u8]); 9] = [
        ("text/html", b"<html></html>"),
        ("text/html", b"{}"),
        ("application/json", b"<html></html>"),
        ("application/json", b"{\"a\":1"),
        ("application/json", b"{} {}"),
        ("application/json", b" "),
        ("application/json", b"\"\xff\""),
        ("application/json", b"1e999"),
        ("application/json", deep.as_bytes()),
    ];
    for (content_type, body) in answers {
        origin.reply_with(Reply::Plain(200, content_type, body.to_vec().into()));
        let why = format!("{content_type}: {}", body.escape_ascii());
        assert_fails(&app, 502, "origin-failed", &why).await;
    }
}

#[tokio::test]
async fn an_answer_longer_than_max_body_bytes_is_502() {
    let origin = Origin::start(Reply::nothing()).await;
    let app = App::builder()
        .origin(&origin)
        .var("max_body_bytes", "1000")
        .start()
        .await;
    let json = |length: usize| format!("\"{}\"", "a".repeat(length - 2));
    origin.reply_with(Reply::json(&json(1001)));
    assert_fails(&app, 502, "origin-failed", "1001 bytes").await;
    origin.reply_with(Reply::json(&json(1000)));
    let answer = app.perform("user_id=1").await;
    answer.assert_body(
        200,
        &format!(r#"{{"status":"success","result":{}}}"#, json(1000)),
    );
}

#[tokio::test]
async fn a_broken_or_malformed_answer_is_502() {
    for bytes in [
        &b""[..],
        b"\0\x01garbage\r\n\r\n",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{\"a\":1}",
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: two\r\n\r\n{}",
    ] {
        let origin = Origin::start_raw(bytes).await;
        let app = App::builder().origin(&origin).start().await;
        let why = bytes.escape_ascii().to_string();
        assert_fails(&app, 502, "origin-failed", &why).await;
    }
}

#[tokio::test]
async fn an_origin_that_is_not_there_is_502() {
    let origin = Origin::start(Reply::nothing()).await;
    let app = App::builder().origin(&origin).start().await;
    assert_eq!(app.perform("user_id=2").await.status, 200);
    app.redis.run::<()>(&["FLUSHALL"]).await;
    drop(origin);
    edgelatch_tests::until("nothing listens there", || async {
        app.perform("user_id=2").await.status == 502
    })
    .await;
    app.redis.run::<()>(&["FLUSHALL"]).await;
    assert_fails(&app, 502, "origin-failed", "unreachable").await;
}

#[tokio::test]
async fn an_origin_that_is_slow_is_504_in_origin_timeout() {
    let slow = Reply::nothing().after(Duration::from_secs(60));
    let origin = Origin::start(slow).await;
    let app = App::builder()
        .origin(&origin)
        .var("origin_timeout", "0.4")
        .start()
        .await;
    assert_times_out(&app).await;
    assert_fails(&app, 504, "origin-timeout", "slow").await;
    origin.reply_with(Reply::nothing());
    app.attempt("user_id=1")
        .await
        .assert_body(200, r#"{"status":"success"}"#);
}

#[tokio::test]
async fn an_origin_that_hangs_half_way_is_504_in_origin_timeout() {
    for bytes in [
        &b""[..],
        b"HTTP/1.1 200 OK\r\ncontent-ty",
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{\"a\":",
    ] {
        let origin = Origin::start_stalling(bytes).await;
        let app = App::builder()
            .origin(&origin)
            .var("origin_timeout", "0.4")
            .start()
            .await;
        assert_times_out(&app).await;
        assert_fails(
            &app,
            504,
            "origin-timeout",
            &bytes.escape_ascii().to_string(),
        )
        .await;
    }
}

/// Asserts that the answer comes when `origin_timeout`, 0.4 s, has passed.
async fn assert_times_out(service: &Service) {
    let pace = Pace::watch(service);
    let answer = service.perform("user_id=1").await;
    answer.assert_problem(504, "origin-timeout");
    let least = Duration::from_millis(400);
    let most = Duration::from_millis(650) + pace.slowest().await;
    assert!((least..=most).contains(&answer.took), "{:?}", answer.took);
}

#[tokio::test]
async fn a_waiter_runs_at_once_after_a_failure() {
    let failing = Reply::Plain(500, "", "".into());
    let origin = Origin::start(failing.gated()).await;
    let app = App::builder().origin(&origin).start().await;
    let fails = app.perform("user_id=1&expire=600").spawn();
    origin.until_seen(1).await;
    origin.reply_with(Reply::nothing());
    let waits = app.perform("user_id=1&timeout=30").spawn();
    origin.release_one();
    fails.await.unwrap().assert_problem(502, "origin-failed");
    waits
        .await
        .unwrap()
        .assert_body(200, r#"{"status":"success"}"#);
    assert_eq!(origin.overlaps(), 0);
}
