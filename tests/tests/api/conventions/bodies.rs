//! Request bodies: 413 before they are buffered, 415, 400 with line and column.

use std::time::Duration;

use bytes::Bytes;
use edgelatch_tests::{App, Call, raw, raw_then_hang_up};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";

/// Every route that takes a body: method, path, the type of its body.
const TAKERS: [(&str, &str, &str); 4] = [
    ("POST", "/api/v1/users/perform-action?user_id=7", JSON),
    ("POST", "/api/v1/users/attempt-action?user_id=7", JSON),
    ("PUT", "/api/v1/users/7/cache/profile", JSON),
    ("PATCH", "/api/v1/users/7/cache/profile", MERGE_PATCH),
];

/// One call to each of them, without a body yet.
fn calls(app: &App) -> impl Iterator<Item = Call> {
    TAKERS
        .map(|(method, path, _)| app.call(method, path))
        .into_iter()
}

/// A JSON string of so many bytes.
fn json_of(length: usize) -> String {
    format!("\"{}\"", "x".repeat(length - 2))
}

#[tokio::test]
async fn a_body_may_have_a_mebibyte_and_no_more() {
    let app = App::start().await;
    for call in calls(&app) {
        call.body(json_of(1 << 20)).await.assert_success();
    }
    for call in calls(&app) {
        let answer = call.body(json_of((1 << 20) + 1)).await;
        answer.assert_problem(413, "body-too-large");
    }
}

#[tokio::test]
async fn max_body_bytes_sets_another_limit() {
    let app = App::builder().var("max_body_bytes", "64").start().await;
    for call in calls(&app) {
        call.body(json_of(64)).await.assert_success();
    }
    for call in calls(&app) {
        let answer = call.body(json_of(65)).await;
        answer.assert_problem(413, "body-too-large");
    }
}

#[tokio::test]
async fn a_body_in_chunks_is_413_at_the_first_byte_too_many() {
    let app = App::builder().var("max_body_bytes", "64").start().await;
    let pieces = |length| {
        let json = json_of(length);
        let pieces = json.as_bytes().chunks(10);
        pieces.map(Bytes::copy_from_slice).collect::<Vec<_>>()
    };
    for call in calls(&app) {
        call.chunks(pieces(64)).await.assert_success();
    }
    for (method, path, _) in TAKERS {
        // The last chunk never comes.
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{}\r\n1\r\n1\r\n",
            "1".repeat(64)
        );
        let answer = raw(app.address(), request.as_bytes()).await;
        assert_eq!(answer.status, Some(413), "{path}");
        assert_eq!(answer.slug(), Some("body-too-large"));
    }
}

#[tokio::test]
async fn an_announced_oversize_body_is_413_before_it_is_sent() {
    let app = App::start().await;
    for (method, path, content_type) in TAKERS {
        for expect in ["", "Expect: 100-continue\r\n"] {
            let request = format!(
                "{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\n{expect}Content-Length: 1048577\r\n\r\n"
            );
            let answer = raw(app.address(), request.as_bytes()).await;
            assert_eq!(answer.status, Some(413), "{path}");
            assert_eq!(answer.slug(), Some("body-too-large"));
        }
    }
}

#[tokio::test]
async fn a_fault_at_the_end_of_a_long_body_is_told_and_a_great_number_is_none() {
    let app = App::start().await;
    let put = async |end: &str| {
        let body = format!("[{}{end}", "1,\n".repeat(200_000));
        app.put("/api/v1/users/7/cache/profile").json(&body).await
    };
    for (end, told) in [
        ("]", "trailing comma at line 200001 column 1"),
        ("1", "EOF while parsing a list at line 200001 column 1"),
        ("1e400]", "number out of range at line 200001 column 5"),
        ("{'a':1}]", "key must be a string at line 200001 column 2"),
    ] {
        let answer = put(end).await;
        answer.assert_problem(400, "malformed-json");
        assert_eq!(answer.json()["detail"], format!("Not JSON: {told}"));
    }
    put("1e305]").await.assert_success();
}

#[tokio::test]
async fn what_is_not_json_is_400_with_line_and_column() {
    let app = App::start().await;
    for (bad, place) in [
        (&b"{"[..], "line 1 column 1"),
        (b"{\n  \"a\": x}", "line 2 column 8"),
        (b"[1,]", "line 1 column 4"),
        (b"{'a':1}", "line 1 column 2"),
        (b"1 2", "line 1 column 3"),
        (b"nul", "line 1 column 3"),
        (b"01", "line 1 column 2"),
        (b"NaN", "line 1 column 1"),
        (b" ", "line 1 column 1"),
        (b"\"\x01\"", "line 1 column"),
        (b"\"\\ud800\"", "line 1 column"),
        (b"\"\xff\"", "line 1 column"),
        (b"\xef\xbb\xbf1", "line 1 column 1"),
        (b"a=1&b=2", "line 1 column 1"),
        (b"<xml/>", "line 1 column 1"),
        (b"1e999", "line 1 column"),
        (b"[-1e999]", "line 1 column"),
    ] {
        for call in calls(&app) {
            let answer = call.body(bad).await;
            answer.assert_problem(400, "malformed-json");
            let detail = answer.json()["detail"].to_string();
            assert!(detail.contains(place), "{detail}");
        }
    }
    assert_eq!(app.redis.run::<i64>(&["DBSIZE"]).await, 0);
}

#[tokio::test]
async fn json_may_nest_128_deep_and_no_deeper() {
    let app = App::start().await;
    let lists = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let objects = |depth: usize| "{\"a\":".repeat(depth) + "1" + &"}".repeat(depth);
    for json in [lists(128), objects(128)] {
        for call in calls(&app) {
            call.body(json.clone()).await.assert_success();
        }
    }
    for json in [lists(129), objects(129), "[".repeat(1 << 20)] {
        for call in calls(&app) {
            let answer = call.body(json.clone()).await;
            answer.assert_problem(400, "malformed-json");
        }
    }
}

#[tokio::test]
async fn numbers_within_f64_are_json() {
    let app = App::start().await;
    for good in [
        "1e308",
        "-1e308",
        "123456789012345678901234567890",
        "1e-999",
    ] {
        for call in calls(&app) {
            call.body(good).await.assert_success();
        }
    }
}

#[tokio::test]
async fn a_type_other_than_json_is_415() {
    let app = App::start().await;
    for bad in [
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain",
        "text/json",
        "application/xml",
        "application/jsonp",
        "application/octet-stream",
        "json",
        "",
    ] {
        for call in calls(&app) {
            let answer = call.header("content-type", bad).body("{}").await;
            answer.assert_problem(415, "unsupported-media-type");
        }
    }
}

#[tokio::test]
async fn a_form_type_is_told_of_json() {
    let app = App::start().await;
    for call in calls(&app).take(3) {
        let form = "application/x-www-form-urlencoded";
        let answer = call.header("content-type", form).body(r#"{"a":1}"#).await;
        answer.assert_problem(415, "unsupported-media-type");
        let detail = answer.json()["detail"].to_string();
        assert!(detail.contains("--json"), "{detail}");
    }
}

#[tokio::test]
async fn json_types_and_an_absent_type_are_json() {
    let app = App::start().await;
    for good in [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "application/ld+json",
    ] {
        for call in calls(&app).take(3) {
            let answer = call.header("content-type", good).body("{}").await;
            answer.assert_success();
        }
    }
    for call in calls(&app) {
        call.body("{}").await.assert_success();
    }
}

#[tokio::test]
async fn no_body_has_no_type() {
    let app = App::start().await;
    // `curl -d ''`
    let form = "application/x-www-form-urlencoded";
    for call in calls(&app).take(2) {
        call.header("content-type", form).await.assert_success();
    }
    let answer = app.put("/api/v1/users/7/cache/profile").await;
    answer.assert_problem(400, "malformed-json");
}

#[tokio::test]
async fn a_body_that_ends_early_does_nothing() {
    let app = App::start().await;
    for (method, path, content_type) in TAKERS {
        for body in [
            "Content-Length: 10\r\n\r\n{}",
            "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
        ] {
            let request = format!(
                "{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\n{body}"
            );
            let patience = Duration::from_millis(100);
            let sent = raw_then_hang_up(app.address(), request.as_bytes(), patience);
            let answer = sent.await;
            assert!(matches!(answer.status, None | Some(400)), "{answer:?}");
        }
    }
    assert_eq!(app.get("/healthz").await.status, 200);
    assert_eq!(app.redis.run::<i64>(&["DBSIZE"]).await, 0);
}

#[tokio::test]
async fn slow_bodies_block_nobody() {
    const HEAD: &[u8] = b"PUT /api/v1/users/7/cache/slow HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\nConnection: close\r\n\r\n{\"a\"";
    let app = App::start().await;
    let mut slow = Vec::new();
    // More of them than one instance takes at once.
    for _ in 0..40 {
        let mut stream = TcpStream::connect(app.address()).await.unwrap();
        stream.write_all(HEAD).await.unwrap();
        slow.push(stream);
    }
    for user in 0..20 {
        let answer = app.perform(&format!("user_id={user}")).await;
        answer.assert_success();
        assert!(answer.took < Duration::from_secs(2), "{:?}", answer.took);
    }
    assert!(!app.redis.exists("{user:7:lock}:cache:slow").await);
    for mut stream in slow {
        stream.write_all(b": 1}").await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 20"), "{answer}");
    }
    app.get("/api/v1/users/7/cache/slow")
        .await
        .assert_body(200, "{\"a\": 1}");
}

#[tokio::test]
async fn a_large_body_is_stored_as_sent() {
    let app = App::start().await;
    let path = "/api/v1/users/7/cache/large";
    let numbers: Vec<String> = (0..60_000).map(|number: u32| number.to_string()).collect();
    let json = format!("[{}]", numbers.join(","));
    app.call("PUT", path)
        .body(json.clone())
        .await
        .assert_success();
    app.get(path).await.assert_body(200, &json);
    app.call("DELETE", path).await.assert_success();
    let pieces = json
        .as_bytes()
        .chunks(7_000)
        .map(Bytes::copy_from_slice)
        .collect::<Vec<_>>();
    app.call("PUT", path).chunks(pieces).await.assert_success();
    app.get(path).await.assert_body(200, &json);
}

#[tokio::test]
async fn leases_refuse_a_body_that_they_would_not_read() {
    let app = App::start().await;
    let form = "application/x-www-form-urlencoded";
    for (method, path) in [
        ("POST", "/api/v1/users/7/lock"),
        ("PUT", "/api/v1/users/7/lock"),
        ("POST", "/api/v1/users/7/locks/build"),
        ("PUT", "/api/v1/users/7/locks/build"),
    ] {
        let call = || app.call(method, path);
        let answer = call().header("content-type", form).body("timeout=30").await;
        answer.assert_problem(415, "unsupported-media-type");
        let chunks = vec![Bytes::from_static(b"timeout=30")];
        let answer = call()
            .header("content-type", form)
            .chunks(chunks.clone())
            .await;
        answer.assert_problem(415, "unsupported-media-type");
        // No header says that a body comes.
        let answer = call().chunks(chunks).await;
        answer.assert_problem(400, "malformed-json");
        let answer = call().json("{").await;
        answer.assert_problem(400, "malformed-json");
        let answer = call().json(&json_of((1 << 20) + 1)).await;
        answer.assert_problem(413, "body-too-large");
    }
    assert_eq!(app.redis.run::<i64>(&["DBSIZE"]).await, 0);
    // Nothing was sent, or JSON that says nothing.
    let empty = app.post("/api/v1/users/7/lock");
    assert_eq!(empty.header("content-type", form).await.status, 201);
    assert_eq!(
        app.post("/api/v1/users/8/lock").json("{}").await.status,
        201
    );
}
