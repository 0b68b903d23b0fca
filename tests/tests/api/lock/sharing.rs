//! Two services on one Redis exclude each other.

use edgelatch_tests::{App, Origin, Reply};
use futures::StreamExt as _;
use futures::stream;

#[tokio::test]
async fn services_on_one_redis_wait_for_each_other() {
    let origin = Origin::start(Reply::nothing().gated()).await;
    let app = App::builder().origin(&origin).start().await;
    let other = App::builder().origin(&origin).beside(&app.redis);
    let holder = app.perform("user_id=1").spawn();
    origin.until_seen(1).await;
    let answer = other.perform("user_id=1&timeout=0.1").await;
    answer.assert_problem(423, "lock-held");
    assert_eq!(other.attempt("user_id=1").await.json()["status"], "failed");
    let waiter = other.perform("user_id=1&timeout=20").spawn();
    origin.release_one();
    let first = holder.await.unwrap().number("fencing-token");
    origin.until_seen(2).await;
    assert_eq!(app.attempt("user_id=1").await.json()["status"], "failed");
    origin.release_one();
    assert!(waiter.await.unwrap().number("fencing-token") > first);
    assert_eq!(origin.overlaps(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_services_never_run_two_actions_of_one_user_at_once() {
    const ACTIONS: usize = 200;
    let origin = Origin::start(Reply::nothing()).await;
    let app = App::builder().origin(&origin).start().await;
    let other = App::builder().origin(&origin).beside(&app.redis);
    let services = [&*app, &other];
    let call = |index: usize| {
        let service = services[index % 2];
        service.perform("user_id=1&timeout=60").spawn()
    };
    let answers: Vec<_> = stream::iter(0..ACTIONS)
        .map(call)
        .buffer_unordered(16)
        .collect()
        .await;
    for answer in answers {
        answer.unwrap().assert_body(200, r#"{"status":"success"}"#);
    }
    let seen = origin.seen();
    assert_eq!(seen.len(), ACTIONS);
    assert_eq!(origin.overlaps(), 0);
    assert!(seen.is_sorted_by(|a, b| a.fencing_token() < b.fencing_token()));
}
