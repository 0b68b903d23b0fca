//! Logins that fail and users that may not: WRONGPASS, NOAUTH, NOPERM.

use edgelatch_tests::{App, RedisServer};

use super::{
    READS, WRITES, assert_all_fail, assert_fails, assert_recovers, assert_unlogged, assert_works,
};

const PASSWORD: &str = "Corr3ct-horse";

#[tokio::test]
async fn a_wrong_password() {
    let redis = RedisServer::start_with(&["--requirepass", "another"]).await;
    let app = App::builder()
        .redis(redis)
        .var("redis_pwd", PASSWORD)
        .start()
        .await;
    assert_all_fail(&app, "redis-unavailable").await;
    assert_unlogged(&app, &[PASSWORD]).await;
    let rule = format!(">{PASSWORD}");
    app.redis
        .run::<()>(&["ACL", "SETUSER", "default", &rule])
        .await;
    assert_recovers(&app).await;
}

#[tokio::test]
async fn a_user_that_is_unknown() {
    let app = App::builder()
        .var("redis_user", "anna")
        .var("redis_pwd", PASSWORD)
        .start()
        .await;
    assert_all_fail(&app, "redis-unavailable").await;
    assert_unlogged(&app, &[PASSWORD]).await;
    let rule = format!(">{PASSWORD}");
    app.redis
        .run::<()>(&["ACL", "SETUSER", "anna", "on", &rule, "~*", "+@all"])
        .await;
    assert_recovers(&app).await;
}

#[tokio::test]
async fn a_password_that_is_missing() {
    let redis = RedisServer::start_with(&["--requirepass", PASSWORD]).await;
    let mut app = App::builder().redis(redis).start().await;
    assert_all_fail(&app, "redis-unavailable").await;
    app.redis.require_password("").await;
    assert_recovers(&app).await;
}

#[tokio::test]
async fn a_password_that_is_required_later() {
    let mut app = App::start().await;
    assert_works(&app).await;
    app.redis.require_password(PASSWORD).await;
    app.redis.kill_clients().await;
    assert_all_fail(&app, "redis-unavailable").await;
    app.redis.require_password("").await;
    assert_recovers(&app).await;
}

#[tokio::test]
async fn the_next_connection_notices_a_changed_password() {
    let mut redis = RedisServer::start_with(&["--requirepass", PASSWORD]).await;
    redis.log_in_with(PASSWORD);
    let mut app = App::builder()
        .redis(redis)
        .var("redis_pwd", PASSWORD)
        .start()
        .await;
    assert_works(&app).await;
    app.redis.require_password("another").await;
    app.redis.kill_clients().await;
    assert_all_fail(&app, "redis-unavailable").await;
    assert_unlogged(&app, &[PASSWORD, "another"]).await;
}

/// The service as the user `anna`, who may do everything.
async fn as_anna() -> App {
    let redis = RedisServer::start().await;
    let rule = format!(">{PASSWORD}");
    redis
        .run::<()>(&["ACL", "SETUSER", "anna", "on", &rule, "~*", "+@all"])
        .await;
    let app = App::builder()
        .redis(redis)
        .var("redis_user", "anna")
        .var("redis_pwd", PASSWORD)
        .start()
        .await;
    assert_works(&app).await;
    app
}

/// Takes something from anna, asserts that these calls then fail, and gives it back.
async fn assert_fails_without(rules: &[&str], back: &[&str], calls: &[(&str, &str)]) {
    let app = as_anna().await;
    app.redis
        .run::<()>(&[&["ACL", "SETUSER", "anna"], rules].concat())
        .await;
    assert_fails(&app, calls, "redis-unavailable").await;
    assert_unlogged(&app, &[PASSWORD]).await;
    app.redis
        .run::<()>(&[&["ACL", "SETUSER", "anna"], back].concat())
        .await;
    assert_recovers(&app).await;
}

/// What needs a script in any case. An instance's first read of the cache needs none, and a patch
/// begins with a read.
fn of_scripts() -> Vec<(&'static str, &'static str)> {
    let all = READS[1..3].iter().chain(&WRITES);
    let all = all.filter(|(method, _)| *method != "PATCH");
    all.copied().collect()
}

#[tokio::test]
async fn a_user_that_may_run_no_scripts() {
    assert_fails_without(&["-evalsha", "-eval"], &["+@all"], &of_scripts()).await;
}

#[tokio::test]
async fn a_user_that_may_run_no_new_scripts() {
    let app = as_anna().await;
    // The first read of the cache needed no script, the next one does.
    assert_works(&app).await;
    app.redis
        .run::<()>(&["ACL", "SETUSER", "anna", "-eval"])
        .await;
    assert_works(&app).await;
    app.redis.run::<()>(&["SCRIPT", "FLUSH"]).await;
    assert_fails(&app, &of_scripts(), "redis-unavailable").await;
    app.redis
        .run::<()>(&["ACL", "SETUSER", "anna", "+eval"])
        .await;
    assert_recovers(&app).await;
}

#[tokio::test]
async fn a_user_that_may_not_touch_the_keys() {
    let keys = [&READS[1..], &WRITES].concat();
    assert_fails_without(&["resetkeys", "~other:*"], &["~*"], &keys).await;
}

const FIRST_ACQUISITION: (&str, &str) = ("POST", "/api/v1/users/10/lock");

/// This reads `ERR The user executing the script can't run this command`, without any code of its
/// own.
#[tokio::test]
async fn a_user_that_may_not_run_a_command_inside_a_script() {
    let setting = [WRITES[0], WRITES[1], FIRST_ACQUISITION];
    assert_fails_without(&["-set"], &["+set"], &setting).await;
    assert_fails_without(&["-time"], &["+time"], &[FIRST_ACQUISITION]).await;
    assert_fails_without(&["-pttl"], &["+pttl"], &READS[1..]).await;
}

#[tokio::test]
async fn a_user_that_is_switched_off() {
    let app = as_anna().await;
    app.redis
        .run::<()>(&["ACL", "SETUSER", "anna", "off"])
        .await;
    app.redis
        .run::<i64>(&["CLIENT", "KILL", "USER", "anna"])
        .await;
    assert_all_fail(&app, "redis-unavailable").await;
    app.redis.run::<()>(&["ACL", "SETUSER", "anna", "on"]).await;
    assert_recovers(&app).await;
}
