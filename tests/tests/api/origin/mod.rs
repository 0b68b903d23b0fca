//! What the origin is sent, and what becomes of its answer.

mod failures;
mod fencing;
mod passthrough;
mod reconnecting;
mod sizes;
mod unreachable;

use std::time::Duration;

use edgelatch_tests::{App, Origin, OriginRequest, Reply};

const LAST_ACTION: &str = "{user:1:lock}:cache:last-action";

#[tokio::test]
async fn the_body_is_posted_to_users_id_action() {
    let origin = Origin::start(Reply::nothing()).await;
    let app = App::builder().origin(&origin).start().await;
    app.perform("user_id=42&timeout=1&expire=9").await;
    app.attempt("user_id=-7").await;
    app.post("/api/v1/users/perform-action/?user_id=42").await;
    let seen = origin.seen();
    let lines: Vec<_> = seen
        .iter()
        .map(|seen| (&*seen.method, &*seen.path))
        .collect();
    let expected = [
        ("POST", "/users/42/perform-action"),
        ("POST", "/users/-7/attempt-action"),
        ("POST", "/users/42/perform-action"),
    ];
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn origin_action_path_is_a_template() {
    let origin = Origin::start(Reply::nothing()).await;
    for (template, path) in [
        ("/{action}/of/{user_id}.json", "/attempt-action/of/42.json"),
        ("/v2/rebuild", "/v2/rebuild"),
        ("/{user_id}/{user_id}", "/42/42"),
        ("/a%20b/{user_id};x=1", "/a%20b/42;x=1"),
    ] {
        let app = App::builder()
            .origin(&origin)
            .var("origin_action_path", template);
        let app = app.start().await;
        app.attempt("user_id=42")
            .await
            .assert_body(200, r#"{"status":"success"}"#);
        assert_eq!(origin.seen().last().unwrap().path, path);
    }
}

#[tokio::test]
async fn these_headers_are_passed_on() {
    let origin = Origin::start(Reply::nothing()).await;
    let app = App::builder().origin(&origin).start().await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let answer = app
        .perform("user_id=42")
        .header("idempotency-key", "order-17")
        .header("x-request-id", "mine/1")
        .header("traceparent", trace)
        .header("tracestate", "a=1")
        .header("tracestate", "b=2")
        .await;
    assert_eq!(answer.status, 200);
    let seen = origin.seen().remove(0);
    assert_eq!(seen.fencing_token(), answer.number("fencing-token"));
    assert_eq!(seen.header("x-user-id"), Some("42"));
    assert_eq!(seen.header("idempotency-key"), Some("order-17"));
    assert_eq!(seen.header("x-request-id"), Some("mine/1"));
    assert_eq!(seen.header("traceparent"), Some(trace));
    // One field in two lines or in one (RFC 9110, section 5.3).
    assert_eq!(all(&seen, "tracestate").replace(", ", ","), "a=1,b=2");
}

#[tokio::test]
async fn only_the_request_id_is_made_up() {
    let origin = Origin::start(Reply::nothing()).await;
    let app = App::builder().origin(&origin).start().await;
    let answer = app.perform("user_id=42").await;
    let seen = origin.seen().remove(0);
    assert_eq!(seen.header("x-request-id"), answer.header("x-request-id"));
    for name in ["idempotency-key", "traceparent", "tracestate"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
}

#[tokio::test]
async fn no_encoding_is_asked_for() {
    let origin = Origin::start(Reply::json("1")).await;
    let app = App::builder().origin(&origin).start().await;
    app.perform("user_id=42").await.assert_success();
    app.get("/api/v1/users/42").await.assert_body(200, "1");
    for seen in origin.seen() {
        assert_eq!(seen.header("accept-encoding"), Some("identity"));
    }
}

#[tokio::test]
async fn a_malformed_trace_and_a_long_state_are_not_passed_on() {
    let origin = Origin::start(Reply::json("1")).await;
    let app = App::builder().origin(&origin).start().await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let long = format!("a={}", "x".repeat(17_000));
    for (parent, state, passes) in [
        (trace, long.as_str(), (true, false)),
        (trace, "a=1", (true, true)),
        (trace, ",,,===", (true, false)),
        ("00-x-y-01", "a=1", (false, false)),
        (
            "00-0af7651916cd43dd8448eb211c80319c-0-01",
            "a=1",
            (false, false),
        ),
    ] {
        let read = app.get("/api/v1/users/42").header("traceparent", parent);
        let read = read
            .header("tracestate", state)
            .header("cache-control", "no-cache");
        read.await.assert_body(200, "1");
        let seen = origin.seen().pop().unwrap();
        let passed = ["traceparent", "tracestate"].map(|name| seen.header(name).is_some());
        assert_eq!(passed, <[bool; 2]>::from(passes), "{parent}");
    }
}

#[tokio::test]
async fn nothing_else_of_the_caller_is_passed_on() {
    let origin = Origin::start(Reply::nothing()).await;
    let app = App::builder()
        .origin(&origin)
        .var("api_token", "a-s3cret-of-the-test")
        .start()
        .await;
    let sent = [
        ("authorization", "Bearer a-s3cret-of-the-test"),
        ("cookie", "session=1"),
        ("proxy-authorization", "Basic eDp5"),
        ("connection", "x-hop"),
        ("x-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("te", "trailers"),
        ("forwarded", "for=1.2.3.4"),
        ("x-forwarded-for", "1.2.3.4"),
        ("x-api-key", "k"),
        ("accept-encoding", "gzip"),
        ("referer", "http://a/"),
        ("range", "bytes=0-1"),
        ("if-match", "\"a\""),
    ];
    let mut call = app.perform("user_id=1").json("{}");
    for (name, value) in sent {
        call = call.header(name, value);
    }
    call.await.assert_body(200, r#"{"status":"success"}"#);
    let seen = origin.seen().remove(0);
    for (name, value) in sent {
        assert!(!all(&seen, name).contains(value), "{name}: {seen:?}");
    }
}

#[tokio::test]
async fn the_caller_can_forge_neither_fencing_token_nor_user() {
    let origin = Origin::start(Reply::nothing()).await;
    let app = App::builder().origin(&origin).start().await;
    let call = app.perform("user_id=1").header("fencing-token", "9");
    let answer = call.header("x-user-id", "2").await;
    let seen = origin.seen().remove(0);
    assert_eq!(all(&seen, "x-user-id"), "1");
    let token = answer.header("fencing-token").unwrap();
    assert_eq!(all(&seen, "fencing-token"), token);
}

/// All values of a header.
fn all(seen: &OriginRequest, name: &str) -> String {
    let values = seen.headers.get_all(name).iter();
    let values: Vec<_> = values.map(|value| value.to_str().unwrap()).collect();
    values.join(",")
}

#[tokio::test]
async fn the_bodys_bytes_are_those_that_were_sent() {
    let origin = Origin::start(Reply::nothing()).await;
    let app = App::builder().origin(&origin).start().await;
    let long = format!("[\"{}\"]", "é".repeat(300_000));
    let bodies = [
        " {\"b\": 1.50,\r\n\t\"a\" :[123456789012345678901234567890, 1E+2],\"a\":2}\n",
        r#""\u00e9é\/""#,
        "null",
        &long,
    ];
    for body in bodies {
        let answer = app.perform("user_id=1").json(body).await;
        answer.assert_body(200, r#"{"status":"success"}"#);
        let seen = origin.seen().pop().unwrap();
        assert!(seen.body == body, "{} bytes", seen.body.len());
        assert_eq!(seen.header("content-type"), Some("application/json"));
        assert_framed_by_length(&seen);
    }
    app.perform("user_id=1").await;
    let seen = origin.seen().pop().unwrap();
    assert_eq!((&*seen.body, seen.header("content-type")), (&b""[..], None));
    assert_framed_by_length(&seen);
}

/// A gateway to WSGI or CGI has no body where there is no `Content-Length`.
fn assert_framed_by_length(seen: &OriginRequest) {
    let length = seen.body.len().to_string();
    assert_eq!(seen.header("content-length"), Some(&*length));
    assert_eq!(seen.header("transfer-encoding"), None);
}

#[tokio::test]
async fn a_2xx_json_answer_is_the_result_byte_for_byte() {
    let origin = Origin::start(Reply::nothing()).await;
    let app = App::builder().origin(&origin).start().await;
    let results = [
        "{\"b\" : 1.50,\n \"a\":[123456789012345678901234567890,1E+2], \"a\":0}",
        r#""\u00e9é\/\ud83d\ude00""#,
        "null",
        "-0.0",
        "[]",
    ];
    for (status, content_type) in [
        (200, "application/json"),
        (201, "application/json; charset=utf-8"),
        (202, "application/vnd.shop+json"),
        (203, ""),
    ] {
        for result in results {
            origin.reply_with(Reply::Plain(status, content_type, result.into()));
            let body = format!(r#"{{"status":"success","result":{result}}}"#);
            app.perform("user_id=1").await.assert_body(200, &body);
            let kept = app.redis.entry(LAST_ACTION).await.unwrap();
            let prefix = format!(r#"{{"status":"success","result":{result},"fencing_token":"#);
            assert!(kept.starts_with(&prefix), "{kept}");
        }
    }
}

#[tokio::test]
async fn a_2xx_without_a_body_is_no_result() {
    let origin = Origin::start(Reply::nothing()).await;
    let app = App::builder().origin(&origin).start().await;
    for (status, content_type) in [
        (204, ""),
        (200, ""),
        (200, "application/json"),
        (202, "text/plain"),
    ] {
        origin.reply_with(Reply::Plain(status, content_type, "".into()));
        let answer = app.perform("user_id=1").await;
        answer.assert_body(200, r#"{"status":"success"}"#);
        let kept = app.redis.entry(LAST_ACTION).await.unwrap();
        assert!(!kept.contains("result"), "{kept}");
    }
}

#[tokio::test]
async fn server_timing_tells_how_long_the_action_took() {
    let origin = Origin::start(Reply::nothing().after(Duration::from_millis(150))).await;
    let app = App::builder().origin(&origin).start().await;
    let answer = app.perform("user_id=1").await;
    let most = answer.took.as_secs_f64() * 1000.0;
    let action = answer.timing("action");
    assert!((149.0..=most).contains(&action), "{action} of {most}");
}
