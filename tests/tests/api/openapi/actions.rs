//! What the document says of actions.

use std::time::Duration;

use edgelatch_tests::{App, Origin, Reply};

use super::document::Judge;
use super::requests::{Good, builder, try_what_fails, try_what_is_refused};

const QUERY: &str = "user_id=42";

const ACTIONS: [Good; 2] = [
    Good {
        id: "perform_action",
        method: "POST",
        path: "/api/v1/users/perform-action",
        query: QUERY,
        headers: &[],
        body: r#"{"amount": 5}"#,
    },
    Good {
        id: "attempt_action",
        method: "POST",
        path: "/api/v1/users/attempt-action",
        query: QUERY,
        headers: &[],
        body: r#"{"amount": 5}"#,
    },
];

#[tokio::test]
async fn every_documented_answer_of_actions_occurs() {
    let origin = Origin::start(Reply::nothing()).await;
    let mut app = builder().origin(&origin).start().await;
    let mut judge = Judge::of("actions");
    for action in &ACTIONS {
        try_successes(&mut judge, &app, &origin, action).await;
        try_bodies(&mut judge, &app, action).await;
        try_losing_the_lock(&mut judge, &app, &origin, action).await;
        try_the_origins_failures(&mut judge, &app, &origin, action).await;
    }
    try_a_held_lock(&mut judge, &app).await;
    try_what_is_refused(&mut judge, &app, &ACTIONS).await;
    try_what_fails(&mut judge, &mut app, &ACTIONS).await;
    judge.assert_has_seen_everything();
}

async fn try_successes(judge: &mut Judge, app: &App, origin: &Origin, action: &Good) {
    origin.reply_with(Reply::nothing());
    judge.see(action.id, 200, "", &action.call(app).await);
    origin.reply_with(Reply::json(r#"{"receipt":7}"#));
    let keyed = || action.call(app).header("idempotency-key", "order-1");
    judge.see(action.id, 200, "", &keyed().await);
    let replayed = keyed().await;
    assert_eq!(replayed.header("idempotent-replayed"), Some("true"));
    judge.see(action.id, 200, "", &replayed);
    let reused = action
        .with(app, "user_id=42&expire=9")
        .header("idempotency-key", "order-1");
    judge.see(action.id, 422, "idempotency-key-reused", &reused.await);
    let spaced = action.call(app).header("idempotency-key", "order 1");
    judge.see(action.id, 400, "idempotency-key-invalid", &spaced.await);
}

async fn try_bodies(judge: &mut Judge, app: &App, action: &Good) {
    let broken = action.call(app).body(r#"{"amount": "#);
    judge.see(action.id, 400, "malformed-json", &broken.await);
    let long = action.call(app).body(vec![b' '; (1 << 20) + 1]);
    judge.see(action.id, 413, "body-too-large", &long.await);
    let text = action.call(app).header("content-type", "text/plain");
    judge.see(action.id, 415, "unsupported-media-type", &text.await);
}

async fn try_losing_the_lock(judge: &mut Judge, app: &App, origin: &Origin, action: &Good) {
    origin.reply_with(Reply::Gated(Box::new(Reply::nothing())));
    let before = origin.seen().len();
    let running = action.call(app).spawn();
    origin.until_seen(before + 1).await;
    app.redis.run::<i64>(&["DEL", "user:42:lock"]).await;
    origin.release_one();
    judge.see(action.id, 409, "lock-lost", &running.await.unwrap());
}

async fn try_the_origins_failures(judge: &mut Judge, app: &App, origin: &Origin, action: &Good) {
    origin.reply_with(Reply::status(404, r#"{"error":"no such user"}"#));
    judge.see(action.id, 502, "origin-failed", &action.call(app).await);
    let late = Reply::After(Duration::from_secs(20), Box::new(Reply::nothing()));
    origin.reply_with(late);
    judge.see(action.id, 504, "origin-timeout", &action.call(app).await);
    origin.reply_with(Reply::nothing());
}

async fn try_a_held_lock(judge: &mut Judge, app: &App) {
    let [perform, attempt] = &ACTIONS;
    let held: String = app
        .redis
        .run(&["SET", "user:42:lock", "somebody", "PX", "60000"])
        .await;
    assert_eq!(held, "OK");
    let waited = perform.with(app, "user_id=42&timeout=0").await;
    judge.see(perform.id, 423, "lock-held", &waited);
    let failed = attempt.call(app).await;
    assert_eq!(failed.json()["status"], "failed");
    judge.see(attempt.id, 200, "", &failed);
    app.redis.run::<i64>(&["DEL", "user:42:lock"]).await;
}
