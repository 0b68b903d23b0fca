//! Answers of Redis that get lost on the way: what was done is found again, or undone.

use std::time::Duration;

use edgelatch_tests::{App, Loss, Proxy, RedisServer, until, within};

/// The service behind a link that loses answers when it is told to; its scripts are known to Redis.
async fn behind_a_link() -> (App, Proxy) {
    let redis = RedisServer::start().await;
    let link = Proxy::start(redis.port()).await;
    let app = App::builder()
        .redis(redis)
        .var("redis_port", &link.port().to_string())
        // A connection that is there is the one that fails.
        .reusing_instances()
        .start()
        .await;
    app.perform("user_id=1").await.assert_success();
    let path = "/api/v1/users/1/lock";
    let lease = app.post(path).header("lock-token", "a-token-of-my-own");
    assert_eq!(lease.await.status, 201);
    for (method, status) in [("PUT", 200), ("DELETE", 204)] {
        let call = app
            .call(method, path)
            .header("lock-token", "a-token-of-my-own");
        assert_eq!(call.await.status, status);
    }
    (app, link)
}

/// Asserts that the user's lock is free soon, long before it would expire.
async fn assert_free_soon(app: &App, key: &str) {
    let free = until("the lock is free", || async {
        !app.redis.exists(key).await
    });
    within(Duration::from_secs(5), free).await;
}

#[tokio::test]
async fn a_cut_acquisition_succeeds() {
    let (app, link) = behind_a_link().await;
    link.lose_answer_to("user:7:lock", Loss::Cut);
    let answer = app.perform("user_id=7&expire=30").await;
    answer.assert_body(200, r#"{"status":"success"}"#);
    assert!(link.is_spent());
    assert!(!app.redis.exists("user:7:lock").await);

    link.lose_answer_to("user:8:lock", Loss::Cut);
    let lease = app.post("/api/v1/users/8/lock?expire=30").await;
    assert_eq!(lease.status, 201, "a repetition does not show");
    let seen = app.get("/api/v1/users/8/lock").await;
    assert_eq!(seen.json()["fencing_token"], lease.json()["fencing_token"]);
}

#[tokio::test]
async fn an_unanswered_acquisition_is_released() {
    let (app, link) = behind_a_link().await;
    for (user, call) in [
        (7, app.perform("user_id=7&expire=600")),
        (8, app.attempt("user_id=8&expire=600")),
        (9, app.post("/api/v1/users/9/lock?expire=600")),
    ] {
        let key = format!("user:{user}:lock");
        link.lose_answer_to(&key, Loss::Swallow);
        let answer = call.await;
        answer.assert_problem(503, "redis-timeout");
        assert!(link.is_spent());
        assert_free_soon(&app, &key).await;
        let next = app.attempt(&format!("user_id={user}")).await;
        next.assert_body(200, r#"{"status":"success"}"#);
    }
}

#[tokio::test]
async fn an_acquisition_on_a_paused_redis_is_released() {
    let (app, _link) = behind_a_link().await;
    app.redis.pause();
    let answer = app.perform("user_id=7&expire=600").await;
    answer.assert_problem(503, "redis-timeout");
    app.redis.resume();
    until("Redis has seen it", || {
        app.redis.exists("{user:7:lock}:fence")
    })
    .await;
    assert_free_soon(&app, "user:7:lock").await;
}

#[tokio::test]
async fn an_unanswered_lease_with_a_client_token_stays() {
    let (app, link) = behind_a_link().await;
    let path = "/api/v1/users/7/lock?expire=600";
    let call = || app.post(path).header("lock-token", "another-token-of-mine");
    link.lose_answer_to("user:7:lock", Loss::Swallow);
    call().await.assert_problem(503, "redis-timeout");
    let again = call().await;
    assert_eq!(again.status, 200, "{}", again.text());
    let seen = app.get("/api/v1/users/7/lock").await;
    assert_eq!(seen.json()["fencing_token"], again.json()["fencing_token"]);
}

#[tokio::test]
async fn a_cut_commit_succeeds() {
    let (app, link) = behind_a_link().await;
    link.lose_answer_to("cache:last-action", Loss::Cut);
    let answer = app.perform("user_id=7&expire=30").await;
    answer.assert_body(200, r#"{"status":"success"}"#);
    assert!(link.is_spent());
    let kept = app.get("/api/v1/users/7/cache/last-action").await;
    assert_eq!(kept.json()["fencing_token"], answer.number("fencing-token"));
    assert!(!app.redis.exists("user:7:lock").await);
}

#[tokio::test]
async fn a_cut_idempotent_commit_succeeds_and_is_replayed() {
    let (app, link) = behind_a_link().await;
    let call = || app.perform("user_id=7").header("idempotency-key", "k");
    link.lose_answer_to("cache:last-action", Loss::Cut);
    let first = call().await;
    first.assert_body(200, r#"{"status":"success"}"#);
    assert!(link.is_spent());
    let second = call().await;
    assert_eq!(second.header("idempotent-replayed"), Some("true"));
    assert_eq!(
        second.header("fencing-token"),
        first.header("fencing-token")
    );
}

#[tokio::test]
async fn an_unanswered_commit_can_be_repeated() {
    let (app, link) = behind_a_link().await;
    let call = || {
        app.perform("user_id=7&expire=600")
            .header("idempotency-key", "k")
    };
    link.lose_answer_to("cache:last-action", Loss::Swallow);
    call().await.assert_problem(503, "redis-timeout");
    assert_free_soon(&app, "user:7:lock").await;
    // It was carried out: whoever asks again is told of it.
    let again = call().await;
    again.assert_body(200, r#"{"status":"success"}"#);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
}

#[tokio::test]
async fn a_cut_renewal_or_release_succeeds() {
    let (app, link) = behind_a_link().await;
    let path = "/api/v1/users/7/lock";
    let call = |method| {
        app.call(method, path)
            .header("lock-token", "another-token-of-mine")
    };
    assert_eq!(call("POST").await.status, 201);
    for (method, status) in [("PUT", 200), ("DELETE", 204)] {
        link.lose_answer_to("user:7:lock", Loss::Cut);
        assert_eq!(call(method).await.status, status, "{method}");
        assert!(link.is_spent());
    }
    assert!(!app.redis.exists("user:7:lock").await);
}

/// What the write did is not known, so it is told and not repeated.
#[tokio::test]
async fn a_cut_cache_write_is_503_and_not_repeated() {
    let (app, link) = behind_a_link().await;
    let path = "/api/v1/users/7/cache/counter";
    app.put(path).json("1").await.assert_success();
    let sets = app.redis.calls("set").await;
    link.lose_answer_to("cache:counter", Loss::Cut);
    let answer = app.put(path).json("2").await;
    answer.assert_problem(503, "redis-unavailable");
    assert!(link.is_spent());
    assert_eq!(app.redis.calls("set").await, sets + 1);
    app.get(path).await.assert_body(200, "2");
}

#[tokio::test]
async fn a_cut_read_is_repeated() {
    let (app, link) = behind_a_link().await;
    let path = "/api/v1/users/7/cache/profile";
    app.put(path).json("1").await.assert_success();
    app.get(path).await.assert_body(200, "1");
    link.lose_answer_to("cache:profile", Loss::Cut);
    app.get(path).await.assert_body(200, "1");
    assert!(link.is_spent());
}
