//! `PUT`.

use edgelatch_tests::{App, until};

use super::{ENTRY, KEY, store, tag_of};

#[tokio::test]
async fn put_is_201_for_a_new_entry_and_200_for_a_replaced_one() {
    let app = App::patient().await;
    let first = store(&app, r#"{"a":1}"#).await;
    assert_eq!(app.redis.entry(KEY).await.as_deref(), Some(r#"{"a":1}"#));
    let replaced = app.put(ENTRY).json(r#"{"a":2}"#).await;
    replaced.assert_body(200, "");
    let second = tag_of(&replaced);
    assert_ne!(second, first);
    // What GET calls it, and what the same bytes are always called.
    assert_eq!(tag_of(&app.get(ENTRY).await), second);
    let again = app.put(&format!("{ENTRY}/")).json(r#"{"a":1}"#).await;
    again.assert_body(200, "");
    assert_eq!(tag_of(&again), first);
    // Other bytes are another entity, even if they mean the same.
    let spaced = app.put(ENTRY).json(r#"{"a": 1}"#).await;
    assert_ne!(tag_of(&spaced), first);
    // One that was removed is new again.
    app.delete(ENTRY).await.assert_body(204, "");
    assert_eq!(store(&app, r#"{"a":1}"#).await, first);
}

#[tokio::test]
async fn an_entry_lives_for_expire_and_cache_expire_by_default() {
    let app = App::builder()
        .patient()
        .var("cache_expire", "90.5")
        .start()
        .await;
    for (query, ms) in [
        ("?expire=600", 600_000),
        // A PUT without it does not keep the time that was left.
        ("", 90_500),
        ("?expire=2592000", 2_592_000_000),
        ("?expire=30", 30_000),
    ] {
        let answer = app.put(&format!("{ENTRY}{query}")).json("1").await;
        assert!(matches!(answer.status, 200 | 201));
        let left = app.redis.ms_left(KEY).await;
        assert!(left <= ms && left > ms - 20_000, "{query}: {left}");
    }
    app.put(&format!("{ENTRY}?expire=0.05"))
        .json("1")
        .await
        .assert_body(200, "");
    until("the entry has expired", || async {
        app.get(ENTRY).await.status == 404
    })
    .await;
    store(&app, "1").await;
    assert!(app.redis.keys_without_expiry().await.is_empty());
}

#[tokio::test]
async fn an_entry_is_kept_for_an_hour_unless_anything_is_said() {
    let app = App::patient().await;
    store(&app, "1").await;
    let left = app.redis.ms_left(KEY).await;
    assert!(left <= 3_600_000 && left > 3_580_000, "{left}");
}

#[tokio::test]
async fn what_is_refused_leaves_the_entry_as_it_is() {
    let app = App::patient().await;
    store(&app, "1").await;
    app.put(ENTRY).await.assert_problem(400, "malformed-json");
    app.put(ENTRY)
        .json("")
        .await
        .assert_problem(400, "malformed-json");
    let malformed = app.put(ENTRY).json("{\n \"a\": x}").await;
    malformed.assert_problem(400, "malformed-json");
    let detail = malformed.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("line 2 column 7"), "{detail}");
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "text/json",
    ] {
        app.put(ENTRY)
            .header("content-type", content_type)
            .body("2")
            .await
            .assert_problem(415, "unsupported-media-type");
    }
    let faulty = app
        .put(&format!("{ENTRY}?expire=0&timeout=1"))
        .json("2")
        .await;
    assert_eq!(faulty.faults(), ["query.expire", "query.timeout"]);
    assert_eq!(app.redis.entry(KEY).await.as_deref(), Some("1"));
}

#[tokio::test]
async fn any_json_type_and_none_is_taken() {
    let app = App::patient().await;
    app.put(ENTRY).body("1").await.assert_body(201, "");
    for content_type in [
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/ld+json",
    ] {
        app.put(ENTRY)
            .header("content-type", content_type)
            .body("2")
            .await
            .assert_body(200, "");
    }
}

#[tokio::test]
async fn values_of_1_mib_are_stored_and_longer_ones_are_413() {
    let app = App::patient().await;
    let json = |length: usize| format!("\"{}\"", "x".repeat(length - 2));
    let longest = json(1 << 20);
    let tag = store(&app, &longest).await;
    let answer = app.get(ENTRY).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body == longest.as_bytes());
    assert_eq!(tag_of(&answer), tag);
    app.put(ENTRY)
        .json(&json((1 << 20) + 1))
        .await
        .assert_problem(413, "body-too-large");
    // With conditions and merges too.
    app.put(ENTRY)
        .header("if-match", &tag)
        .json(&longest)
        .await
        .assert_body(200, "");
    let object = format!(r#"{{"a":"{}"}}"#, "y".repeat((1 << 20) - 8));
    app.put(ENTRY).json(&object).await.assert_body(200, "");
    let merged = super::merge(&app, ENTRY, r#"{"a":1}"#).await;
    merged.assert_body(200, r#"{"a":1}"#);
}

#[tokio::test]
async fn an_unconditional_put_and_a_get_are_one_round_trip_each() {
    let app = App::builder()
        .patient()
        .reusing_instances()
        .argument("--idle-instance-timeout")
        .argument("60s")
        .start()
        .await;
    // The connection is open, and Redis has seen both before: the first read needs no script.
    store(&app, "0").await;
    app.get(ENTRY).await;
    app.get(ENTRY).await;
    let mut monitor = app.redis.monitor().await;
    let calls = app.redis.calls("evalsha").await;
    app.put(ENTRY).json("1").await.assert_body(200, "");
    let commands = monitor.commands().await;
    assert_eq!(commands.len(), 1, "{commands:?}");
    let answer = app.get(ENTRY).await;
    answer.assert_body(200, "1");
    let commands = monitor.commands().await;
    assert_eq!(commands.len(), 1, "{commands:?}");
    let not_modified = app
        .get(ENTRY)
        .header("if-none-match", &tag_of(&answer))
        .await;
    assert_eq!(not_modified.status, 304);
    let commands = monitor.commands().await;
    assert_eq!(commands.len(), 1, "{commands:?}");
    // Redis' own account agrees.
    assert_eq!(app.redis.calls("evalsha").await, calls + 3);
    assert_eq!(app.redis.calls("eval").await, 2);
}
