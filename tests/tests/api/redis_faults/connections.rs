//! Connections and scripts that the server forgets.

use edgelatch_tests::{App, Proxy, RedisServer};

use super::{READS, WRITES, assert_fails, assert_recovers, assert_works, call};

/// Whether it may be repeated over a new connection: all but the writes that carry no token.
fn is_repeated(path: &str, method: &str) -> bool {
    method == "GET" || !path.contains("/cache/")
}

#[tokio::test]
async fn script_flush_is_not_noticed() {
    let app = App::start().await;
    assert_works(&app).await;
    for (method, path) in READS.iter().chain(&WRITES) {
        app.redis.run::<()>(&["SCRIPT", "FLUSH"]).await;
        let answer = call(&app, method, path).await;
        assert!(answer.status < 500, "{method} {path}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_is_not_noticed() {
    let app = App::start().await;
    assert_works(&app).await;
    for (method, path) in READS.iter().chain(&WRITES) {
        if is_repeated(path, method) {
            app.redis.kill_clients().await;
            let answer = call(&app, method, path).await;
            assert!(answer.status < 500, "{method} {path}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn a_connection_that_breaks_while_it_is_opened_is_not_noticed() {
    let redis = RedisServer::start().await;
    let proxy = Proxy::start(redis.port()).await;
    // With an instance for each request, the first reply is to the greeting of a new connection.
    let app = App::builder()
        .redis(redis)
        .var("redis_port", &proxy.port().to_string())
        .argument("--max-instance-reuse-count")
        .argument("1")
        .start()
        .await;
    for (method, path) in READS.iter().chain(&WRITES) {
        proxy.cut_next_reply();
        let answer = call(&app, method, path).await;
        assert!(answer.status < 500, "{method} {path}: {}", answer.text());
        assert!(proxy.is_spent(), "{method} {path}");
    }
}

/// Whether the first one was carried out is not known, so it is not sent again.
#[tokio::test]
async fn a_cache_write_on_a_closed_connection_is_503_once() {
    let app = App::start().await;
    let path = "/api/v1/users/7/cache/profile";
    for (method, body) in [("PUT", "[1]"), ("PATCH", "[2]"), ("PUT", "[3]")] {
        // Each instance has a connection, and each that is closed costs one write at most.
        let mut closed = app.redis.kill_clients().await;
        loop {
            let answer = app.call(method, path).body(body).await;
            if answer.status < 300 {
                break;
            }
            answer.assert_problem(503, "redis-unavailable");
            assert!(closed > 0, "the connection was closed already");
            closed -= 1;
        }
        app.get(path).await.assert_body(200, body);
    }
}

#[tokio::test]
async fn connections_that_are_closed_under_load_make_no_500() {
    let app = App::start().await;
    let mut calls = Vec::new();
    for round in 1..20 {
        for user in 0..4 {
            calls.push(app.perform(&format!("user_id={round}{user}")).spawn());
        }
        app.redis.kill_clients().await;
    }
    for call in calls {
        let answer = call.await.unwrap();
        if answer.status != 200 {
            super::assert_503(&app, &answer, "redis-unavailable");
        }
    }
    assert_recovers(&app).await;
}

#[tokio::test]
async fn no_more_clients_are_admitted() {
    let app = App::start().await;
    let mut admin = app.redis.connection().await;
    let mut set = async |most: &str| {
        redis::cmd("CONFIG")
            .arg(&["SET", "maxclients", most])
            .query_async::<()>(&mut admin)
            .await
            .unwrap();
    };
    set("1").await;
    assert_fails(&app, &READS, "redis-unavailable").await;
    assert_fails(&app, &WRITES, "redis-unavailable").await;
    set("100").await;
    assert_recovers(&app).await;
}
