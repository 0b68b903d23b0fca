//! User names and passwords may hold any character.

use edgelatch_tests::{App, RedisServer};

const PASSWORDS: [&str; 5] = [
    "p:/ä%@ #?",
    "%41&=+[]{}|\\^`\"'<>",
    "日本\t\u{1f511}~._-",
    "{{ redis_host }}",
    "x",
];

/// What ACL takes as the name of a user: anything without spaces.
const USERS: [&str; 4] = ["anna", "an:n@/%41?#ä", "日本\u{1f511}", "{{x}}"];

#[tokio::test]
async fn a_password_may_hold_any_character() {
    for password in PASSWORDS {
        let mut redis = RedisServer::start().await;
        redis.require_password(password).await;
        let app = App::builder()
            .redis(redis)
            .var("redis_pwd", password)
            .start()
            .await;
        app.perform("user_id=7").await.assert_success();
    }
}

#[tokio::test]
async fn a_user_name_may_hold_any_character() {
    for (user, password) in USERS.iter().zip(PASSWORDS) {
        let redis = RedisServer::start().await;
        let password_rule = format!(">{password}");
        redis
            .run::<()>(&["ACL", "SETUSER", user, "on", &password_rule, "~*", "+@all"])
            .await;
        let app = App::builder()
            .redis(redis)
            .var("redis_user", user)
            .var("redis_pwd", password)
            .start()
            .await;
        app.perform("user_id=7").await.assert_success();
        let clients: String = app.redis.run(&["CLIENT", "LIST"]).await;
        let as_user = clients
            .lines()
            .filter(|line| !line.contains("user=default"));
        assert_eq!(as_user.count(), 1, "{clients}");
    }
}

#[tokio::test]
async fn a_user_without_a_password_logs_in() {
    let redis = RedisServer::start().await;
    redis
        .run::<()>(&["ACL", "SETUSER", "anna", "on", "nopass", "~*", "+@all"])
        .await;
    let app = App::builder()
        .redis(redis)
        .var("redis_user", "anna")
        .start()
        .await;
    app.perform("user_id=7").await.assert_success();
    let clients: String = app.redis.run(&["CLIENT", "LIST"]).await;
    assert!(clients.contains("user=anna"), "{clients}");
}
