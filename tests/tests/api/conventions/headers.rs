//! Every response carries `X-Request-Id` and `Server-Timing`.

use std::time::Duration;

use edgelatch_tests::{App, Origin, Reply};

/// Requests of every kind of answer.
const ANSWERS: [(&str, &str, u16); 8] = [
    ("GET", "/healthz", 200),
    ("GET", "/readyz", 200),
    ("POST", "/api/v1/users/attempt-action?user_id=7", 200),
    ("DELETE", "/api/v1/users/7/cache/absent", 204),
    ("OPTIONS", "/api/v1/users/7/lock", 204),
    ("GET", "/api/v1/users/7/cache/absent", 404),
    ("PATCH", "/api/v1/users/perform-action", 405),
    ("POST", "/api/v1/users/perform-action", 422),
];

fn is_new(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[tokio::test]
async fn a_valid_request_id_comes_back() {
    let app = App::start().await;
    let longest = "x".repeat(128);
    for (method, path, status) in ANSWERS {
        for id in ["a", "AZaz09._~+/=:-", &longest] {
            let answer = app.call(method, path).header("x-request-id", id).await;
            assert_eq!(answer.status, status, "{path}");
            assert_eq!(answer.header("x-request-id"), Some(id), "{path}");
        }
    }
}

#[tokio::test]
async fn any_other_request_id_is_replaced_by_a_new_one() {
    let app = App::start().await;
    let too_long = "x".repeat(129);
    for id in [
        "", "a b", "a,b", "a;b", "a\"b", "<a>", "{a}", "a@b", "a%20b", "ä", "a\tb", &too_long,
    ] {
        let answer = app.get("/healthz").header("x-request-id", id).await;
        let new = answer.header("x-request-id").unwrap();
        assert!(is_new(new), "{id:?} became {new:?}");
    }
    let twice = app
        .get("/healthz")
        .header("x-request-id", "first")
        .header("x-request-id", "second")
        .await;
    assert!(is_new(twice.header("x-request-id").unwrap()));
}

#[tokio::test]
async fn every_response_without_a_request_id_gets_its_own() {
    let app = App::start().await;
    let mut seen = Vec::new();
    for (method, path, status) in ANSWERS.iter().chain(&ANSWERS) {
        let answer = app.call(method, path).await;
        assert_eq!(answer.status, *status, "{path}");
        let id = answer.header("x-request-id").unwrap().to_owned();
        assert!(is_new(&id), "{id}");
        assert!(!seen.contains(&id), "{id} twice");
        seen.push(id);
    }
}

#[tokio::test]
async fn the_log_names_a_failure_by_its_request_id() {
    let mut app = App::start().await;
    app.redis.kill();
    let answer = app
        .perform("user_id=7")
        .header("x-request-id", "findme-17")
        .await;
    answer.assert_problem(503, "redis-unavailable");
    edgelatch_tests::until("it is in the log", || async {
        let logs = app.logs();
        let mut lines = logs.lines();
        lines.any(|line| line.contains("findme-17") && line.contains(r#""status":503"#))
    })
    .await;
}

#[tokio::test]
async fn server_timing_has_all_three_in_milliseconds() {
    let app = App::start().await;
    for (method, path, _) in ANSWERS {
        let answer = app.call(method, path).await;
        let timing = answer.header("server-timing").unwrap();
        let parts: Vec<_> = timing.split(", ").collect();
        let names = ["redis;dur=", "wait;dur=", "action;dur="];
        assert_eq!(parts.len(), names.len(), "{timing}");
        for (part, name) in parts.iter().zip(names) {
            let number = part.strip_prefix(name).unwrap();
            let decimals = number.split_once('.').map(|(_, decimals)| decimals.len());
            assert_eq!(decimals, Some(3), "{timing}");
        }
    }
}

#[tokio::test]
async fn server_timing_says_where_the_time_went() {
    let origin = Origin::start(Reply::After(
        Duration::from_millis(200),
        Box::new(Reply::nothing()),
    ))
    .await;
    let app = App::builder().origin(&origin).start().await;
    let health = app.get("/healthz").await;
    for part in ["redis", "wait", "action"] {
        assert!(health.timing(part) < 0.001, "{health:?}");
    }
    app.post("/api/v1/users/7/lock?expire=0.3").await;
    let answer = app.perform("user_id=7").await;
    let took = answer.took.as_secs_f64() * 1000.0;
    let (redis, wait, action) = (
        answer.timing("redis"),
        answer.timing("wait"),
        answer.timing("action"),
    );
    assert!(action >= 200.0 && action <= took, "{answer:?}");
    assert!(wait >= 100.0 && wait <= took, "{answer:?}");
    assert!(redis > 0.0 && redis <= took, "{answer:?}");
}

#[tokio::test]
async fn what_is_not_cacheable_is_not_stored_and_runs_nowhere() {
    let app = App::start().await;
    for (method, path, status) in ANSWERS {
        let answer = app.call(method, path).await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        let policy = answer.header("content-security-policy");
        assert_eq!(
            policy,
            Some("default-src 'none'; frame-ancestors 'none'"),
            "{path}"
        );
    }
    for path in ["/api/v1/users/7/lock", "/docs/nothing", "/docs?x=1"] {
        let answer = app.get(path).await;
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
    }
    app.put("/api/v1/users/7/cache/k").json("1").await;
    let entry = app.get("/api/v1/users/7/cache/k").await;
    let control = entry.header("cache-control").unwrap();
    assert!(control.starts_with("private, max-age="), "{control}");
}

#[tokio::test]
async fn a_page_of_the_origin_runs_nowhere() {
    let page = Reply::status(404, "<script>alert(1)</script>").header("content-type", "text/html");
    let origin = Origin::start(page).await;
    let app = App::builder()
        .origin(&origin)
        .var("origin_passthrough", "true");
    let app = app.start().await;
    let answer = app.attempt("user_id=7").passed_through().await;
    assert_eq!(answer.status, 404, "{}", answer.text());
    let policy = answer.header("content-security-policy");
    assert_eq!(policy, Some("default-src 'none'; frame-ancestors 'none'"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}
