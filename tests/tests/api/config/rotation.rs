//! With a variables provider whose values may change, they take effect without a restart.
//!
//! The service reads its variables while a test waits for its start: the Vault answers on another
//! thread.

use edgelatch_tests::{App, Call, RedisServer, Vault, until};

/// The service on this Vault, in one instance that goes on for longer than a test: a new one reads
/// its variables in any case.
async fn on(vault: &Vault, redis: RedisServer) -> App {
    App::builder()
        .redis(redis)
        .runtime_config(&vault.runtime_config())
        .argument("--max-instance-reuse-count")
        .argument("100000")
        .argument("--idle-instance-timeout")
        .argument("60s")
        .start()
        .await
}

fn with_token(app: &App, token: &str) -> Call {
    app.attempt("user_id=7")
        .header("authorization", &format!("Bearer {token}"))
}

const FIRST: &str = "the-first-of-two-tokens";
const SECOND: &str = "the-second-of-two-tokens";

async fn opens(app: &App, token: &str) -> bool {
    with_token(app, token).await.status == 200
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_token_is_rotated_without_a_restart() {
    let vault = Vault::start().await;
    vault.put("api_token", FIRST);
    let app = on(&vault, RedisServer::start().await).await;
    assert!(opens(&app, FIRST).await);
    with_token(&app, SECOND)
        .await
        .assert_problem(401, "unauthorized");
    vault.put("api_token", SECOND);
    until("the new token opens", || opens(&app, SECOND)).await;
    with_token(&app, FIRST)
        .await
        .assert_problem(401, "unauthorized");
    for secret in [FIRST, SECOND] {
        assert!(!app.logs().contains(secret), "{}", app.logs());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_vanishes_does_not_open_the_api() {
    let vault = Vault::start().await;
    vault.put("api_token", FIRST);
    let app = on(&vault, RedisServer::start().await).await;
    assert!(opens(&app, FIRST).await);
    vault.remove("api_token");
    until("the service is misconfigured", || async {
        app.attempt("user_id=7").await.status == 500
    })
    .await;
    for _ in 0..20 {
        let answer = app.attempt("user_id=7").await;
        answer.assert_problem(500, "misconfigured");
    }
    // Few failures of a second have a line.
    until("it is logged", || async {
        app.attempt("user_id=7").await;
        app.logs()
            .contains("variable `api_token` was set and is now empty")
    })
    .await;
    vault.put("api_token", SECOND);
    until("a token opens again", || opens(&app, SECOND)).await;
    app.attempt("user_id=7")
        .await
        .assert_problem(401, "unauthorized");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_is_rotated_without_a_restart() {
    let vault = Vault::start().await;
    let redis = RedisServer::start_with(&["--requirepass", "first"]).await;
    vault.put("redis_pwd", "first");
    let mut app = on(&vault, redis).await;
    app.perform("user_id=7").await.assert_success();
    app.redis.require_password("second").await;
    app.redis.kill_clients().await;
    app.perform("user_id=7")
        .await
        .assert_problem(503, "redis-unavailable");
    vault.put("redis_pwd", "second");
    until("the new password is used", || async {
        app.perform("user_id=7").await.status == 200
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreachable_provider_changes_nothing() {
    let mut vault = Vault::start().await;
    vault.put("api_token", FIRST);
    let app = on(&vault, RedisServer::start().await).await;
    assert!(opens(&app, FIRST).await);
    vault.stop().await;
    // Longer than variables are taken to be what they were.
    tokio::time::sleep(std::time::Duration::from_millis(2500)).await;
    assert!(opens(&app, FIRST).await);
    vault.put("api_token", SECOND);
    vault.serve().await;
    until("the new token opens", || opens(&app, SECOND)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_bad_value_is_refused_until_corrected() {
    let vault = Vault::start().await;
    let app = on(&vault, RedisServer::start().await).await;
    app.perform("user_id=7").await.assert_success();
    vault.put("lock_expire", "s00n");
    until("it is refused", || async {
        app.perform("user_id=7").await.status == 500
    })
    .await;
    app.perform("user_id=7")
        .await
        .assert_problem(500, "misconfigured");
    assert_eq!(app.get("/healthz").await.status, 200);
    vault.put("lock_expire", "10");
    until("it works again", || async {
        app.perform("user_id=7").await.status == 200
    })
    .await;
    assert!(app.logs().contains("lock_expire"), "{}", app.logs());
    assert!(!app.logs().contains("s00n"), "{}", app.logs());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_is_not_asked_for_each_request_that_fails() {
    let vault = Vault::start().await;
    vault.put("lock_expire", "s00n");
    let app = on(&vault, RedisServer::start().await).await;
    app.attempt("user_id=7").await;
    let began = std::time::Instant::now();
    let before = vault.reads();
    for _ in 0..60 {
        let answer = app.attempt("user_id=7").await;
        answer.assert_problem(500, "misconfigured");
    }
    // As often as a second, and once more for one more instance.
    let times = 2 + began.elapsed().as_secs() as usize;
    let reads = vault.reads() - before;
    assert!(reads <= times * 40, "{reads} reads");
}
