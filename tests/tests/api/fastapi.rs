//! The FastAPI service and this one side by side on one Redis: docs/from-fastapi.md.

use std::time::Duration;

use edgelatch_tests::{App, FastApi, Origin, RedisServer, Reply};
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream;

const SUCCESS: (u16, &str) = (200, r#"{"status":"success"}"#);
const FAILED: &str = r#"{"status":"failed","detail":"Could not acquire lock"}"#;

/// How long an action takes: long enough for another to come in between, if it could.
const WORK: Duration = Duration::from_millis(4);

async fn both(environment: &[(&str, &str)]) -> (App, FastApi, Origin) {
    let origin = Origin::start(Reply::nothing().after(WORK)).await;
    let redis = RedisServer::start().await;
    let builder = App::builder().patient().origin(&origin).redis(redis);
    let app = builder.start().await;
    let fastapi = FastApi::start(&app.redis, &origin, environment);
    (app, fastapi, origin)
}

/// An action by edgelatch, as it would be by the other: without `Answer`'s checks, which the other
/// would not pass.
fn perform(app: &App, query: &str) -> BoxFuture<'static, (u16, String)> {
    let call = app.perform(query).into_future();
    Box::pin(async move {
        let answer = call.await;
        (answer.status, answer.text())
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_can_be_moved_while_both_serve() {
    const ACTIONS: usize = 300;
    let (app, fastapi, origin) = both(&[]).await;
    // At first all of them to FastAPI, at the end none, for each user.
    let call = |index: usize| -> BoxFuture<'static, (u16, String)> {
        let query = format!("user_id={}&timeout=60", index % 3);
        if index * 16 / ACTIONS > index % 16 {
            perform(&app, &query)
        } else {
            Box::pin(fastapi.post("perform-action", &query))
        }
    };
    let answers = stream::iter(0..ACTIONS).map(call).buffer_unordered(24);
    let answers: Vec<_> = answers.collect().await;
    for (status, body) in &answers {
        assert_eq!((*status, body.as_str()), SUCCESS);
    }
    let seen = origin.seen();
    let of_edgelatch = seen
        .iter()
        .filter(|action| action.header("fencing-token").is_some());
    let of_edgelatch = of_edgelatch.count();
    assert_eq!(seen.len(), ACTIONS);
    assert!(of_edgelatch > ACTIONS / 3 && of_edgelatch < ACTIONS * 2 / 3);
    assert_eq!(origin.overlaps(), 0);
    for user in 0..3 {
        assert!(!app.redis.exists(&format!("user:{user}:lock")).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_sees_the_lock_that_the_other_holds() {
    let (app, fastapi, origin) = both(&[]).await;
    origin.reply_with(Reply::nothing().gated());
    let held = tokio::spawn(fastapi.post("perform-action", "user_id=42"));
    origin.until_seen(1).await;
    app.attempt("user_id=42").await.assert_body(200, FAILED);
    let lock = app.get("/api/v1/users/42/lock").await.json();
    assert_eq!(lock["fencing_token"], serde_json::Value::Null);
    origin.release_one();
    assert_eq!(held.await.unwrap().0, 200);
    let held = app.perform("user_id=42").spawn();
    origin.until_seen(2).await;
    let attempt = fastapi.post("attempt-action", "user_id=42").await;
    assert_eq!((attempt.0, attempt.1.as_str()), (200, FAILED));
    origin.release_one();
    held.await.unwrap().assert_body(SUCCESS.0, SUCCESS.1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_unrepaired_original_never_releases() {
    let (app, fastapi, origin) = both(&[("ORIGINAL", "1")]).await;
    let done = fastapi.post("perform-action", "user_id=42&expire=2").await;
    assert_eq!((done.0, done.1.as_str()), SUCCESS);
    assert_eq!(app.redis.get("user:42:lock").await.as_deref(), Some("1"));
    let answer = app.perform("user_id=42&timeout=30").await;
    answer.assert_body(SUCCESS.0, SUCCESS.1);
    assert!(answer.number("lock-wait") > 500, "{answer:?}");
    assert_eq!(origin.overlaps(), 0);
}
