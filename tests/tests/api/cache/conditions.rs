//! `If-Match` and `If-None-Match` on a PUT, and how conditions are written.

use edgelatch_tests::{App, Call};

use super::{ENTRY, KEY, store, tag_of};

/// A tag that could be one of ours.
const OTHER: &str = "\"da39a3ee5e6b4b0d3255bfef95601890afd80709\"";

fn put_if(app: &App, name: &str, condition: &str, json: &str) -> Call {
    app.put(ENTRY).header(name, condition).json(json)
}

#[tokio::test]
async fn if_none_match_any_is_only_if_absent() {
    let app = App::patient().await;
    let put = |json| put_if(&app, "if-none-match", "*", json);
    let created = put("1").await;
    created.assert_body(201, "");
    tag_of(&created);
    put("2").await.assert_problem(412, "precondition-failed");
    assert_eq!(app.redis.entry(KEY).await.as_deref(), Some("1"));
    app.delete(ENTRY).await.assert_body(204, "");
    put("3").await.assert_body(201, "");
}

#[tokio::test]
async fn if_match_is_only_if_unchanged() {
    let app = App::patient().await;
    let absent = put_if(&app, "if-match", OTHER, "0").await;
    absent.assert_problem(412, "precondition-failed");
    assert!(!app.redis.exists(KEY).await);
    let first = store(&app, "1").await;
    let replaced = put_if(&app, "if-match", &first, "2").await;
    replaced.assert_body(200, "");
    let second = tag_of(&replaced);
    put_if(&app, "if-match", &first, "3")
        .await
        .assert_problem(412, "precondition-failed");
    assert_eq!(app.redis.entry(KEY).await.as_deref(), Some("2"));
    // It compares strongly: a weak tag never matches.
    put_if(&app, "if-match", &format!("W/{second}"), "3")
        .await
        .assert_problem(412, "precondition-failed");
    // Any of several will do, on one line or on more.
    for list in [
        format!("{OTHER}, {second}"),
        format!("\"x\",{second} ,{OTHER}"),
        format!(",,W/\"x\", {second}"),
    ] {
        put_if(&app, "if-match", &list, "2")
            .await
            .assert_body(200, "");
    }
    // A tag may have bytes beyond ASCII (RFC 9110, section 8.8.3).
    put_if(&app, "if-none-match", "\"\u{e4}\"", "2")
        .await
        .assert_body(200, "");
    put_if(&app, "if-match", "\"\u{e4}\"", "3")
        .await
        .assert_problem(412, "precondition-failed");
    put_if(&app, "if-match", &format!("\"\u{e4}\", {second}"), "2")
        .await
        .assert_body(200, "");
    app.put(ENTRY)
        .header("if-match", OTHER)
        .header("if-match", &second)
        .json("3")
        .await
        .assert_body(200, "");
    assert_eq!(app.redis.entry(KEY).await.as_deref(), Some("3"));
}

#[tokio::test]
async fn if_match_any_is_only_if_present() {
    let app = App::patient().await;
    put_if(&app, "if-match", "*", "1")
        .await
        .assert_problem(412, "precondition-failed");
    assert!(!app.redis.exists(KEY).await);
    store(&app, "1").await;
    put_if(&app, "if-match", "*", "2")
        .await
        .assert_body(200, "");
    assert_eq!(app.redis.entry(KEY).await.as_deref(), Some("2"));
}

#[tokio::test]
async fn if_none_match_with_a_tag_is_only_if_different() {
    let app = App::patient().await;
    // What is absent is different from everything.
    put_if(&app, "if-none-match", OTHER, "1")
        .await
        .assert_body(201, "");
    let tag = tag_of(&app.get(ENTRY).await);
    // It compares weakly: a weak tag counts.
    for same in [
        tag.clone(),
        format!("W/{tag}"),
        format!("{OTHER}, {tag}"),
        format!("\"x\" , W/{tag}"),
    ] {
        put_if(&app, "if-none-match", &same, "2")
            .await
            .assert_problem(412, "precondition-failed");
        assert_eq!(app.redis.entry(KEY).await.as_deref(), Some("1"));
    }
    put_if(&app, "if-none-match", OTHER, "2")
        .await
        .assert_body(200, "");
    put_if(&app, "if-none-match", &tag, "3")
        .await
        .assert_body(200, "");
    assert_eq!(app.redis.entry(KEY).await.as_deref(), Some("3"));
}

#[tokio::test]
async fn both_conditions_must_hold() {
    let app = App::patient().await;
    let tag = store(&app, "1").await;
    for (if_match, if_none_match, status) in [
        (tag.as_str(), tag.as_str(), 412),
        (OTHER, OTHER, 412),
        ("*", "*", 412),
        (OTHER, "\"x\"", 412),
        (&tag, OTHER, 200),
    ] {
        let answer = app
            .put(ENTRY)
            .header("if-match", if_match)
            .header("if-none-match", if_none_match)
            .json("2")
            .await;
        assert_eq!(answer.status, status, "{if_match} {if_none_match}");
    }
}

#[tokio::test]
async fn a_failed_condition_leaves_the_remaining_time_as_it_is() {
    let app = App::patient().await;
    app.put(&format!("{ENTRY}?expire=100"))
        .json("1")
        .await
        .assert_body(201, "");
    app.put(&format!("{ENTRY}?expire=900"))
        .header("if-match", OTHER)
        .json("2")
        .await
        .assert_problem(412, "precondition-failed");
    assert!(app.redis.ms_left(KEY).await <= 100_000);
}

#[tokio::test]
async fn malformed_conditions_are_422_on_every_verb() {
    let app = App::patient().await;
    let tag = store(&app, "1").await;
    for bad in [
        String::new(),
        tag.trim_matches('"').to_owned(),
        tag[..tag.len() - 1].to_owned(),
        format!("w/{tag}"),
        format!("{tag} {tag}"),
        format!("{tag}x"),
        format!("*, {tag}"),
        ",".to_owned(),
        "**".to_owned(),
    ] {
        for method in ["GET", "PUT", "PATCH", "DELETE"] {
            let answer = app
                .call(method, ENTRY)
                .header("if-match", &bad)
                .header("if-none-match", &bad)
                .await;
            assert_eq!(
                answer.faults(),
                ["header.if-match", "header.if-none-match"],
                "{method} {bad}"
            );
        }
    }
    assert_eq!(app.redis.entry(KEY).await.as_deref(), Some("1"));
}
