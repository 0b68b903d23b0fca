//! `api_token`: everything under `/api` needs it.

use edgelatch_tests::App;

const TOKEN: &str = "Op3n_sesame~+/=.-!";

/// Something under `/api` of every kind: routes, a wrong verb, what is not there.
const GUARDED: [(&str, &str); 11] = [
    ("POST", "/api/v1/users/perform-action?user_id=7"),
    ("POST", "/api/v1/users/attempt-action/?user_id=7"),
    ("POST", "/api/v1/users/7/lock"),
    ("GET", "/api/v1/users/7/locks/build"),
    ("PUT", "/api/v1/users/7/cache/profile"),
    ("DELETE", "/api/v1/users/7/cache/profile"),
    ("PATCH", "/api/v1/users/perform-action"),
    ("OPTIONS", "/api/v1/users/7/lock"),
    ("GET", "/api/v1/nothing"),
    ("GET", "/api/"),
    ("GET", "/api"),
];

async fn guarded() -> App {
    App::builder().var("api_token", TOKEN).start().await
}

#[tokio::test]
async fn everything_under_api_needs_the_token() {
    let app = guarded().await;
    for (method, path) in GUARDED {
        let answer = app.call(method, path).await;
        answer.assert_problem(401, "unauthorized");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{path}");
    }
    let head = app.call("HEAD", "/api/v1/users/7/lock").await;
    assert_eq!(
        (head.status, head.header("www-authenticate")),
        (401, Some("Bearer"))
    );
    assert_eq!(app.redis.run::<i64>(&["DBSIZE"]).await, 0);
}

#[tokio::test]
async fn the_token_opens_everything_under_api() {
    let app = guarded().await;
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let value = format!("{scheme} {TOKEN}");
        for (method, path) in GUARDED {
            let answer = app.call(method, path).header("authorization", &value).await;
            assert_ne!(answer.status, 401, "{scheme} {path}");
            assert_eq!(answer.header("www-authenticate"), None);
        }
    }
}

#[tokio::test]
async fn any_other_token_is_401() {
    let app = guarded().await;
    let path = "/api/v1/users/perform-action?user_id=7";
    for bad in [
        "",
        "Bearer",
        "Bearer ",
        TOKEN,
        &format!("Basic {TOKEN}"),
        &format!("Token {TOKEN}"),
        &format!("Bearer{TOKEN}"),
        &format!("Bearer:{TOKEN}"),
        &format!("Bearer={TOKEN}"),
        &format!("Bearer \"{TOKEN}\""),
        &format!("Bearer {}", &TOKEN[1..]),
        &format!("Bearer {}", &TOKEN[..TOKEN.len() - 1]),
        &format!("Bearer {TOKEN}x"),
        &format!("Bearer x{TOKEN}"),
        &format!("Bearer {TOKEN} x"),
        &format!("Bearer {TOKEN},"),
        &format!("Bearer {TOKEN}, Bearer {TOKEN}"),
        &format!("Bearer {}", TOKEN.to_lowercase()),
        &format!("Bearer {}", TOKEN.to_uppercase()),
        &format!("Bearer {}", TOKEN.repeat(500)),
    ] {
        let answer = app.post(path).header("authorization", bad).await;
        answer.assert_problem(401, "unauthorized");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{bad}");
    }
    let right = format!("Bearer {TOKEN}");
    let twice = app.post(path).header("authorization", &right);
    let answer = twice.header("authorization", &right).await;
    answer.assert_problem(401, "unauthorized");
}

#[tokio::test]
async fn the_token_is_taken_from_nowhere_else() {
    let app = guarded().await;
    let path =
        format!("/api/v1/users/perform-action?user_id=7&access_token={TOKEN}&api_token={TOKEN}");
    let call = app.post(&path).header("x-api-key", TOKEN);
    let answer = call.header("cookie", &format!("api_token={TOKEN}")).await;
    answer.assert_problem(401, "unauthorized");
}

#[tokio::test]
async fn what_is_not_under_api_is_open() {
    let app = guarded().await;
    assert_eq!(app.get("/healthz").await.status, 200);
    assert_eq!(app.get("/readyz").await.status, 200);
    for path in ["/docs", "/openapi.json", "/apis", "/nothing"] {
        assert_ne!(app.get(path).await.status, 401, "{path}");
    }
}

#[tokio::test]
async fn no_spelling_of_the_path_gets_around_the_token() {
    let app = guarded().await;
    for path in [
        "//api/v1/users/perform-action?user_id=7",
        "/./api/v1/users/perform-action?user_id=7",
        "/x/../api/v1/users/perform-action?user_id=7",
        "/%61pi/v1/users/perform-action?user_id=7",
        "/API/v1/users/perform-action?user_id=7",
        "/api%2Fv1/users/perform-action?user_id=7",
        "/api;x/v1/users/perform-action?user_id=7",
    ] {
        let request = format!("POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = edgelatch_tests::raw(app.address(), request.as_bytes()).await;
        assert!(
            matches!(answer.status, Some(401 | 404)),
            "{path}: {answer:?}"
        );
    }
    assert_eq!(app.redis.run::<i64>(&["DBSIZE"]).await, 0);
}

#[tokio::test]
async fn the_token_is_never_in_a_body_or_the_log() {
    let mut app = guarded().await;
    let wrong = "Wr0ng_sesame";
    let path = "/api/v1/users/perform-action";
    let right = format!("Bearer {TOKEN}");
    let mut answers = vec![
        app.post(path).header("authorization", &right).await,
        app.post(path)
            .header("authorization", &format!("Bearer {wrong}"))
            .await,
        app.put(path).header("authorization", &right).await,
    ];
    app.redis.kill();
    let path = format!("{path}?user_id=7");
    answers.push(app.post(&path).header("authorization", &right).await);
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [422, 401, 405, 503]);
    // The log has arrived once the last failure is in it.
    edgelatch_tests::until("the failure is logged", || async {
        app.logs().contains("redis-unavailable")
    })
    .await;
    for secret in [TOKEN, wrong] {
        assert!(!app.logs().contains(secret), "{}", app.logs());
        for answer in &answers {
            assert!(!answer.text().contains(secret), "{answer:?}");
            assert!(!format!("{:?}", answer.headers).contains(secret));
        }
    }
}

#[tokio::test]
async fn without_a_token_set_everything_is_open() {
    let app = App::start().await;
    for header in [None, Some("Bearer anything"), Some("nonsense")] {
        let call = app.perform("user_id=7");
        let call = match header {
            Some(value) => call.header("authorization", value),
            None => call,
        };
        call.await.assert_body(200, r#"{"status":"success"}"#);
    }
}

#[tokio::test]
async fn the_previous_and_the_admin_token_open_too() {
    let (previous, admin) = ("the-previous-token", "the-administrators-token");
    let app = App::builder()
        .var("api_token", TOKEN)
        .var("api_token_previous", previous)
        .var("admin_token", admin)
        .start()
        .await;
    for (token, status) in [
        (TOKEN, 200),
        (previous, 200),
        (admin, 200),
        ("another-token-", 401),
    ] {
        let call = app.attempt("user_id=7");
        let answer = call
            .header("authorization", &format!("Bearer {token}"))
            .await;
        assert_eq!(answer.status, status, "{token}");
    }
}

#[tokio::test]
async fn without_a_token_a_warning_says_that_the_api_is_open() {
    let open = App::start().await;
    open.get("/healthz").await;
    let warns = |app: &App| app.logs().contains("the API is open");
    edgelatch_tests::until("it is logged", || async { warns(&open) }).await;
    let guarded = guarded().await;
    guarded.get("/healthz").await;
    assert!(!warns(&guarded));
}

#[tokio::test]
async fn percent_encoding_does_not_get_around_the_token() {
    let app = guarded().await;
    for path in [
        "/%61pi/v1/users/7/lock",
        "/a%70%69/%76%31/users/7/%6Cock",
        "/%61pi",
    ] {
        app.post(path).await.assert_problem(401, "unauthorized");
    }
}
