//! An action of one's own, beside routes of one's own.

use edgelatch_tests::{App, AppBuilder, root};
use serde_json::{Value, json};

use super::told;

fn library() -> AppBuilder {
    App::builder().manifest(&root().join("tests/library/spin.toml"))
}

const TO_SEVEN: &str = r#"{"to": "7"}"#;

#[tokio::test]
async fn an_action_is_told_of_its_request_and_the_settings() {
    let settings = [
        ("key_prefix", "p-"),
        ("lock_expire", "20"),
        ("max_hold", "40"),
        ("cache_expire", "90"),
        ("request_limit", "30"),
    ];
    let mut app = library();
    for (name, value) in settings {
        app = app.var(name, value);
    }
    let app = app.start().await;
    let call = app.perform("user_id=42").json(TO_SEVEN);
    let call = call.header("X-Request-Id", "r-1").header("Note", "hello");
    let answer = call.await;
    let note = answer.assert_success().json()["result"].clone();
    let expected = json!({
        "action": "perform-action", "from": "42", "request_id": "r-1", "text": "hello",
        "fencing_token": answer.number("fencing-token"), "input_bytes": TO_SEVEN.len(),
        "of_host": ["spin-client-addr"],
        "patience_ms": note["patience_ms"], "lock_expire_ms": 20_000, "max_hold_ms": 40_000,
    });
    assert_eq!(note, expected);
    // Two calls of a second each, and half a second, are kept free at the end of the request.
    let patience = note["patience_ms"].as_u64().unwrap();
    assert!((1..=27_500).contains(&patience), "{patience} ms");

    let entry = "{p-user:7:lock}:cache:note";
    let stored = app.redis.entry(entry).await.unwrap();
    assert_eq!(serde_json::from_str::<Value>(&stored).unwrap(), note);
    let left: i64 = app.redis.run(&["PTTL", entry]).await;
    assert!((60_000..=90_000).contains(&left), "{left} ms");
}

#[tokio::test]
async fn an_action_that_finds_no_lock_is_answered_with_a_problem_of_its_own() {
    let app = library().var("lock_timeout", "0.1").start().await;
    let held = ["SET", "user:7:lock", "another"];
    app.redis.run::<String>(&held).await;
    let answer = app.perform("user_id=42").json(TO_SEVEN).await;
    answer.assert_problem(409, "busy");
    assert!(!app.redis.exists("user:42:lock").await);
    assert!(!app.redis.exists("{user:42:lock}:cache:last-action").await);
}

#[tokio::test]
async fn what_an_action_does_not_take_is_malformed() {
    let app = library().start().await;
    for body in [r#"{"to": "nobody"}"#, "{}", "7"] {
        let answer = app.perform("user_id=42").json(body).await;
        answer.assert_problem(400, "malformed-json");
    }
}

#[tokio::test]
async fn routes_of_ones_own_are_beside_those_of_the_api() {
    let app = library().start().await;
    let entry = "/api/v1/users/42/cache/number";
    let put = app.put(entry).json("7").await;
    assert_eq!(put.status, 201);
    assert_eq!(told(&app, "/entry/get").await, "Some(7)");
}
