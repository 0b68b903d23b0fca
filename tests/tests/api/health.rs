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
