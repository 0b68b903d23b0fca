//! What holds where no variable is set.

use std::time::Duration;

use edgelatch_tests::{App, root};

/// The defaults that the service promises.
const DEFAULTS: [(&str, &str); 32] = [
    ("redis_host", "127.0.0.1"),
    ("redis_port", "6379"),
    ("redis_user", ""),
    ("redis_pwd", ""),
    ("redis_db", "0"),
    ("redis_tls", "false"),
    ("redis_nodes", "redis://nodes.invalid:6379"),
    ("redis_timeout", "1"),
    ("key_prefix", ""),
    ("user_ids", "integer"),
    ("lock_timeout", "5"),
    ("lock_expire", "10"),
    ("max_hold", "60"),
    ("cache_expire", "3600"),
    ("max_body_bytes", "1048576"),
    ("request_limit", "0"),
    ("idempotency_expire", "86400"),
    ("api_token", ""),
    ("api_token_previous", ""),
    ("admin_token", ""),
    ("require_token", "false"),
    ("origin", "http://origin.invalid"),
    ("origin_action_path", "/users/{user_id}/{action}"),
    ("origin_user_path", "/users/{user_id}"),
    ("origin_timeout", "30"),
    ("origin_passthrough", "false"),
    ("origin_invalidate", "true"),
    ("stale_while_revalidate", "30"),
    ("stale_if_error", "300"),
    ("negative_expire", "5"),
    ("log_requests", "false"),
    ("log_key", ""),
];

#[test]
fn the_manifest_declares_these_defaults() {
    let manifest = std::fs::read_to_string(root().join("spin.toml")).unwrap();
    for (name, value) in DEFAULTS {
        let declared = format!("\n{name} = {{ default = \"{value}\"");
        assert!(manifest.contains(&declared), "{declared}");
        let passed = format!("\n{name} = \"{{{{ {name} }}}}\"");
        assert!(manifest.contains(&passed), "{passed}");
    }
    // The host lets the component connect there.
    assert!(manifest.contains("\"{{ redis_nodes }}\","));
    for secret in [
        "redis_pwd",
        "api_token",
        "api_token_previous",
        "admin_token",
        "log_key",
    ] {
        let line = manifest.lines().find(|line| line.starts_with(secret));
        assert!(line.unwrap().contains("secret = true"), "{secret}");
    }
}

#[test]
fn the_page_of_variables_has_every_variable() {
    let read = |file: &str| std::fs::read_to_string(root().join(file)).unwrap();
    let (manifest, page) = (read("spin.toml"), read("docs/variables.md"));
    let declared = manifest.split("[variables]\n").nth(1).unwrap();
    let declared = declared.lines().take_while(|line| !line.is_empty());
    let names: Vec<_> = declared
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    assert!(names.len() >= DEFAULTS.len());
    for name in names {
        let mut rows = page.lines().filter(|line| line.starts_with("| `"));
        assert!(rows.any(|row| row.contains(&format!("`{name}`"))), "{name}");
    }
}

/// How long a key has left, in milliseconds.
async fn left(app: &App, key: &str) -> i64 {
    app.redis.run(&["PTTL", key]).await
}

#[tokio::test]
async fn what_is_stored_lives_for_its_default_time() {
    let app = App::start().await;
    let lease = app.post("/api/v1/users/7/lock").await;
    assert_eq!(lease.json()["expires_in"], 10.0);
    let ms = left(&app, "user:7:lock").await;
    assert!((1..=10_000).contains(&ms), "{ms}");

    app.put("/api/v1/users/7/cache/profile").json("1").await;
    let ms = left(&app, "{user:7:lock}:cache:profile").await;
    assert!((3_500_000..=3_600_000).contains(&ms), "{ms}");

    app.perform("user_id=8")
        .header("idempotency-key", "k")
        .await;
    let keys: Vec<String> = app.redis.run(&["KEYS", "{user:8:lock}:idem:*"]).await;
    let ms = left(&app, &keys[0]).await;
    assert!((86_300_000..=86_400_000).contains(&ms), "{ms}");
}

#[tokio::test]
async fn perform_action_waits_five_seconds() {
    let app = App::start().await;
    app.post("/api/v1/users/7/lock?expire=60").await;
    let answer = app.perform("user_id=7").await;
    answer.assert_problem(423, "lock-held");
    assert!(answer.took >= Duration::from_secs(5), "{:?}", answer.took);
    assert!(answer.took < Duration::from_secs(6), "{:?}", answer.took);
}

#[tokio::test]
async fn redis_has_one_second() {
    let app = App::start().await;
    app.redis.pause();
    let answer = app.get("/readyz").await;
    answer.assert_problem(503, "redis-timeout");
    assert!(answer.took >= Duration::from_secs(1), "{:?}", answer.took);
    assert!(
        answer.took < Duration::from_millis(1500),
        "{:?}",
        answer.took
    );
}
