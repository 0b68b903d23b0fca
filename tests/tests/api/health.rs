//! `/healthz` and `/readyz`.

use edgelatch_tests::{App, until};

#[tokio::test]
async fn healthz_is_200_without_touching_redis() {
    let mut app = App::start().await;
    let before = app.redis.run::<String>(&["INFO", "stats"]).await;
    app.get("/healthz")
        .await
        .assert_body(200, r#"{"status":"ok"}"#);
    app.get("/healthz/")
        .await
        .assert_body(200, r#"{"status":"ok"}"#);
    let after = app.redis.run::<String>(&["INFO", "stats"]).await;
    assert_eq!(connections(&before) + 1, connections(&after));
    app.redis.kill();
    app.get("/healthz")
        .await
        .assert_body(200, r#"{"status":"ok"}"#);
}

fn connections(info: &str) -> u64 {
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("total_connections_received:"));
    line.unwrap().trim().parse().unwrap()
}

#[tokio::test]
async fn readyz_says_how_long_redis_takes() {
    let app = App::start().await;
    for path in ["/readyz", "/readyz/"] {
        let answer = app.get(path).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json()["redis"], "ok");
        assert!(
            answer.json()["latency_ms"]
                .as_f64()
                .is_some_and(|ms| ms > 0.0)
        );
    }
}

#[tokio::test]
async fn readyz_is_503_while_redis_is_away_and_recovers() {
    let mut app = App::start().await;
    app.redis.kill();
    let answer = app.get("/readyz").await;
    answer.assert_problem(503, "redis-unavailable");
    assert_eq!(answer.header("retry-after"), Some("1"));
    app.redis.restart().await;
    until("it is ready again", || async {
        app.get("/readyz").await.status == 200
    })
    .await;
}

/// Waits until this is what `/readyz` says.
async fn until_readiness(app: &App, status: u16) {
    until("readiness is noticed", || async {
        app.get("/readyz").await.status == status
    })
    .await;
}

#[tokio::test]
async fn readyz_is_503_if_nothing_can_be_written() {
    for (spoil, repair) in [
        (
            &["REPLICAOF", "127.0.0.1", "1"][..],
            &["REPLICAOF", "NO", "ONE"][..],
        ),
        (
            &["CONFIG", "SET", "maxmemory", "1"],
            &["CONFIG", "SET", "maxmemory", "0"],
        ),
        (
            &["CONFIG", "SET", "min-replicas-to-write", "1"],
            &["CONFIG", "SET", "min-replicas-to-write", "0"],
        ),
    ] {
        let app = App::patient().await;
        until_readiness(&app, 200).await;
        app.redis.run::<()>(spoil).await;
        until_readiness(&app, 503).await;
        app.perform("user_id=7")
            .await
            .assert_problem(503, "redis-unavailable");
        app.redis.run::<()>(repair).await;
        until_readiness(&app, 200).await;
    }
}

#[tokio::test]
async fn readyz_is_503_if_the_acl_lacks_scripts_or_keys() {
    for rules in [
        &["-eval", "-evalsha", "~*"][..],
        &["resetkeys", "~other:*"],
        &["resetkeys", "~user:*"],
    ] {
        let app = App::patient().await;
        until_readiness(&app, 200).await;
        let rules = ["ACL", "SETUSER", "default"].iter().chain(rules);
        let rules: Vec<_> = rules.copied().collect();
        app.redis.run::<()>(&rules).await;
        until_readiness(&app, 503).await;
    }
}

#[tokio::test]
async fn readyz_asks_redis_once_a_second() {
    let app = App::builder().patient().reusing_instances();
    let app = app.start().await;
    app.get("/readyz").await;
    let before = app.redis.calls("evalsha").await;
    let began = std::time::Instant::now();
    for _ in 0..100 {
        assert_eq!(app.get("/readyz").await.status, 200);
    }
    let asked = app.redis.calls("evalsha").await - before;
    // Two scripts a second; one more instance may have begun.
    let most = 2 * (2 + began.elapsed().as_secs());
    assert!(asked <= most, "{asked} and not {most}");
}

#[tokio::test]
async fn readyz_leaves_nothing_behind() {
    let app = App::patient().await;
    app.get("/readyz").await;
    until("nothing is left of the probe", || async {
        app.redis.run::<i64>(&["DBSIZE"]).await == 0
    })
    .await;
}

#[tokio::test]
async fn a_strangers_lock_does_not_hide_what_readyz_looks_for() {
    let app = App::patient().await;
    let _: String = app.redis.run(&["SET", "user::lock", "stranger"]).await;
    until_readiness(&app, 200).await;
    app.redis
        .run::<()>(&["CONFIG", "SET", "maxmemory", "1"])
        .await;
    until_readiness(&app, 503).await;
    let keys: Vec<String> = app.redis.run(&["KEYS", "*"]).await;
    assert_eq!(keys, ["user::lock"]);
}

#[tokio::test]
async fn failures_that_anybody_brings_about_have_few_lines() {
    let app = App::builder().patient().reusing_instances();
    let mut app = app.start().await;
    app.redis.kill();
    let refused = App::builder().var("lock_expire", "never");
    let refused = refused.reusing_instances().start().await;
    for (app, path, outcome) in [
        (&app, "/readyz", "redis-unavailable"),
        (&refused, "/api/v1/nothing", "misconfigured"),
    ] {
        let began = std::time::Instant::now();
        for _ in 0..100 {
            assert!(app.get(path).await.status >= 500);
        }
        let lines = app.logs().matches(outcome).count();
        // One more instance may have begun.
        let most = 3 * (2 + began.elapsed().as_secs() as usize);
        assert!((1..=most).contains(&lines), "{lines} and not {most}");
    }
}
