//! `GET` and `HEAD`.

use edgelatch_tests::{Answer, App, until};

use super::{ENTRY, KEY, store, tag_of};

#[tokio::test]
async fn the_json_comes_back_byte_for_byte_as_stored() {
    let app = App::patient().await;
    let deep = format!("{}{}", "[".repeat(128), "]".repeat(128));
    for json in [
        "null",
        "true",
        "0",
        "-0.0",
        "\"\"",
        "[]",
        "{}",
        " {\n\t\"a\" : [ 1 ,2 ]\r\n}\n ",
        "123456789012345678901234567890.123456789012345678901234567890",
        "[1.10, 1e2, 1E+2, 0.1e-7, 9007199254740993]",
        r#"{"b":1,"a":2,"b":3}"#,
        r#""\u00e9\u0000\/\\\"\ud83d\ude00""#,
        "\"h\u{e9}llo \u{1f600} \u{2028} \u{7f}\"",
        deep.as_str(),
    ] {
        let put = app.put(ENTRY).json(json).await;
        assert!(matches!(put.status, 200 | 201), "{json}: {}", put.text());
        let got = app.get(ENTRY).await;
        assert_eq!(
            (got.status, got.body.as_ref()),
            (200, json.as_bytes()),
            "{json}"
        );
        assert_eq!(got.header("content-type"), Some("application/json"));
        assert_eq!(app.redis.entry(KEY).await.as_deref(), Some(json));
        assert_eq!(tag_of(&got), tag_of(&put));
    }
}

/// The seconds in `Cache-Control: private, max-age=<seconds>` and in `Cache-Status: edgelatch; hit;
/// ttl=<seconds>`.
#[track_caller]
fn freshness(answer: &Answer) -> (i64, i64) {
    let after = |name, prefix: &str| {
        let value = answer.header(name).unwrap_or_default();
        let seconds = value.strip_prefix(prefix).unwrap_or(value);
        // Anything else is no number.
        seconds.parse().unwrap()
    };
    (
        after("cache-control", "private, max-age="),
        after("cache-status", "edgelatch; hit; ttl="),
    )
}

#[tokio::test]
async fn a_hit_says_its_etag_and_for_how_long_it_is_fresh() {
    let app = App::patient().await;
    for (expire, least) in [("600", 580), ("2592000", 2_591_980)] {
        let put = app.put(&format!("{ENTRY}?expire={expire}")).json("1").await;
        let before = app.redis.ms_left(KEY).await;
        for path in [ENTRY.to_owned(), format!("{ENTRY}/")] {
            let answer = app.get(&path).await;
            let after = app.redis.ms_left(KEY).await;
            answer.assert_body(200, "1");
            assert_eq!(tag_of(&answer), tag_of(&put));
            let (max_age, ttl) = freshness(&answer);
            assert_eq!(max_age, ttl);
            // Never more than is left.
            assert!(max_age * 1000 <= before && max_age >= after / 1000);
            assert!(max_age >= least, "{max_age}");
        }
    }
    app.put(&format!("{ENTRY}?expire=0.9"))
        .json("1")
        .await
        .assert_body(200, "");
    let answer = app.get(ENTRY).await;
    if answer.status == 200 {
        assert_eq!(freshness(&answer), (0, 0));
    } else {
        answer.assert_problem(404, "not-found");
    }
}

#[tokio::test]
async fn an_if_none_match_hit_is_304() {
    let app = App::patient().await;
    let tag = store(&app, r#"{"a":1}"#).await;
    for condition in [
        tag.clone(),
        format!("W/{tag}"),
        format!("\"other\", {tag}"),
        format!("{tag},W/\"other\""),
        format!(" , {tag} ,"),
        "*".to_owned(),
    ] {
        for method in ["GET", "HEAD"] {
            let answer = app
                .call(method, ENTRY)
                .header("if-none-match", &condition)
                .await;
            answer.assert_body(304, "");
            assert_eq!(tag_of(&answer), tag, "{condition}");
            let (max_age, ttl) = freshness(&answer);
            assert!(max_age == ttl && max_age > 3_580, "{max_age} {ttl}");
        }
    }
    // One of several header lines will do.
    app.get(ENTRY)
        .header("if-none-match", "\"other\"")
        .header("if-none-match", &tag)
        .await
        .assert_body(304, "");
    for condition in ["\"other\"".to_owned(), tag.replacen('"', "\"x", 1)] {
        app.get(ENTRY)
            .header("if-none-match", &condition)
            .await
            .assert_body(200, r#"{"a":1}"#);
    }
    // What has changed is sent anew.
    app.put(ENTRY).json("2").await.assert_body(200, "");
    app.get(ENTRY)
        .header("if-none-match", &tag)
        .await
        .assert_body(200, "2");
}

#[tokio::test]
async fn what_is_absent_is_404() {
    let app = App::patient().await;
    for (name, value) in [
        ("accept", "application/json"),
        ("if-none-match", "*"),
        ("if-match", "*"),
    ] {
        let answer = app.get(ENTRY).header(name, value).await;
        answer.assert_problem(404, "not-found");
        assert!(answer.header("etag").is_none());
    }
    let head = app.call("HEAD", ENTRY).await;
    assert_eq!((head.status, head.body.len()), (404, 0));
    app.put(&format!("{ENTRY}?expire=0.05"))
        .json("1")
        .await
        .assert_body(201, "");
    until("the entry has expired", || async {
        !app.redis.exists(KEY).await
    })
    .await;
    app.get(ENTRY).await.assert_problem(404, "not-found");
}

#[tokio::test]
async fn an_entry_that_was_long_is_served_as_it_is_now() {
    let app = App::patient().await;
    let long = |letter: &str| format!("\"{}\"", letter.repeat(100_000));
    for json in [long("a"), long("b"), "1".to_owned(), long("c")] {
        let stored = app.put(ENTRY).json(&json).await;
        assert!(stored.status < 300);
        let tag = tag_of(&stored);
        // By the same instance, which knows by now how long it was.
        for _ in 0..3 {
            let answer = app.get(ENTRY).await;
            assert!(answer.status == 200 && answer.body == json.as_bytes());
            assert_eq!(tag_of(&answer), tag);
            assert!(freshness(&answer).0 > 0);
        }
    }
    app.delete(ENTRY).await;
    app.get(ENTRY).await.assert_problem(404, "not-found");
    store(&app, &long("d")).await;
    app.get(ENTRY).await;
    app.redis.run::<()>(&["DEL", KEY]).await;
    app.redis.run::<()>(&["RPUSH", KEY, "x"]).await;
    app.get(ENTRY).await.assert_problem(404, "not-found");
    app.redis.run::<()>(&["DEL", KEY]).await;
    let foreign = long("e");
    app.redis.run::<()>(&["SET", KEY, &foreign]).await;
    assert!(app.get(ENTRY).await.body == foreign.as_bytes());
}

#[tokio::test]
async fn head_is_as_get_without_the_body() {
    let app = App::patient().await;
    let tag = store(&app, r#"{"a":1}"#).await;
    let head = app.call("HEAD", ENTRY).await;
    head.assert_body(200, "");
    let got = app.get(ENTRY).await;
    assert_eq!(tag_of(&head), tag);
    assert!((freshness(&got).0 - freshness(&head).0).abs() < 20);
    for name in ["content-type", "content-length"] {
        assert_eq!(head.header(name), got.header(name), "{name}");
    }
}

#[tokio::test]
async fn a_foreign_entry_without_expiry_has_no_age() {
    let app = App::patient().await;
    app.redis
        .run::<String>(&["SET", KEY, r#"{"by":"another"}"#])
        .await;
    let answer = app.get(ENTRY).await;
    answer.assert_body(200, r#"{"by":"another"}"#);
    tag_of(&answer);
    assert_eq!(answer.header("cache-control"), Some("private"));
    assert_eq!(answer.header("cache-status"), Some("edgelatch; hit"));
}

#[tokio::test]
async fn get_and_delete_have_no_parameters() {
    let app = App::patient().await;
    for method in ["GET", "DELETE"] {
        let answer = app.call(method, &format!("{ENTRY}?expire=1")).await;
        assert_eq!(answer.faults(), ["query.expire"], "{method}");
    }
}
