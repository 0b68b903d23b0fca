//! No Redis at the other end, or something else.

use edgelatch_tests::{App, Origin, RedisServer, Reply, until};

use super::{assert_all_fail, assert_recovers, assert_works};

#[tokio::test]
async fn absent_at_start() {
    let mut redis = RedisServer::start().await;
    redis.kill();
    let mut app = App::builder().redis(redis).start().await;
    assert_all_fail(&app, "redis-unavailable").await;
    app.redis.restart().await;
    assert_recovers(&app).await;
}

#[tokio::test]
async fn killed() {
    let mut app = App::start().await;
    assert_works(&app).await;
    app.redis.kill();
    assert_all_fail(&app, "redis-unavailable").await;
    app.redis.restart().await;
    assert_recovers(&app).await;
}

#[tokio::test]
async fn killed_and_restarted_while_nobody_asks() {
    let mut app = App::start().await;
    app.perform("user_id=7").await.assert_success();
    app.redis.kill();
    app.redis.restart().await;
    let answer = app.perform("user_id=7").await;
    answer.assert_body(200, r#"{"status":"success"}"#);
}

#[tokio::test]
async fn killed_over_and_over_under_load() {
    let mut app = App::start().await;
    for _ in 0..3 {
        let calls: Vec<_> = (0..20)
            .map(|user| app.perform(&format!("user_id={user}")).spawn())
            .collect();
        app.redis.kill();
        for call in calls {
            let answer = call.await.unwrap();
            if answer.status != 200 {
                super::assert_503(&app, &answer, "redis-unavailable");
            }
        }
        app.redis.restart().await;
        assert_recovers(&app).await;
    }
}

#[tokio::test]
async fn a_host_name_that_does_not_resolve() {
    let app = App::builder()
        .var("redis_host", "no-such-host.invalid")
        .start()
        .await;
    let answer = app.perform("user_id=7").await;
    // Where no name server is in reach, this machine's resolver may take longer than Redis has.
    assert!(
        ["redis-unavailable", "redis-timeout"]
            .map(|slug| format!("urn:edgelatch:{slug}"))
            .contains(&answer.json()["type"].as_str().unwrap().to_owned()),
        "{}",
        answer.text()
    );
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (503, Some("1"))
    );
    assert!(answer.took <= super::REDIS_TIMEOUT + super::MARGIN);
    assert!(!answer.text().contains("no-such-host"), "{}", answer.text());
}

#[tokio::test]
async fn a_port_where_something_else_answers() {
    let http = Origin::start(Reply::nothing()).await;
    let port = http.url().rsplit(':').next().unwrap().to_owned();
    let app = App::builder().var("redis_port", &port).start().await;
    assert_all_fail(&app, "redis-unavailable").await;
    until("the reason is logged", || async {
        app.logs().contains(r#""outcome":"redis-unavailable""#)
    })
    .await;
}
