//! Scores in the queue that a stranger wrote: those who wait keep their order.

use edgelatch_tests::{Answer, App, until};
use tokio::task::JoinHandle;

const PATH: &str = "/api/v1/users/42/lock";
const QUEUE: &str = "{user:42:lock}:queue";
const HOLDER: &str = "the-token-of-the-holder";

async fn members(app: &App) -> Vec<String> {
    app.redis.run(&["ZRANGE", QUEUE, "0", "-1"]).await
}

/// The lock is held, and three wait, who have come one after another, behind what `before` has put
/// into the queue.
async fn three_waiters(app: &App, before: Option<&str>) -> Vec<JoinHandle<Answer>> {
    let lease = app.post(&format!("{PATH}?expire=600"));
    assert_eq!(lease.header("lock-token", HOLDER).await.status, 201);
    if let Some(score) = before {
        let _: i64 = app.redis.run(&["ZADD", QUEUE, score, "x y"]).await;
    }
    let mut waiters = Vec::new();
    for living in 1..=3 {
        waiters.push(app.perform("user_id=42&timeout=30").spawn());
        let waits = async || app.get(PATH).await.json()["waiting"] == living;
        until("it waits", waits).await;
    }
    waiters
}

/// Until each has looked again.
async fn until_looked(app: &App) {
    let looks = app.redis.calls("evalsha").await;
    let looked = async || app.redis.calls("evalsha").await >= looks + 6;
    until("they have looked", looked).await;
}

/// Releases the lock, and asserts who is served when.
async fn assert_in_order(app: &App, waiters: Vec<JoinHandle<Answer>>, score: &str) {
    let release = app.delete(PATH).header("lock-token", HOLDER);
    release.await.assert_body(204, "");
    let mut numbers = Vec::new();
    for waiter in waiters {
        let answer = waiter.await.unwrap();
        assert_eq!(answer.status, 200, "{score}: {}", answer.text());
        numbers.push(answer.number("fencing-token"));
    }
    assert!(numbers.is_sorted(), "{score}: {numbers:?}");
}

#[tokio::test]
async fn one_that_no_arrival_has_keeps_nobody_from_waiting() {
    for score in ["inf", "1e300", "1e17", "9007199254740993"] {
        let app = App::patient().await;
        let waiters = three_waiters(&app, Some(score)).await;
        until_looked(&app).await;
        let members = members(&app).await;
        assert_eq!(members.len(), 3, "{score}: {members:?}");
        assert_in_order(&app, waiters, score).await;
    }
}

#[tokio::test]
async fn one_before_or_behind_all_others_keeps_nobody_from_waiting() {
    for score in [
        "-inf",
        "-1",
        "0.5",
        "9007199254740989.5",
        "9007199254740990",
    ] {
        let app = App::patient().await;
        let waiters = three_waiters(&app, Some(score)).await;
        until_looked(&app).await;
        assert_in_order(&app, waiters, score).await;
    }
}

#[tokio::test]
async fn a_waiter_that_was_moved_finds_its_place() {
    for (score, moved) in [("inf", 0), ("1e300", 0), ("2.5", 2), ("-inf", 2)] {
        let app = App::patient().await;
        let waiters = three_waiters(&app, None).await;
        let before = members(&app).await;
        let member = &before[moved];
        let _: i64 = app.redis.run(&["ZADD", QUEUE, "XX", score, member]).await;
        let in_place = async || members(&app).await == before;
        until("it is where it was", in_place).await;
        assert_in_order(&app, waiters, score).await;
    }
}
