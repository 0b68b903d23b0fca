//! What a caller learns of an answer of the origin that is not a 2xx.

use edgelatch_tests::{App, Origin, Reply};
use serde_json::json;

#[tokio::test]
async fn the_problem_tells_the_origins_status_and_json() {
    let origin = Origin::start(Reply::nothing()).await;
    let app = App::builder().origin(&origin).start().await;
    for status in [302, 400, 404, 409, 500, 503] {
        origin.reply_with(Reply::status(status, r#"{"error": "no funds"}"#));
        for action in ["perform-action", "attempt-action"] {
            let answer = app.post(&format!("/api/v1/users/{action}?user_id=1")).await;
            answer.assert_problem(502, "origin-failed");
            assert_eq!(answer.json()["origin_status"], status);
            assert_eq!(answer.json()["origin_body"], json!({"error": "no funds"}));
            assert!(
                answer
                    .text()
                    .contains(r#""origin_body":{"error": "no funds"}"#)
            );
        }
    }
}

#[tokio::test]
async fn long_bodies_are_cut_and_other_types_left_out() {
    let origin = Origin::start(Reply::nothing()).await;
    let app = App::builder().origin(&origin).start().await;
    let long = format!("[\"{}\"]", "x".repeat(3000));
    origin.reply_with(Reply::status(500, &long));
    let answer = app.perform("user_id=1").await;
    assert_eq!(answer.json()["origin_body"], long[..2048]);
    for body in ["<p>secret</p>", "{\"secret\":", ""] {
        origin.reply_with(Reply::status(500, body));
        let answer = app.perform("user_id=1").await;
        answer.assert_problem(502, "origin-failed");
        assert_eq!(answer.json()["origin_status"], 500);
        assert_eq!(answer.json().get("origin_body"), None, "{body}");
    }
    origin.reply_with(Reply::Plain(500, "text/html", "{\"secret\":1}".into()));
    let answer = app.perform("user_id=1").await;
    assert_eq!(answer.json().get("origin_body"), None);
}

#[tokio::test]
async fn an_origin_that_did_not_answer_has_no_status() {
    let origin = Origin::start(Reply::nothing()).await;
    let app = App::builder().origin(&origin).start().await;
    origin.stop().await;
    let answer = app.perform("user_id=1").await;
    answer.assert_problem(502, "origin-failed");
    assert_eq!(answer.json().get("origin_status"), None);
}

#[tokio::test]
async fn passthrough_answers_the_origins_error() {
    let origin = Origin::start(Reply::nothing()).await;
    let app = App::builder().origin(&origin);
    let app = app.var("origin_passthrough", "true").start().await;
    for (status, content_type, body) in [
        (409, "application/json", r#"{"error": "no funds"}"#),
        (422, "application/problem+json", "{}"),
        (503, "text/html", "<p>later</p>"),
        (500, "", ""),
    ] {
        origin.reply_with(Reply::Plain(status, content_type, body.into()));
        for action in ["perform-action", "attempt-action"] {
            let call = app.post(&format!("/api/v1/users/{action}?user_id=1"));
            let call = call.header("idempotency-key", "again").passed_through();
            let answer = call.await;
            answer.assert_body(status, body);
            let expected = Some(content_type).filter(|it| !it.is_empty());
            assert_eq!(answer.header("content-type"), expected);
            assert_eq!(answer.header("fencing-token"), None);
            assert!(!app.redis.exists("user:1:lock").await);
        }
    }
    let kept: Vec<String> = app.redis.run(&["KEYS", "*"]).await;
    assert_eq!(kept, ["{user:1:lock}:fence"]);
}

#[tokio::test]
async fn passthrough_keeps_problems_that_are_not_the_origins() {
    let origin = Origin::start(Reply::nothing()).await;
    let app = App::builder().origin(&origin);
    let app = app.var("origin_passthrough", "true").start().await;
    for reply in [
        Reply::redirect(302, "/x"),
        Reply::Plain(200, "text/html", "<p>".into()),
    ] {
        origin.reply_with(reply);
        app.perform("user_id=1")
            .await
            .assert_problem(502, "origin-failed");
    }
}
