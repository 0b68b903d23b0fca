//! Values of another type at this service's keys, put there by somebody else.

use edgelatch_tests::App;

async fn put_list(app: &App, key: &str) {
    app.redis.run::<i64>(&["RPUSH", key, "x"]).await;
}

#[tokio::test]
async fn a_list_at_the_lock_key_is_a_foreign_lock() {
    let app = App::start().await;
    put_list(&app, "user:7:lock").await;
    let answer = app.perform("user_id=7&timeout=0").await;
    answer.assert_problem(423, "lock-held");
    assert_eq!(answer.header("retry-after"), Some("1"));
    let answer = app.attempt("user_id=7").await;
    assert_eq!(answer.json()["status"], "failed");
    let answer = app.post("/api/v1/users/7/lock").await;
    answer.assert_problem(423, "lock-held");
    let seen = app.get("/api/v1/users/7/lock").await;
    seen.assert_body(
        200,
        r#"{"held":true,"fencing_token":null,"expires_in":null,"owner":null,"waiting":0}"#,
    );
    for method in ["PUT", "DELETE"] {
        let call = app.call(method, "/api/v1/users/7/lock");
        let answer = call.header("lock-token", "a-token-of-my-own").await;
        answer.assert_problem(409, "not-lock-owner");
    }
    assert_eq!(app.redis.run::<i64>(&["LLEN", "user:7:lock"]).await, 1);
}

#[tokio::test]
async fn a_malformed_fence_counts_as_lost() {
    let app = App::start().await;
    let before = app.perform("user_id=7").await.number("fencing-token");
    for nonsense in ["", "x", "1", "1 2", "-1 x y", "1e99 x y", "nan x y"] {
        app.redis
            .run::<()>(&["SET", "{user:7:lock}:fence", nonsense])
            .await;
        let answer = app.perform("user_id=7").await;
        answer.assert_success();
        assert!(answer.number("fencing-token") > before, "{nonsense:?}");
    }
}

#[tokio::test]
async fn a_list_at_a_cache_key_is_no_entry_and_can_be_replaced() {
    let app = App::start().await;
    let path = "/api/v1/users/7/cache/profile";
    let key = "{user:7:lock}:cache:profile";
    put_list(&app, key).await;
    app.get(path).await.assert_problem(404, "not-found");
    let patched = app.call("PATCH", path).body("{}").await;
    patched.assert_problem(404, "not-found");
    let put = app.put(path).header("if-none-match", "*").json("1").await;
    put.assert_problem(412, "precondition-failed");
    assert_eq!(app.put(path).json("1").await.status, 200);
    app.get(path).await.assert_body(200, "1");
    app.redis.run::<i64>(&["DEL", key]).await;
    put_list(&app, key).await;
    assert_eq!(app.delete(path).await.status, 204);
    assert!(!app.redis.exists(key).await);
}

#[tokio::test]
async fn what_is_not_json_at_a_cache_key_is_no_entry() {
    let app = App::start().await;
    let path = "/api/v1/users/7/cache/profile";
    for text in ["", "{", "\u{1}", "1e999"] {
        app.redis
            .run::<()>(&["SET", "{user:7:lock}:cache:profile", text])
            .await;
        app.get(path).await.assert_problem(404, "not-found");
    }
    assert_eq!(app.put(path).json("1").await.status, 200);
}

#[tokio::test]
async fn a_list_at_last_action_is_written_over() {
    let app = App::start().await;
    put_list(&app, "{user:7:lock}:cache:last-action").await;
    app.perform("user_id=7").await.assert_success();
    let kept = app.get("/api/v1/users/7/cache/last-action").await;
    assert_eq!(kept.json()["status"], "success");
}

/// Whether the action ran cannot be known, so it does not run again.
#[tokio::test]
async fn a_strange_value_at_an_idempotency_key_is_refused_and_named() {
    let app = App::start().await;
    let call = || app.perform("user_id=7").header("idempotency-key", "k");
    call().await.assert_success();
    let keys: Vec<String> = app.redis.run(&["KEYS", "{user:7:lock}:idem:*"]).await;
    let key = keys[0].as_str();
    for value in [
        ["RPUSH", key, "x"].as_slice(),
        &["HSET", key, "x", "1"],
        &["SET", key, ""],
        &["SET", key, "x"],
        &["SET", key, "x 1\n{}"],
    ] {
        app.redis.run::<i64>(&["DEL", key]).await;
        app.redis.run::<redis::Value>(value).await;
        let answer = call().await;
        if value[2] == "x 1\n{}" {
            answer.assert_problem(422, "idempotency-key-reused");
        } else {
            answer.assert_problem(503, "redis-unavailable");
            let detail = answer.json()["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains("Idempotency-Key"), "{detail}");
        }
        assert!(!app.redis.exists("user:7:lock").await);
    }
    app.redis.run::<i64>(&["DEL", key]).await;
    call().await.assert_success();
}
