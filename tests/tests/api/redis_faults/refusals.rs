//! A server that answers, but not now: OOM, LOADING, BUSY, CLUSTERDOWN.

use edgelatch_tests::{App, RedisServer, until};

use super::{
    READS, READYZ, WRITES, assert_503, assert_all_fail, assert_fails, assert_not_ready,
    assert_recovers, assert_works, call,
};

#[tokio::test]
async fn out_of_memory() {
    let app = App::start().await;
    assert_works(&app).await;
    app.redis
        .run::<()>(&["CONFIG", "SET", "maxmemory", "1"])
        .await;
    // What writes; a removal or a look needs no memory.
    let growing = [
        WRITES[0],
        WRITES[1],
        ("POST", "/api/v1/users/10/lock"),
        WRITES[5],
    ];
    assert_fails(&app, &growing, "redis-unavailable").await;
    for (method, path) in READS.iter().filter(|(_, path)| *path != READYZ) {
        let answer = call(&app, method, path).await;
        assert!(answer.status < 500, "{path}: {}", answer.text());
    }
    assert_not_ready(&app, "redis-unavailable").await;
    app.redis
        .run::<()>(&["CONFIG", "SET", "maxmemory", "0"])
        .await;
    assert!(!app.redis.exists("user:10:lock").await, "half a lock");
    assert_recovers(&app).await;
}

#[tokio::test]
async fn a_lock_can_be_given_back_without_memory() {
    let app = App::start().await;
    let lock = "/api/v1/users/7/lock";
    let token = "a-token-of-my-own";
    let lease = app.post(lock).header("lock-token", token).await;
    assert_eq!(lease.status, 201);
    app.redis
        .run::<()>(&["CONFIG", "SET", "maxmemory", "1"])
        .await;
    let released = app.delete(lock).header("lock-token", token).await;
    assert_eq!(released.status, 204, "{}", released.text());
    assert!(!app.redis.exists("user:7:lock").await);
}

#[tokio::test]
async fn loading() {
    // 2000 keys at 1 ms each; it looks at its clients every few of them.
    let redis = RedisServer::start_with(&[
        "--key-load-delay",
        "1000",
        "--loading-process-events-interval-bytes",
        "1024",
    ])
    .await;
    redis
        .run::<()>(&["DEBUG", "POPULATE", "2000", "k", "100"])
        .await;
    redis.run::<()>(&["SAVE"]).await;
    let mut app = App::builder().redis(redis).start().await;
    app.perform("user_id=7").await.assert_success();
    app.redis.kill();
    app.redis.relaunch();
    until("it says that it loads", || async {
        let answer = app.perform("user_id=7").await;
        assert_ne!(answer.status, 200, "it never said that it loads");
        assert_503(&app, &answer, "redis-unavailable");
        app.logs().to_lowercase().contains("loading")
    })
    .await;
    assert_fails(&app, &WRITES, "redis-unavailable").await;
    assert_recovers(&app).await;
}

#[tokio::test]
async fn busy_with_a_script() {
    let app = App::start().await;
    assert_works(&app).await;
    app.redis
        .run::<()>(&["CONFIG", "SET", "lua-time-limit", "1"])
        .await;
    let mut busy = app.redis.connection().await;
    let script = tokio::spawn(async move {
        let mut endless = redis::cmd("EVAL");
        endless.arg("while true do end").arg(0);
        endless.query_async::<()>(&mut busy).await
    });
    until("it is busy", || async {
        let pong = app.redis.try_run::<String>(&["PING"]).await;
        pong.is_err_and(|error| error.to_string().contains("BUSY"))
    })
    .await;
    assert_all_fail(&app, "redis-unavailable").await;
    app.redis.run::<()>(&["SCRIPT", "KILL"]).await;
    assert!(script.await.unwrap().is_err());
    assert_recovers(&app).await;
}

#[tokio::test]
async fn a_cluster_without_its_slots() {
    let redis = RedisServer::start_with(&["--cluster-enabled", "yes"]).await;
    let app = App::builder().redis(redis).start().await;
    let keyed = [&READS[1..], &WRITES].concat();
    assert_fails(&app, &keyed, "redis-unavailable").await;
    app.redis.add_slots(0..16384).await;
    until("the cluster is up", || async {
        let info: String = app.redis.run(&["CLUSTER", "INFO"]).await;
        info.contains("cluster_state:ok")
    })
    .await;
    // Every script touches one slot alone.
    assert_recovers(&app).await;
    app.perform("user_id=7")
        .header("idempotency-key", "k")
        .await
        .assert_success();
}

#[tokio::test]
async fn a_slot_that_is_on_another_node() {
    let redis = RedisServer::start_with(&["--cluster-enabled", "yes"]).await;
    let other = RedisServer::start_with(&["--cluster-enabled", "yes"]).await;
    let app = App::builder().redis(redis).start().await;
    app.redis.add_slots(0..16384).await;
    let port = other.port().to_string();
    app.redis
        .run::<()>(&["CLUSTER", "MEET", "127.0.0.1", &port])
        .await;
    let id: String = other.run(&["CLUSTER", "MYID"]).await;
    until("the nodes know each other", || async {
        let nodes: String = app.redis.run(&["CLUSTER", "NODES"]).await;
        nodes.contains(&id) && !nodes.contains("handshake")
    })
    .await;
    let slot = app
        .redis
        .run::<i64>(&["CLUSTER", "KEYSLOT", "user:7:lock"])
        .await
        .to_string();
    app.redis
        .run::<()>(&["CLUSTER", "SETSLOT", &slot, "NODE", &id])
        .await;
    let answer = app.perform("user_id=7").await;
    assert_503(&app, &answer, "redis-unavailable");
    assert!(!answer.text().contains(&port), "{}", answer.text());
}
