//! `PATCH`: JSON merge patch (RFC 7396).

use std::collections::BTreeMap;

use edgelatch_tests::{App, until};
use futures::future::join_all;
use serde_json::value::RawValue;

use super::{ENTRY, KEY, merge, store, tag_of};

/// RFC 7396, appendix A: a list of `original`, `patch` and `result`, each as JSON.
const RFC_7396: &str = include_str!("../../../../src/core/cache/merge_patch/rfc7396.json");

/// One of them, byte for byte as the file has it.
type Example<'a> = BTreeMap<&'a str, &'a RawValue>;

#[tokio::test]
async fn merges_as_rfc_7396_says() {
    let app = App::patient().await;
    let examples: Vec<Example<'_>> = serde_json::from_str(RFC_7396).unwrap();
    for example in examples {
        let [stored, patch, merged] = ["original", "patch", "result"].map(|it| example[it].get());
        app.put(ENTRY).json(stored).await;
        let answer = merge(&app, ENTRY, patch).await;
        assert_eq!(answer.status, 200, "{stored} {patch}: {}", answer.text());
        let expected: serde_json::Value = serde_json::from_str(merged).unwrap();
        assert_eq!(answer.json(), expected, "{stored} {patch}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let got = app.get(&format!("{ENTRY}/")).await;
        assert_eq!(got.body, answer.body, "{stored} {patch}");
        assert_eq!(tag_of(&got), tag_of(&answer), "{stored} {patch}");
    }
}

#[tokio::test]
async fn what_a_patch_does_not_name_keeps_its_spelling() {
    let app = App::patient().await;
    let stored = "{\"long\":123456789012345678901234567890,\"e\":1.10,\"s\":\"\\u00e9\u{e9}\"}";
    store(&app, stored).await;
    let expected =
        "{\"long\":123456789012345678901234567890,\"e\":1.10,\"s\":\"\\u00e9\u{e9}\",\"new\":0.10}";
    merge(&app, ENTRY, r#"{"new":0.10}"#)
        .await
        .assert_body(200, expected);
}

#[tokio::test]
async fn the_remaining_time_is_kept_unless_expire_is_given() {
    let app = App::patient().await;
    let path = |expire: &str| format!("{ENTRY}?expire={expire}");
    app.put(&path("600")).json("{}").await.assert_body(201, "");
    let before = app.redis.ms_left(KEY).await;
    merge(&app, ENTRY, r#"{"a":1}"#)
        .await
        .assert_body(200, r#"{"a":1}"#);
    let after = app.redis.ms_left(KEY).await;
    assert!(
        after <= before && after > before - 20_000,
        "{before} {after}"
    );
    merge(&app, &path("50"), r#"{"b":1}"#)
        .await
        .assert_body(200, r#"{"a":1,"b":1}"#);
    let left = app.redis.ms_left(KEY).await;
    assert!(left <= 50_000 && left > 30_000, "{left}");
    merge(&app, &path("5000"), r#"{"a":null}"#)
        .await
        .assert_body(200, r#"{"b":1}"#);
    assert!(app.redis.ms_left(KEY).await > 4_980_000);
}

#[tokio::test]
async fn patches_do_not_postpone_the_expiry() {
    let app = App::patient().await;
    app.put(&format!("{ENTRY}?expire=0.5"))
        .json("{}")
        .await
        .assert_body(201, "");
    until("patches find nothing any more", || async {
        let answer = merge(&app, ENTRY, r#"{"a":1}"#).await;
        assert!(app.redis.ms_left(KEY).await <= 500);
        answer.status == 404
    })
    .await;
}

#[tokio::test]
async fn an_entry_of_another_program_without_expiry_gets_one() {
    let app = App::builder()
        .patient()
        .var("cache_expire", "70")
        .start()
        .await;
    app.redis.run::<String>(&["SET", KEY, " {\"a\": 1} "]).await;
    merge(&app, ENTRY, r#"{"b":2}"#)
        .await
        .assert_body(200, r#"{"a":1,"b":2}"#);
    let left = app.redis.ms_left(KEY).await;
    assert!(left <= 70_000 && left > 50_000, "{left}");
}

#[tokio::test]
async fn if_match_is_respected() {
    let app = App::patient().await;
    let tag = store(&app, r#"{"a":1}"#).await;
    for condition in ["\"other\"".to_owned(), format!("W/{tag}")] {
        merge(&app, ENTRY, r#"{"a":2}"#)
            .header("if-match", &condition)
            .await
            .assert_problem(412, "precondition-failed");
    }
    app.get(ENTRY).await.assert_body(200, r#"{"a":1}"#);
    let answer = merge(&app, ENTRY, r#"{"a":2}"#)
        .header("if-match", &format!("\"other\", {tag}"))
        .await;
    answer.assert_body(200, r#"{"a":2}"#);
    let next = tag_of(&answer);
    merge(&app, ENTRY, r#"{"a":3}"#)
        .header("if-match", &tag)
        .await
        .assert_problem(412, "precondition-failed");
    merge(&app, ENTRY, r#"{"a":3}"#)
        .header("if-match", &next)
        .await
        .assert_body(200, r#"{"a":3}"#);
    merge(&app, ENTRY, r#"{"a":4}"#)
        .header("if-match", "*")
        .await
        .assert_body(200, r#"{"a":4}"#);
}

#[tokio::test]
async fn what_is_absent_is_404_and_stays_absent() {
    let app = App::patient().await;
    merge(&app, ENTRY, r#"{"a":1}"#)
        .await
        .assert_problem(404, "not-found");
    merge(&app, ENTRY, r#"{"a":1}"#)
        .header("if-match", "*")
        .await
        .assert_problem(404, "not-found");
    assert!(!app.redis.exists(KEY).await);
}

#[tokio::test]
async fn any_other_type_is_415_and_none_is_a_merge_patch() {
    let app = App::patient().await;
    store(&app, r#"{"a":1}"#).await;
    for content_type in [
        "application/json",
        "application/json-patch+json",
        "application/merge-patch",
        "text/plain",
        "application/x-www-form-urlencoded",
    ] {
        let answer = app
            .call("PATCH", ENTRY)
            .header("content-type", content_type)
            .body(r#"{"a":2}"#)
            .await;
        answer.assert_problem(415, "unsupported-media-type");
        // It says which one it would be.
        assert!(answer.text().contains("application/merge-patch+json"));
    }
    app.get(ENTRY).await.assert_body(200, r#"{"a":1}"#);
    app.call("PATCH", ENTRY)
        .body(r#"{"b":2}"#)
        .await
        .assert_body(200, r#"{"a":1,"b":2}"#);
    app.call("PATCH", ENTRY)
        .header(
            "content-type",
            "Application/Merge-Patch+JSON; charset=utf-8",
        )
        .body(r#"{"c":3}"#)
        .await
        .assert_body(200, r#"{"a":1,"b":2,"c":3}"#);
}

#[tokio::test]
async fn what_is_no_json_is_400_and_what_gets_too_long_413() {
    let app = App::builder()
        .patient()
        .var("max_body_bytes", "64")
        .start()
        .await;
    let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(50));
    store(&app, &long).await;
    for patch in ["", " ", "{", "{\"a\":}", "nul"] {
        merge(&app, ENTRY, patch)
            .await
            .assert_problem(400, "malformed-json");
    }
    merge(&app, ENTRY, &"1".repeat(65))
        .await
        .assert_problem(413, "body-too-large");
    // The patch alone is short enough; what comes of it could not be put.
    let merged = merge(&app, ENTRY, r#"{"b":"0123456789"}"#).await;
    merged.assert_problem(413, "body-too-large");
    let detail = merged.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("with this patch applied"), "{detail}");
    assert_eq!(app.redis.entry(KEY).await, Some(long));
}

#[tokio::test]
async fn every_fault_of_a_patch_is_listed() {
    let app = App::patient().await;
    let answer = merge(&app, "/api/v1/users/x/cache/a%20b?expire=0&timeout=1", "{}")
        .header("if-match", "unquoted")
        .await;
    let mut faults = answer.faults();
    faults.sort();
    assert_eq!(
        faults,
        [
            "header.if-match",
            "path.key",
            "path.user_id",
            "query.expire",
            "query.timeout"
        ]
    );
}

/// An object of nearly a mebibyte of short members.
fn flat() -> String {
    let members: Vec<_> = (0..75_000)
        .map(|index| format!("\"{index:06}\":{}", index % 10))
        .collect();
    format!("{{{}}}", members.join(","))
}

/// Objects in objects, of five bytes each.
fn chains() -> String {
    let chain = format!("{}1{}", "{\"\":".repeat(126), "}".repeat(126));
    let members: Vec<_> = (0..1500)
        .map(|index| format!("\"{index}\":{chain}"))
        .collect();
    format!("{{{}}}", members.join(","))
}

#[tokio::test]
async fn patches_at_once_need_no_more_memory_than_an_instance_has() {
    const CLIENTS: usize = 16;
    // As in `deploy`.
    let app = App::builder().patient();
    let app = app.argument("--max-instance-memory").argument("134217728");
    let app = app.start().await;
    for object in [flat(), chains()] {
        let paths = (0..CLIENTS).map(|user| format!("/api/v1/users/{user}/cache/profile"));
        let paths: Vec<_> = paths.collect();
        for path in &paths {
            app.put(path).json(&object).await.assert_success();
        }
        let patches = paths.iter().map(|path| merge(&app, path, &object).spawn());
        for answer in join_all(patches).await {
            answer.unwrap().assert_body(200, &object);
        }
    }
}
