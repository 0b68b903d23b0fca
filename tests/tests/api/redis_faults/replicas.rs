//! A replica where a master should be: READONLY, MASTERDOWN.

use edgelatch_tests::{App, RedisServer, until};

use super::{
    READS, READYZ, WRITES, assert_all_fail, assert_fails, assert_not_ready, assert_recovers,
    assert_works, call,
};

async fn replicate(app: &App, host: &str, port: &str) {
    app.redis.run::<()>(&["REPLICAOF", host, port]).await;
}

#[tokio::test]
async fn a_replica_that_only_reads() {
    let app = App::start().await;
    let master = RedisServer::start().await;
    assert_works(&app).await;
    replicate(&app, "127.0.0.1", &master.port().to_string()).await;
    until("it is in step with its master", || async {
        let info = app.redis.try_run::<String>(&["INFO", "replication"]).await;
        info.is_ok_and(|info| info.contains("master_link_status:up"))
    })
    .await;
    let writing = [WRITES[0], WRITES[1], WRITES[2], WRITES[5]];
    assert_fails(&app, &writing, "redis-unavailable").await;
    for (method, path) in READS.iter().filter(|(_, path)| *path != READYZ) {
        let answer = call(&app, method, path).await;
        assert!(answer.status < 500, "{path}: {}", answer.text());
    }
    assert_not_ready(&app, "redis-unavailable").await;
    replicate(&app, "NO", "ONE").await;
    assert_recovers(&app).await;
}

#[tokio::test]
async fn a_replica_that_has_lost_its_master() {
    let app = App::start().await;
    assert_works(&app).await;
    app.redis
        .run::<()>(&["CONFIG", "SET", "replica-serve-stale-data", "no"])
        .await;
    // Nothing listens at port 1.
    replicate(&app, "127.0.0.1", "1").await;
    assert_all_fail(&app, "redis-unavailable").await;
    replicate(&app, "NO", "ONE").await;
    assert_recovers(&app).await;
}

/// After a failover, the service finds the new master behind the same address by itself.
#[tokio::test]
async fn a_failover_under_load() {
    let app = App::start().await;
    let master = RedisServer::start().await;
    let port = master.port().to_string();
    for round in 1..4 {
        replicate(&app, "127.0.0.1", &port).await;
        let calls: Vec<_> = (0..10)
            .map(|user| app.perform(&format!("user_id={round}{user}")).spawn())
            .collect();
        for call in calls {
            let answer = call.await.unwrap();
            super::assert_503(&app, &answer, "redis-unavailable");
        }
        replicate(&app, "NO", "ONE").await;
        assert_recovers(&app).await;
    }
}
