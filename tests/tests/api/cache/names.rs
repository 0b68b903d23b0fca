//! Names of entries, and whose they are.

use edgelatch_tests::App;

use super::ENTRY;

#[tokio::test]
async fn names_may_hold_every_allowed_character() {
    let app = App::patient().await;
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~:-";
    let longest = "n".repeat(128);
    for name in [alphabet, &longest, "x", "...", "~"] {
        let path = format!("/api/v1/users/42/cache/{name}");
        app.put(&path).json("1").await.assert_body(201, "");
        assert!(
            app.redis
                .exists(&format!("{{user:42:lock}}:cache:{name}"))
                .await
        );
        let encoded: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let path = format!("/api/v1/users/42/cache/{encoded}");
        app.get(&path).await.assert_body(200, "1");
        app.put(&path).json("2").await.assert_body(200, "");
        app.delete(&path).await.assert_body(204, "");
    }
}

#[tokio::test]
async fn other_names_are_422() {
    let app = App::patient().await;
    let longer = "n".repeat(129);
    for name in [
        "a%2Fb", "a%20b", "a+b", "a%00", "%C3%A9", "%FF", "a%7Bb", "a%25", "a,b", "a@b", &longer,
    ] {
        for method in ["GET", "PUT", "PATCH", "DELETE"] {
            let answer = app
                .call(method, &format!("/api/v1/users/42/cache/{name}"))
                .await;
            assert_eq!(answer.faults(), ["path.key"], "{method} {name}");
        }
    }
    for user in ["x", "007", "+7", "9223372036854775808"] {
        let answer = app.get(&format!("/api/v1/users/{user}/cache/a%20b")).await;
        assert_eq!(answer.faults(), ["path.user_id", "path.key"], "{user}");
    }
}

#[tokio::test]
async fn names_are_told_apart_by_case() {
    let app = App::patient().await;
    app.put(ENTRY).json("1").await.assert_body(201, "");
    app.put("/api/v1/users/42/cache/Profile")
        .json("2")
        .await
        .assert_body(201, "");
    app.get(ENTRY).await.assert_body(200, "1");
}

#[tokio::test]
async fn users_do_not_see_each_other() {
    let app = App::patient().await;
    let users = [
        "42",
        "-42",
        "4",
        "0",
        "9223372036854775807",
        "-9223372036854775808",
    ];
    let path = |user: &str| format!("/api/v1/users/{user}/cache/profile");
    for user in users {
        app.get(&path(user)).await.assert_problem(404, "not-found");
        app.put(&path(user)).json(user).await.assert_body(201, "");
    }
    for user in users {
        app.get(&path(user)).await.assert_body(200, user);
        app.delete(&path(user)).await.assert_body(204, "");
        app.get(&path(user)).await.assert_problem(404, "not-found");
    }
}
