//! Fencing tokens: strictly increasing per lock, whatever happens to it.

use edgelatch_tests::{App, Origin, Reply, until};

const LOCK: &str = "user:1:lock";
const FENCE: &str = "{user:1:lock}:fence";

/// The fencing token of one more action of user 1.
async fn next(app: &App) -> i64 {
    let answer = app.perform("user_id=1").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.number("fencing-token")
}

#[tokio::test]
async fn it_increases_through_release() {
    let app = App::start().await;
    let mut last = 0;
    for _ in 0..20 {
        let token = next(&app).await;
        assert!(token > last, "{token} after {last}");
        last = token;
    }
}

#[tokio::test]
async fn it_increases_through_expiry_of_the_lock() {
    let origin = Origin::start(Reply::nothing().gated()).await;
    let app = App::builder().origin(&origin).start().await;
    let expired = app.perform("user_id=1&expire=60").spawn();
    origin.until_seen(1).await;
    app.redis.run::<i64>(&["PEXPIRE", LOCK, "1"]).await;
    until("it has expired", || async { !app.redis.exists(LOCK).await }).await;
    let later = app.perform("user_id=1&expire=60").spawn();
    let seen = origin.until_seen(2).await;
    assert!(seen[1].fencing_token() > seen[0].fencing_token());
    origin.release_one();
    origin.release_one();
    expired.await.unwrap().assert_problem(409, "lock-lost");
    let later = later.await.unwrap();
    assert_eq!(later.status, 200);
    assert_eq!(later.number("fencing-token"), seen[1].fencing_token());
}

#[tokio::test]
async fn it_increases_through_eviction_of_the_fence() {
    let app = App::start().await;
    let mut last = next(&app).await;
    for _ in 0..5 {
        assert_eq!(app.redis.run::<i64>(&["DEL", FENCE]).await, 1);
        let token = next(&app).await;
        assert!(token > last, "{token} after {last}");
        last = token;
    }
}

#[tokio::test]
async fn an_action_survives_an_evicted_fence() {
    let origin = Origin::start(Reply::nothing().gated()).await;
    let app = App::builder().origin(&origin).start().await;
    let action = app.perform("user_id=1").spawn();
    let seen = origin.until_seen(1).await;
    assert_eq!(app.redis.run::<i64>(&["DEL", FENCE]).await, 1);
    origin.release_one();
    let answer = action.await.unwrap();
    answer.assert_body(200, r#"{"status":"success"}"#);
    assert_eq!(answer.number("fencing-token"), seen[0].fencing_token());
    origin.release_one();
    assert!(next(&app).await > seen[0].fencing_token());
}

#[tokio::test]
async fn it_increases_through_a_loss_of_data() {
    let mut app = App::start().await;
    let before = next(&app).await;
    app.redis.kill();
    app.redis.restart().await;
    assert!(!app.redis.exists(FENCE).await);
    let after = next(&app).await;
    assert!(after > before, "{after} after {before}");
}

#[tokio::test]
async fn it_increases_over_both_actions_and_leases() {
    let app = App::start().await;
    let mut last = 0;
    for _ in 0..3 {
        let performed = next(&app).await;
        let attempted = app.attempt("user_id=1").await.number("fencing-token");
        let lease = app.post("/api/v1/users/1/lock").await.json();
        let leased = lease["fencing_token"].as_i64().unwrap();
        let token = lease["token"].as_str().unwrap();
        let release = app
            .delete("/api/v1/users/1/lock")
            .header("lock-token", token);
        assert_eq!(release.await.status, 204);
        let order = [last, performed, attempted, leased];
        assert!(
            order.is_sorted_by(|earlier, later| earlier < later),
            "{order:?}"
        );
        last = leased;
    }
}

#[tokio::test]
async fn it_is_per_user_and_expires_after_two_unused_hours() {
    let app = App::start().await;
    app.perform("user_id=1").await;
    app.perform("user_id=2").await;
    let hours = 2 * 3_600_000;
    for fence in [FENCE, "{user:2:lock}:fence"] {
        let left: i64 = app.redis.run(&["PTTL", fence]).await;
        assert!(
            (hours - 60_000..=hours).contains(&left),
            "{fence}: {left} ms"
        );
    }
    // One user's counter is nothing to another: far ahead, it leaves the other where it was.
    let mine: String = app.redis.run(&["GET", FENCE]).await;
    let (number, rest) = mine.split_once(' ').unwrap();
    let ahead = number.parse::<i64>().unwrap() + 1_000_000_000_000;
    app.redis
        .run::<()>(&["SET", FENCE, &format!("{ahead} {rest}"), "EX", "60"])
        .await;
    assert_eq!(next(&app).await, ahead + 1);
    let other = app.perform("user_id=2").await.number("fencing-token");
    assert!(other < ahead, "{other}");
}

#[tokio::test]
async fn answer_last_action_and_origin_see_the_same_token() {
    let origin = Origin::start(Reply::nothing()).await;
    let app = App::builder().origin(&origin).start().await;
    let token = next(&app).await;
    let last = app.get("/api/v1/users/1/cache/last-action").await.json();
    assert_eq!(last["fencing_token"], token);
    assert_eq!(origin.seen()[0].fencing_token(), token);
    assert!(token < 1 << 53, "JSON's readers count exactly up to 2^53");
}
