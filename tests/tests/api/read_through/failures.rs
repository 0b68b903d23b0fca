//! An origin that fails: 502 and 504, and nothing is kept, but for a short while that it knows no
//! such user.

use std::time::Duration;

use edgelatch_tests::{App, Origin, Reply};

use super::{ENTRY, USER, before};

#[tokio::test]
async fn what_is_no_answer_is_502_and_not_kept() {
    let (app, origin) = before(Reply::nothing()).await;
    let long = format!("\"{}\"", "x".repeat(1 << 20));
    for reply in [
        Reply::status(500, "{}"),
        Reply::status(401, "{}"),
        Reply::nothing(),
        Reply::Plain(200, "text/html", "<p>".into()),
        Reply::json("{\"a\":"),
        Reply::json(&long),
        Reply::redirect(302, "/elsewhere"),
    ] {
        origin.reply_with(reply);
        let answer = app.get(USER).await;
        answer.assert_problem(502, "origin-failed");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert!(
            answer
                .header("cache-status")
                .unwrap()
                .starts_with("edgelatch; fwd=miss")
        );
        assert!(!app.redis.exists(ENTRY).await);
    }
    assert_eq!(origin.seen().len(), 7);
}

#[tokio::test]
async fn a_redirect_to_another_host_is_not_followed() {
    let elsewhere = Origin::start(Reply::json("{}")).await;
    let (app, _origin) = before(Reply::redirect(302, &elsewhere.url())).await;
    app.get(USER).await.assert_problem(502, "origin-failed");
    assert_eq!(elsewhere.seen().len(), 0);
}

#[tokio::test]
async fn a_broken_or_malformed_answer_is_502() {
    for bytes in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"a\":"[..],
        b"NONSENSE\r\n\r\n",
        b"",
    ] {
        let origin = Origin::start_raw(bytes).await;
        let app = App::builder().origin(&origin).start().await;
        app.get(USER).await.assert_problem(502, "origin-failed");
    }
}

#[tokio::test]
async fn one_that_hangs_is_504() {
    for bytes in [
        &b""[..],
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"a\":",
    ] {
        let origin = Origin::start_stalling(bytes).await;
        let app = App::builder().origin(&origin).var("origin_timeout", "0.3");
        let answer = app.start().await.get(USER).await;
        answer.assert_problem(504, "origin-timeout");
        assert!(
            answer.took >= Duration::from_millis(300),
            "{:?}",
            answer.took
        );
        assert!(
            answer.took < Duration::from_millis(1500),
            "{:?}",
            answer.took
        );
    }
}

#[tokio::test]
async fn ten_megabytes_are_kept_if_allowed() {
    let long = format!("\"{}\"", "x".repeat(10 << 20));
    let origin = Origin::start(Reply::json(&long)).await;
    let app = App::builder().origin(&origin).patient();
    let app = app.var("max_body_bytes", "16777216").start().await;
    for _ in 0..2 {
        let answer = app.get(USER).await;
        assert_eq!(answer.status, 200);
        assert!(answer.text() == long);
    }
    assert_eq!(origin.seen().len(), 1);
}

#[tokio::test]
async fn a_404_and_a_410_are_kept_for_negative_expire() {
    for code in [404, 410] {
        let (app, origin) = before(Reply::status(code, r#"{"error":"no such user"}"#)).await;
        for status in [
            format!("edgelatch; fwd=miss; fwd-status={code}; stored; ttl="),
            "edgelatch; hit; ttl=".to_owned(),
        ] {
            let answer = app.get(USER).await;
            answer.assert_problem(502, "origin-failed");
            assert_eq!(answer.json()["origin_status"], code);
            assert_eq!(answer.json()["origin_body"]["error"], "no such user");
            assert!(answer.header("cache-status").unwrap().starts_with(&status));
            assert_eq!(answer.header("cache-control"), Some("no-store"));
        }
        assert_eq!(origin.seen().len(), 1);
        let left = app.redis.ms_left(ENTRY).await;
        assert!((3000..=5000).contains(&left), "{left}");
        let _: i64 = app.redis.run(&["PEXPIRE", ENTRY, "1"]).await;
        origin.reply_with(Reply::json("1"));
        edgelatch_tests::until("it has expired", || async {
            !app.redis.exists(ENTRY).await
        })
        .await;
        app.get(USER).await.assert_body(200, "1");
    }
}

#[tokio::test]
async fn after_a_404_or_a_410_an_older_value_is_not_served() {
    for code in [404, 410] {
        let (app, origin) = before(Reply::json("1")).await;
        app.get(USER).await.assert_body(200, "1");
        origin.reply_with(Reply::status(code, "{}"));
        let anew = app.get(USER).header("cache-control", "no-cache").await;
        anew.assert_problem(502, "origin-failed");
        app.get(USER).await.assert_problem(502, "origin-failed");
        assert!(app.redis.ms_left(ENTRY).await <= 5000);
    }
}

#[tokio::test]
async fn with_passthrough_a_failure_is_the_origins_own() {
    let origin = Origin::start(Reply::status(404, r#"{"error":"no such user"}"#)).await;
    let app = App::builder()
        .origin(&origin)
        .var("origin_passthrough", "true");
    let app = app.start().await;
    for _ in 0..2 {
        let answer = app.get(USER).passed_through().await;
        answer.assert_body(404, r#"{"error":"no such user"}"#);
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    assert_eq!(origin.seen().len(), 1);
    origin.reply_with(Reply::Plain(503, "text/html", "<p>later</p>".into()));
    let answer = app.get("/api/v1/users/43").passed_through().await;
    answer.assert_body(503, "<p>later</p>");
    assert_eq!(answer.header("content-type"), Some("text/html"));
}

#[tokio::test]
async fn those_who_share_a_failure_get_its_headers_byte_for_byte() {
    let link = "</caf\u{e9}>; rel=\"help\"";
    let reply = Reply::status(503, "{}").header("link", link);
    let origin = Origin::start(reply.gated()).await;
    let app = App::builder().origin(&origin);
    let app = app.var("origin_passthrough", "true").start().await;
    let first = app.get(USER).passed_through().spawn();
    origin.until_seen(1).await;
    let second = app.get(USER).passed_through().spawn();
    edgelatch_tests::until("it waits", || async {
        app.redis.calls("evalsha").await >= 5
    })
    .await;
    origin.release_one();
    for read in [first, second] {
        let read = read.await.unwrap();
        read.assert_body(503, "{}");
        let told = read.headers.get("link").map(|value| value.as_bytes());
        assert_eq!(told, Some(link.as_bytes()));
    }
    assert_eq!(origin.seen().len(), 1);
}
