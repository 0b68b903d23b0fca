//! The lock: what anybody sees of it in Redis, how it is waited for, kept, lost, and counted.

mod connections;
mod fencing;
mod listening;
mod liveness;
mod lost;
mod queue;
mod renewal;
mod scores;
mod sharing;
mod waiting;
mod withdrawn;

use std::collections::HashSet;

use edgelatch_tests::{App, Origin, Reply};

#[tokio::test]
async fn a_running_action_holds_a_lock_with_token_and_expiry() {
    let origin = Origin::start(Reply::nothing().gated()).await;
    let app = App::builder().origin(&origin).start().await;
    let mut tokens = HashSet::new();
    for (index, user) in ["1", "1", "2", "-7"].into_iter().enumerate() {
        let key = format!("user:{user}:lock");
        let action = app.perform(&format!("user_id={user}&expire=10")).spawn();
        origin.until_seen(index + 1).await;
        let token = app.redis.get(&key).await.unwrap();
        assert_eq!(token.len(), 32, "{token}");
        assert!(
            token.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{token}"
        );
        let left: i64 = app.redis.run(&["PTTL", &key]).await;
        assert!((1..=10_000).contains(&left), "{left} ms");
        origin.release_one();
        assert_eq!(action.await.unwrap().status, 200);
        assert!(!app.redis.exists(&key).await);
        tokens.insert(token);
    }
    assert_eq!(tokens.len(), 4, "each acquisition has its own token");
}

#[tokio::test]
async fn leases_and_foreign_set_nx_exclude_each_other() {
    let origin = Origin::start(Reply::nothing().gated()).await;
    let app = App::builder().origin(&origin).start().await;
    let take = ["SET", "user:1:lock", "foreign", "NX", "PX", "30000"];
    let action = app.perform("user_id=1").spawn();
    origin.until_seen(1).await;
    let taken: Option<String> = app.redis.run(&take).await;
    assert_eq!(taken, None, "the lock is ours");
    origin.release_one();
    assert_eq!(action.await.unwrap().status, 200);
    let taken: Option<String> = app.redis.run(&take).await;
    assert_eq!(taken.as_deref(), Some("OK"), "the lock is free");
    app.perform("user_id=1&timeout=0.1")
        .await
        .assert_problem(423, "lock-held");
    assert_eq!(app.attempt("user_id=1").await.json()["status"], "failed");
    assert_eq!(
        app.redis.get("user:1:lock").await.as_deref(),
        Some("foreign")
    );
    let left: i64 = app.redis.run(&["PTTL", "user:1:lock"]).await;
    assert!((1..=30_000).contains(&left), "{left} ms");
    assert_eq!(origin.seen().len(), 1);
}

#[tokio::test]
async fn key_prefix_moves_the_keys() {
    let app = App::builder().var("key_prefix", "shop:").start().await;
    app.redis
        .run::<()>(&["SET", "user:1:lock", "not ours"])
        .await;
    let answer = app.perform("user_id=1&timeout=0").await;
    answer.assert_body(200, r#"{"status":"success"}"#);
    let mut keys: Vec<String> = app.redis.run(&["KEYS", "*"]).await;
    keys.sort();
    let expected = [
        "user:1:lock",
        "{shop:user:1:lock}:cache:last-action",
        "{shop:user:1:lock}:fence",
    ];
    assert_eq!(keys, expected);
    app.redis
        .run::<()>(&["SET", "shop:user:1:lock", "ours"])
        .await;
    let answer = app.perform("user_id=1&timeout=0").await;
    answer.assert_problem(423, "lock-held");
}

#[tokio::test]
async fn every_key_written_has_an_expiry() {
    let origin = Origin::start(Reply::json("{}")).await;
    let app = App::builder().origin(&origin).start().await;
    let user = "/api/v1/users/1";
    let keyed = app.perform("user_id=1").header("idempotency-key", "k");
    assert_eq!(keyed.await.status, 200);
    assert_eq!(app.attempt("user_id=2").await.status, 200);
    assert_eq!(app.post(&format!("{user}/lock")).await.status, 201);
    let lease = app
        .post(&format!("{user}/locks/stock?expire=2592000"))
        .await;
    let token = lease.json()["token"].as_str().unwrap().to_owned();
    let renewed = app.put(&format!("{user}/locks/stock?expire=2592000"));
    assert_eq!(renewed.header("lock-token", &token).await.status, 200);
    let released = app.post(&format!("{user}/locks/gone")).await;
    let token = released.json()["token"].as_str().unwrap().to_owned();
    let released = app.delete(&format!("{user}/locks/gone"));
    assert_eq!(released.header("lock-token", &token).await.status, 204);
    let entry = format!("{user}/cache/basket");
    assert_eq!(app.put(&entry).json("{}").await.status, 201);
    assert_eq!(
        app.call("PATCH", &entry).body(r#"{"a":1}"#).await.status,
        200
    );
    origin.reply_with(Reply::nothing().gated());
    let running = app.perform("user_id=3").spawn();
    origin.until_seen(3).await;
    let keys: Vec<String> = app.redis.run(&["KEYS", "*"]).await;
    assert!(keys.len() >= 11, "{keys:?}");
    for key in keys {
        let left: i64 = app.redis.run(&["PTTL", &key]).await;
        assert!(left > 0, "{key} has {left} ms");
    }
    origin.release_one();
    assert_eq!(running.await.unwrap().status, 200);
}
