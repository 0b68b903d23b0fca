//! Every path answers with and without a trailing slash, never with a redirect.

use edgelatch_tests::App;

#[tokio::test]
async fn every_path_answers_with_and_without_a_trailing_slash() {
    const TOKEN: &str = "a-token-of-my-own";
    let app = App::start().await;
    for (user, slash) in [(7, ""), (8, "/")] {
        for action in ["perform-action", "attempt-action"] {
            let path = format!("/api/v1/users/{action}{slash}?user_id={user}");
            app.post(&path)
                .await
                .assert_body(200, r#"{"status":"success"}"#);
        }
        for lock in ["lock", "locks/build"] {
            let path = format!("/api/v1/users/{user}/{lock}{slash}");
            for (method, status) in [
                ("POST", 201),
                ("GET", 200),
                ("HEAD", 200),
                ("PUT", 200),
                ("DELETE", 204),
            ] {
                let call = app.call(method, &path).header("lock-token", TOKEN);
                assert_eq!(call.await.status, status, "{method} {path}");
            }
        }
        let path = format!("/api/v1/users/{user}/cache/profile{slash}");
        assert_eq!(app.put(&path).json("{}").await.status, 201, "{path}");
        assert_eq!(app.get(&path).await.status, 200, "{path}");
        assert_eq!(app.call("HEAD", &path).await.status, 200, "{path}");
        assert_eq!(app.call("PATCH", &path).body("{}").await.status, 200);
        assert_eq!(app.delete(&path).await.status, 204, "{path}");
        for path in ["/healthz", "/readyz"] {
            assert_eq!(app.get(&format!("{path}{slash}")).await.status, 200);
        }
    }
}

#[tokio::test]
async fn a_trailing_slash_makes_no_other_resource() {
    let app = App::start().await;
    app.put("/api/v1/users/7/cache/profile/").json("1").await;
    app.get("/api/v1/users/7/cache/profile")
        .await
        .assert_body(200, "1");
    app.post("/api/v1/users/7/lock/").await;
    app.post("/api/v1/users/7/lock")
        .await
        .assert_problem(423, "lock-held");
}

#[tokio::test]
async fn more_than_one_slash_is_another_path() {
    let app = App::start().await;
    for path in [
        "/healthz//",
        "//healthz",
        "/api/v1/users/perform-action//?user_id=7",
        "/api/v1/users//perform-action?user_id=7",
        "/api/v1/users/7/cache/profile//",
        "/api/v1/users/7//lock",
    ] {
        app.post(path).await.assert_problem(404, "not-found");
    }
}
