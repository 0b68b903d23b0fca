//! Duplicates at the same time.

use edgelatch_tests::{App, Origin, Reply, until};
use futures::future::join_all;

use super::{call, call_with};

async fn gated() -> (App, Origin) {
    let origin = Origin::start(Reply::Gated(Box::new(Reply::json("1")))).await;
    let app = App::builder().patient().origin(&origin).start().await;
    (app, origin)
}

#[tokio::test]
async fn a_concurrent_duplicate_gets_the_replay() {
    let (app, origin) = gated().await;
    let perform = || {
        call_with(&app, "perform-action", "user_id=42&timeout=60", "k")
            .json("{}")
            .spawn()
    };
    let first = perform();
    origin.until_seen(1).await;
    let tries = app.redis.calls("evalsha").await;
    let duplicates: Vec<_> = (0..4).map(|_| perform()).collect();
    until("they are waiting", || async {
        app.redis.calls("evalsha").await >= tries + 8
    })
    .await;
    assert!(duplicates.iter().all(|duplicate| !duplicate.is_finished()));
    origin.release_one();
    let first = first.await.unwrap();
    first.assert_body(200, r#"{"status":"success","result":1}"#);
    assert_eq!(first.header("idempotent-replayed"), None);
    for duplicate in join_all(duplicates).await {
        let duplicate = duplicate.unwrap();
        assert_eq!(duplicate.header("idempotent-replayed"), Some("true"));
        assert_eq!(
            (duplicate.status, &duplicate.body),
            (first.status, &first.body)
        );
        assert_eq!(
            duplicate.header("fencing-token"),
            first.header("fencing-token")
        );
    }
    assert_eq!(origin.seen().len(), 1);
}

#[tokio::test]
async fn of_duplicates_that_come_together_one_runs() {
    let origin = Origin::start(Reply::json("1")).await;
    let app = App::builder().patient().origin(&origin).start().await;
    let all =
        (0..16).map(|_| call_with(&app, "perform-action", "user_id=42&timeout=60", "k").spawn());
    let mut ran = 0;
    for answer in join_all(all).await {
        let answer = answer.unwrap();
        answer.assert_body(200, r#"{"status":"success","result":1}"#);
        ran += usize::from(answer.header("idempotent-replayed").is_none());
    }
    assert_eq!((ran, origin.seen().len()), (1, 1));
}

#[tokio::test]
async fn a_concurrent_duplicate_attempt_is_failed() {
    let (app, origin) = gated().await;
    let first = call(&app, "attempt-action", "k").spawn();
    origin.until_seen(1).await;
    let duplicate = call(&app, "attempt-action", "k").await;
    duplicate.assert_body(
        200,
        r#"{"status":"failed","detail":"Could not acquire lock"}"#,
    );
    assert_eq!(duplicate.header("idempotent-replayed"), None);
    assert!(duplicate.number("retry-after") >= 1);
    origin.release_one();
    let first = first.await.unwrap();
    first.assert_body(200, r#"{"status":"success","result":1}"#);
    // And the replay from then on.
    let replay = call(&app, "attempt-action", "k").await;
    assert_eq!(replay.header("idempotent-replayed"), Some("true"));
    assert_eq!(replay.body, first.body);
    assert_eq!(origin.seen().len(), 1);
}

#[tokio::test]
async fn a_concurrent_duplicate_that_waits_too_short_is_423() {
    let (app, origin) = gated().await;
    let first = call(&app, "perform-action", "k").spawn();
    origin.until_seen(1).await;
    call_with(&app, "perform-action", "user_id=42&timeout=0.05", "k")
        .await
        .assert_problem(423, "lock-held");
    origin.release_one();
    assert_eq!(first.await.unwrap().status, 200);
    assert_eq!(origin.seen().len(), 1);
}

#[tokio::test]
async fn a_waiting_duplicate_with_another_body_is_422() {
    let (app, origin) = gated().await;
    let first = call(&app, "perform-action", "k").json("1").spawn();
    origin.until_seen(1).await;
    let other = call_with(&app, "perform-action", "user_id=42&timeout=60", "k")
        .json("2")
        .spawn();
    origin.release_one();
    assert_eq!(first.await.unwrap().status, 200);
    other
        .await
        .unwrap()
        .assert_problem(422, "idempotency-key-reused");
    assert_eq!(origin.seen().len(), 1);
}

#[tokio::test]
async fn a_duplicate_that_waited_for_a_failure_runs_itself() {
    let origin = Origin::start(Reply::Gated(Box::new(Reply::redirect(302, "/elsewhere")))).await;
    let app = App::builder().patient().origin(&origin).start().await;
    let perform = || call_with(&app, "perform-action", "user_id=42&timeout=60", "k").spawn();
    let first = perform();
    origin.until_seen(1).await;
    let duplicate = perform();
    origin.reply_with(Reply::json("2"));
    origin.release_one();
    first.await.unwrap().assert_problem(502, "origin-failed");
    let duplicate = duplicate.await.unwrap();
    duplicate.assert_body(200, r#"{"status":"success","result":2}"#);
    assert_eq!(duplicate.header("idempotent-replayed"), None);
    assert_eq!(origin.seen().len(), 2);
}
