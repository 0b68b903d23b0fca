//! What the variables do.

use std::time::Duration;

use edgelatch_tests::App;

#[tokio::test]
async fn lock_timeout_is_the_default_wait() {
    let app = App::builder().var("lock_timeout", "0.3").start().await;
    app.post("/api/v1/users/7/lock?expire=60").await;
    let answer = app.perform("user_id=7").await;
    answer.assert_problem(423, "lock-held");
    assert!(
        answer.took >= Duration::from_millis(300),
        "{:?}",
        answer.took
    );
    assert!(answer.took < Duration::from_secs(2), "{:?}", answer.took);
    let answer = app.perform("user_id=7&timeout=0").await;
    assert!(answer.timing("wait") < 300.0, "{answer:?}");
}

#[tokio::test]
async fn lock_expire_is_the_default_time_to_live() {
    let app = App::builder().var("lock_expire", "2.5").start().await;
    for lock in ["lock", "locks/build"] {
        let path = format!("/api/v1/users/7/{lock}");
        let lease = app
            .post(&path)
            .header("lock-token", "a-token-of-my-own")
            .await;
        assert_eq!(lease.json()["expires_in"], 2.5);
        let renewed = app
            .put(&path)
            .header("lock-token", "a-token-of-my-own")
            .await;
        assert_eq!(renewed.json()["expires_in"], 2.5);
        let longer = app
            .put(&format!("{path}?expire=20"))
            .header("lock-token", "a-token-of-my-own")
            .await;
        assert_eq!(longer.json()["expires_in"], 20.0);
    }
}

#[tokio::test]
async fn cache_expire_is_the_default_time_to_live() {
    let app = App::builder().var("cache_expire", "100").start().await;
    app.put("/api/v1/users/7/cache/profile").json("1").await;
    let ms: i64 = app
        .redis
        .run(&["PTTL", "{user:7:lock}:cache:profile"])
        .await;
    assert!((90_000..=100_000).contains(&ms), "{ms}");
}

#[tokio::test]
async fn key_prefix_is_put_before_every_key() {
    let app = App::builder().var("key_prefix", "shop-1:").start().await;
    app.perform("user_id=7")
        .header("idempotency-key", "k")
        .await;
    app.post("/api/v1/users/7/lock").await;
    app.post("/api/v1/users/7/locks/build").await;
    app.put("/api/v1/users/7/cache/profile").json("1").await;
    let mut keys: Vec<String> = app.redis.run(&["KEYS", "*"]).await;
    keys.sort();
    let idem = keys.iter().position(|key| key.contains(":idem:")).unwrap();
    assert!(keys.remove(idem).starts_with("{shop-1:user:7:lock}:idem:"));
    let expected = [
        "shop-1:user:7:lock",
        "shop-1:user:7:lock:build",
        "{shop-1:user:7:lock:build}:fence",
        "{shop-1:user:7:lock}:cache:last-action",
        "{shop-1:user:7:lock}:cache:profile",
        "{shop-1:user:7:lock}:fence",
    ];
    assert_eq!(keys, expected);
}

#[tokio::test]
async fn redis_db_is_selected() {
    let app = App::builder().var("redis_db", "3").start().await;
    app.perform("user_id=7").await.assert_success();
    assert_eq!(app.redis.run::<i64>(&["DBSIZE"]).await, 0);
    let info: String = app.redis.run(&["INFO", "keyspace"]).await;
    assert!(info.contains("db3:keys=2"), "{info}");
}

#[tokio::test]
async fn a_redis_db_that_the_server_lacks_is_503() {
    let app = App::builder().var("redis_db", "77").start().await;
    let answer = app.perform("user_id=7").await;
    answer.assert_problem(503, "redis-unavailable");
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn redis_timeout_is_how_long_redis_may_take() {
    let app = App::builder().var("redis_timeout", "0.2").start().await;
    app.perform("user_id=7").await.assert_success();
    app.redis.pause();
    let answer = app.perform("user_id=7").await;
    answer.assert_problem(503, "redis-timeout");
    assert!(
        answer.took >= Duration::from_millis(200),
        "{:?}",
        answer.took
    );
    assert!(
        answer.took < Duration::from_millis(700),
        "{:?}",
        answer.took
    );
}

#[tokio::test]
async fn redis_is_found_by_a_host_name() {
    let app = App::builder().var("redis_host", "localhost").start().await;
    app.perform("user_id=7").await.assert_success();
}
