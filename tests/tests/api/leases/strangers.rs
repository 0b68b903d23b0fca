//! What strangers put at the other keys of a lock: none of it keeps the lock from anybody.

use std::time::Duration;

use edgelatch_tests::{App, Call, until};

use super::force::{API, by, guarded};
use super::{Lease, OTHER_TOKEN, PLACES, Place, TOKEN};

const USER: &str = "42";

/// What no lock has at any of its keys; `KEY` stands for the key.
const VALUES: [&[&str]; 9] = [
    &["RPUSH", "KEY", "x"],
    &["HSET", "KEY", "x", "1"],
    &["SADD", "KEY", "x"],
    &["ZADD", "KEY", "inf", "x"],
    &["XADD", "KEY", "*", "x", "1"],
    &["SET", "KEY", "x"],
    &["SET", "KEY", "99999999999999999999 x y"],
    &["SET", "KEY", "9007199254740991 x y"],
    &["SET", "KEY", "1/99999999999999999999 x y"],
];

/// Puts a value at a key, whatever is there.
async fn put(app: &App, value: &[&str], key: &str) {
    app.redis.run::<i64>(&["DEL", key]).await;
    let command: Vec<_> = value
        .iter()
        .map(|word| if *word == "KEY" { key } else { *word })
        .collect();
    app.redis.run::<redis::Value>(&command).await;
}

/// Runs `test` for each key and each value, at one place and the other by turns.
async fn for_each(test: impl AsyncFn(&App, Place, &str, &[&str])) {
    let app = guarded().start().await;
    for name in ["fence", "queue", "seen"] {
        for (value, place) in VALUES.into_iter().zip(PLACES.into_iter().cycle()) {
            let key = format!("{{{}}}:{name}", place.key);
            app.redis.run::<()>(&["FLUSHALL"]).await;
            eprintln!("{key}: {value:?}");
            test(&app, place, &key, value).await;
        }
    }
}

fn own(app: &App, method: &str, place: Place) -> Call {
    by(app.call(method, place.path), API).header("lock-token", TOKEN)
}

#[tokio::test]
async fn it_is_acquired_renewed_and_released() {
    for_each(async |app, place, key, value| {
        put(app, value, key).await;
        let held = Lease::of(&place.post(app, "expire=60", TOKEN).await, 201);
        assert!(held.fencing_token > 0 && held.fencing_token < 1 << 53);
        put(app, value, key).await;
        let again = place.post(app, "expire=60", TOKEN).await;
        // Without the fence it counts as a new acquisition.
        let again = Lease::of(&again, if key.ends_with("fence") { 201 } else { 200 });
        put(app, value, key).await;
        let renewed = Lease::of(&own(app, "PUT", place).await, 200);
        put(app, value, key).await;
        let refused = place.post(app, "expire=60", OTHER_TOKEN).await;
        refused.assert_problem(423, "lock-held");
        put(app, value, key).await;
        own(app, "DELETE", place).await.assert_body(204, "");
        let next = Lease::of(&place.post(app, "expire=60", OTHER_TOKEN).await, 201);
        if !value.contains(&"9007199254740991 x y") {
            assert!(held.fencing_token <= again.fencing_token);
            assert!(again.fencing_token <= renewed.fencing_token);
            assert!(renewed.fencing_token < next.fencing_token);
        }
        put(app, value, key).await;
        own(app, "DELETE", place)
            .await
            .assert_problem(409, "not-lock-owner");
        put(app, value, key).await;
        own(app, "PUT", place)
            .await
            .assert_problem(409, "not-lock-owner");
    })
    .await;
}

#[tokio::test]
async fn it_is_looked_at_watched_and_broken() {
    for_each(async |app, place, key, value| {
        put(app, value, key).await;
        let free = by(app.get(place.path), API).await;
        free.assert_body(200, r#"{"held":false,"waiting":0}"#);
        place.post(app, "expire=60", TOKEN).await.assert_success();
        put(app, value, key).await;
        let state = by(app.get(place.path), API).await;
        assert_eq!((state.status, &state.json()["held"]), (200, &true.into()));
        let watch = format!("{}?wait=30", place.path);
        let watcher = by(app.get(&watch), API).spawn();
        put(app, value, key).await;
        place.force(app).await.assert_body(204, "");
        watcher
            .await
            .unwrap()
            .assert_body(200, r#"{"held":false,"waiting":0}"#);
        put(app, value, key).await;
        place.force(app).await.assert_body(204, "");
        place.post(app, "", OTHER_TOKEN).await.assert_success();
    })
    .await;
}

#[tokio::test]
async fn it_is_waited_for_and_handed_on() {
    for_each(async |app, place, key, value| {
        let lease = Lease::of(&place.post(app, "expire=60", TOKEN).await, 201);
        put(app, value, key).await;
        let waiter = place.post(app, "timeout=30&expire=60", OTHER_TOKEN).spawn();
        let waits = async || by(app.get(place.path), API).await.json()["waiting"] == 1;
        until("it waits", waits).await;
        put(app, value, key).await;
        own(app, "DELETE", place).await.assert_body(204, "");
        let waiter = waiter.await.unwrap();
        let next = Lease::of(&waiter, 201);
        assert!(waiter.took < Duration::from_secs(4), "{:?}", waiter.took);
        if !value.contains(&"9007199254740991 x y") {
            assert!(lease.fencing_token < next.fencing_token);
        }
    })
    .await;
}

#[tokio::test]
async fn actions_run_and_commit() {
    for_each(async |app, place, key, value| {
        for _ in 0..2 {
            put(app, value, key).await;
            let action = by(app.perform(&format!("user_id={USER}&timeout=1")), API);
            action.await.assert_success();
        }
        assert!(!app.redis.exists(place.key).await);
    })
    .await;
}
