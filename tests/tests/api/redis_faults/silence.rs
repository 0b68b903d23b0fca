//! A server that does not answer: it costs a request `redis_timeout` once, whatever it had in mind
//! to send.

use std::time::Duration;

use edgelatch_tests::{Answer, App, Loss, Origin, Proxy, RedisServer, Reply, until};

use super::{
    READS, REDIS_TIMEOUT, WRITES, assert_503, assert_fails, assert_recovers, assert_works,
};

#[tokio::test]
async fn stopped() {
    let app = App::start().await;
    assert_works(&app).await;
    app.redis.pause();
    let all = [&READS[..], &WRITES[..]].concat();
    // The first time on a connection that works, the second time on one that is never made.
    assert_fails(&app, &all, "redis-timeout").await;
    assert_fails(&app, &all, "redis-timeout").await;
    assert_eq!(app.get("/healthz").await.status, 200);
    app.redis.resume();
    assert_recovers(&app).await;
}

#[tokio::test]
async fn a_reply_that_is_there_counts_however_late_the_service_looks() {
    const TIMEOUT: Duration = Duration::from_millis(300);
    let redis = RedisServer::start().await;
    let link = Proxy::start(redis.port()).await;
    let app = App::builder()
        .redis(redis)
        .var("redis_port", &link.port().to_string())
        .var("redis_timeout", "0.3")
        .start()
        .await;
    assert_works(&app).await;
    for round in 0..5 {
        link.lose_answer_to("EVALSHA", Loss::Hold);
        let look = app.get("/api/v1/users/7/lock").spawn();
        until("the command is on its way", || async { link.is_spent() }).await;
        // Redis replies while the service has no processor, and the limit passes meanwhile.
        app.freeze();
        link.let_go();
        tokio::time::sleep(2 * TIMEOUT).await;
        app.thaw();
        let answer = look.await.unwrap();
        assert_eq!(answer.status, 200, "round {round}: {answer:?}");
        assert!(answer.took > TIMEOUT, "{:?}", answer.took);
    }
}

#[tokio::test]
async fn stopped_before_the_first_request() {
    let app = App::start().await;
    app.redis.pause();
    assert_fails(&app, &WRITES, "redis-timeout").await;
    app.redis.resume();
    assert_recovers(&app).await;
}

#[tokio::test]
async fn paused() {
    let app = App::builder().var("redis_timeout", "0.3").start().await;
    assert_works(&app).await;
    app.redis
        .run::<()>(&["CLIENT", "PAUSE", "1500", "ALL"])
        .await;
    assert_fails(&app, &WRITES, "redis-timeout").await;
    // Answered when the pause is over. What /readyz said a moment before it still holds.
    let _: String = app.redis.run(&["PING"]).await;
    assert_recovers(&app).await;
}

/// Asserts that Redis' silence was waited for once.
#[track_caller]
fn assert_waited_once(app: &App, answer: &Answer) {
    assert_503(app, answer, "redis-timeout");
    assert!(answer.took >= REDIS_TIMEOUT, "{:?}", answer.took);
    assert!(answer.timing("redis") >= 1000.0, "{answer:?}");
}

#[tokio::test]
async fn a_paused_redis_costs_each_request_one_timeout() {
    let app = App::start().await;
    app.put("/api/v1/users/7/cache/profile").json("{}").await;
    app.redis.run::<()>(&["SCRIPT", "FLUSH"]).await;
    app.redis.pause();
    let patient = app.perform("user_id=7&timeout=30").spawn();
    let idempotent = app
        .perform("user_id=8&timeout=30")
        .header("idempotency-key", "k")
        .spawn();
    let merged = app
        .call("PATCH", "/api/v1/users/7/cache/profile")
        .body("{}")
        .spawn();
    let leased = app.post("/api/v1/users/9/lock?timeout=30").spawn();
    for call in [patient, idempotent, merged, leased] {
        assert_waited_once(&app, &call.await.unwrap());
    }
}

#[tokio::test]
async fn a_waiter_notices_a_paused_redis() {
    let app = App::start().await;
    app.post("/api/v1/users/7/lock?expire=60").await;
    let waiting = app.perform("user_id=7&timeout=30").spawn();
    let tries = app.redis.calls("evalsha").await;
    until("it polls", || async {
        app.redis.calls("evalsha").await > tries + 2
    })
    .await;
    app.redis.pause();
    let (answer, took) = edgelatch_tests::within(Duration::from_millis(1600), waiting).await;
    assert_eq!(answer.unwrap().status, 503);
    assert!(took >= Duration::from_millis(900), "{took:?}");
}

#[tokio::test]
async fn many_requests_at_once_wait_as_long_as_one() {
    let app = App::start().await;
    app.redis.pause();
    let calls: Vec<_> = (0..40)
        .map(|user| app.perform(&format!("user_id={user}")).spawn())
        .collect();
    for call in calls {
        assert_waited_once(&app, &call.await.unwrap());
    }
    app.redis.resume();
    assert_recovers(&app).await;
}

async fn gated_action(reply: Reply) -> (App, Origin, tokio::task::JoinHandle<Answer>) {
    let origin = Origin::start(Reply::Gated(Box::new(reply))).await;
    let app = App::builder().origin(&origin).start().await;
    let acting = app.perform("user_id=7&expire=30").spawn();
    origin.until_seen(1).await;
    (app, origin, acting)
}

async fn is_free(app: &App) -> bool {
    !app.redis.exists("user:7:lock").await
}

#[tokio::test]
async fn a_paused_redis_costs_the_commit_one_timeout() {
    let (app, origin, acting) = gated_action(Reply::json("1")).await;
    app.redis.pause();
    origin.release_one();
    let answer = acting.await.unwrap();
    answer.assert_problem(503, "redis-timeout");
    let after_action = answer.took.as_secs_f64() * 1000.0 - answer.timing("action");
    assert!(after_action < 1500.0, "{answer:?}");
    app.redis.resume();
    let (_, took) = edgelatch_tests::within(
        Duration::from_secs(5),
        until("the lock is free", || is_free(&app)),
    )
    .await;
    assert!(took < Duration::from_secs(5));
}

#[tokio::test]
async fn a_failed_action_on_a_paused_redis_leaves_no_lock() {
    let (app, origin, acting) = gated_action(Reply::Plain(500, "", bytes::Bytes::new())).await;
    app.redis.pause();
    origin.release_one();
    let answer = acting.await.unwrap();
    answer.assert_problem(502, "origin-failed");
    let after_action = answer.took.as_secs_f64() * 1000.0 - answer.timing("action");
    assert!(after_action < 1500.0, "{answer:?}");
    app.redis.resume();
    edgelatch_tests::within(
        Duration::from_secs(5),
        until("the lock is free", || is_free(&app)),
    )
    .await;
}

#[tokio::test]
async fn a_short_pause_of_redis_goes_unnoticed() {
    let origin = Origin::start(Reply::Gated(Box::new(Reply::json("1")))).await;
    let app = App::builder().origin(&origin).start().await;
    let acting = app.perform("user_id=7&expire=6").spawn();
    origin.until_seen(1).await;
    app.redis.pause();
    // The first renewal comes after 2 s and gets no answer; there is time for another.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    app.redis.resume();
    let renewals = app.redis.calls("pexpire").await;
    until("it is renewed", || async {
        app.redis.calls("pexpire").await > renewals
    })
    .await;
    origin.release_one();
    let answer = acting.await.unwrap();
    answer.assert_body(200, r#"{"status":"success","result":1}"#);
}
