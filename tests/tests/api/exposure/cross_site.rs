//! Requests that a page of another site sends with a visitor's browser.

use edgelatch_tests::{App, raw};

/// What changes something.
const CHANGES: [(&str, &str); 9] = [
    ("POST", "/api/v1/users/perform-action?user_id=7"),
    ("POST", "/api/v1/users/attempt-action?user_id=7"),
    ("POST", "/api/v1/users/7/lock?expire=2592000"),
    ("PUT", "/api/v1/users/7/locks/build"),
    ("DELETE", "/api/v1/users/7/lock"),
    ("PUT", "/api/v1/users/7/cache/profile"),
    ("DELETE", "/api/v1/users/7/cache/profile"),
    ("GET", "/api/v1/users/7/cache/page?timeout=0&compute=10"),
    ("GET", "/api/v1/users/7?expire=2592000"),
];

#[tokio::test]
async fn without_a_token_they_are_403() {
    let app = App::start().await;
    for (method, path) in CHANGES {
        for (name, value) in [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("origin", "https://evil.example"),
            ("origin", "null"),
        ] {
            let answer = app.call(method, path).header(name, value).await;
            answer.assert_problem(403, "cross-site");
        }
    }
    // A HEAD stores the user as a GET does.
    let call = app.call("HEAD", "/api/v1/users/7/?%65xpire=2592000");
    let answer = call.header("sec-fetch-site", "cross-site").await;
    assert_eq!(answer.status, 403);
    assert_eq!(app.redis.run::<i64>(&["DBSIZE"]).await, 0);
}

#[tokio::test]
async fn the_refusal_comes_before_404_405_and_422() {
    let app = App::start().await;
    for (method, path) in [
        ("POST", "/api/v1/nothing"),
        ("PATCH", "/api/v1/users/7/lock"),
        ("POST", "/api/v1/users/x/lock"),
    ] {
        let call = app.call(method, path);
        let answer = call.header("sec-fetch-site", "cross-site").await;
        answer.assert_problem(403, "cross-site");
    }
}

#[tokio::test]
async fn the_services_own_pages_and_other_programs_may() {
    let app = App::start().await;
    let own = format!("http://{}", app.address());
    for headers in [
        &[][..],
        &[("sec-fetch-site", "same-origin")],
        &[("sec-fetch-site", "none")],
        &[("origin", own.as_str())],
        // The newer header counts, where there is one.
        &[
            ("sec-fetch-site", "same-origin"),
            ("origin", "https://proxy.example"),
        ],
    ] {
        let mut call = app.attempt("user_id=7");
        for (name, value) in headers {
            call = call.header(name, value);
        }
        assert_eq!(call.await.status, 200, "{headers:?}");
    }
}

#[tokio::test]
async fn reading_is_let_through() {
    let app = App::start().await;
    for (method, path, status) in [
        ("GET", "/api/v1/users/7/lock", 200),
        ("HEAD", "/api/v1/users/7/lock", 200),
        ("OPTIONS", "/api/v1/users/7/lock", 204),
        // A HEAD takes no task, and elsewhere these parameters are no different from others.
        ("HEAD", "/api/v1/users/7/cache/page?compute=1", 404),
        ("OPTIONS", "/api/v1/users/7/cache/page?compute=1", 204),
        ("GET", "/api/v1/users/7/cache/page?expire=1", 422),
        ("GET", "/api/v1/users/7/lock?compute=1", 422),
        ("GET", "/healthz?compute", 422),
        ("GET", "/readyz?compute=1", 422),
        ("GET", "/nothing?compute=1&expire=1", 404),
    ] {
        let call = app.call(method, path);
        let answer = call.header("sec-fetch-site", "cross-site").await;
        assert_eq!(answer.status, status, "{method} {path}");
    }
    assert_eq!(app.redis.run::<i64>(&["DBSIZE"]).await, 0);
}

#[tokio::test]
async fn with_a_token_the_token_decides() {
    let token = "a-token-for-cross-site";
    let app = App::builder().var("api_token", token).start().await;
    let cross = || {
        let call = app.attempt("user_id=7");
        call.header("sec-fetch-site", "cross-site")
    };
    cross().await.assert_problem(401, "unauthorized");
    let answer = cross()
        .header("authorization", &format!("Bearer {token}"))
        .await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_form_of_another_site_does_nothing() {
    let app = App::start().await;
    let request = "POST /api/v1/users/77/lock?expire=2592000 HTTP/1.1\r\nHost: locks.example\r\n\
        Origin: https://evil.example\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n\
        Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 0\r\n\
        Connection: close\r\n\r\n";
    let answer = raw(app.address(), request.as_bytes()).await;
    assert_eq!(
        (answer.status, answer.slug()),
        (Some(403), Some("cross-site"))
    );
    assert_eq!(app.redis.run::<i64>(&["DBSIZE"]).await, 0);
}
