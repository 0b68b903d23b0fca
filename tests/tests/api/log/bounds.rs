//! How many requests have a line: few of those that are refused, and few of the failures that
//! anybody can bring about.

use std::time::Instant;

use edgelatch_tests::{App, Origin, Reply, until};
use serde_json::{Value, json};

use super::{line, lines};

const TOKEN: &str = "a-token-that-is-guessed";

/// How many lines have this in them.
fn written(app: &App, id: &str) -> usize {
    app.logs().lines().filter(|line| line.contains(id)).count()
}

/// The most lines of requests that few have one of, since `began`. An instance serves 128 requests
/// in turn, and each counts by itself.
fn few(began: Instant) -> usize {
    3 * (3 + began.elapsed().as_secs() as usize)
}

#[tokio::test]
async fn a_refused_request_has_a_line_also_if_requests_are_not_logged() {
    let guarded = App::builder().var("api_token", TOKEN).start().await;
    let call = guarded.perform("user_id=7");
    let call = call.header("authorization", "Bearer zq-a-wrong-guess");
    let refused = line(&guarded, call, "refused").await;
    assert_eq!(
        (refused["status"].as_u64(), &refused["outcome"]),
        (Some(401), &json!("unauthorized"))
    );
    assert!(!guarded.logs().contains("zq-a-wrong"), "{}", guarded.logs());
    let open = App::start().await;
    let call = open.perform("user_id=7");
    let call = call.header("sec-fetch-site", "cross-site");
    assert_eq!(line(&open, call, "cross").await["status"], 403);
}

#[tokio::test]
async fn few_refused_requests_have_a_line() {
    for log_requests in ["true", "false"] {
        let app = App::builder()
            .var("api_token", TOKEN)
            .var("log_requests", log_requests)
            .reusing_instances()
            .start()
            .await;
        let began = Instant::now();
        for _ in 0..100 {
            let call = app.perform("user_id=7");
            call.header("x-request-id", "guess").await;
        }
        let few = few(began);
        lines(&app, "guess").await;
        assert!(written(&app, "guess") <= few, "{}", app.logs());
    }
}

#[tokio::test]
async fn a_refused_request_says_how_many_before_it_had_no_line() {
    let app = App::builder()
        .var("api_token", TOKEN)
        // One instance counts for as long as it takes.
        .argument("--max-instance-reuse-count")
        .argument("1000000")
        .start()
        .await;
    for _ in 0..20 {
        app.perform("user_id=7").await;
    }
    until("one says so", || async {
        app.perform("user_id=7")
            .header("x-request-id", "guess")
            .await;
        let logs = app.logs();
        let lines = logs.lines().filter(|line| line.contains("guess"));
        let mut lines = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.any(|line| line["left_out"].as_u64() >= Some(10))
    })
    .await;
}

#[tokio::test]
async fn few_failures_of_requests_that_need_no_token_have_a_line() {
    for log_requests in ["true", "false"] {
        let builder = App::builder().var("log_requests", log_requests);
        let mut app = builder.reusing_instances().start().await;
        app.redis.kill();
        let began = Instant::now();
        for _ in 0..50 {
            let call = app.get("/readyz").header("x-request-id", "probe");
            call.await.assert_problem(503, "redis-unavailable");
        }
        let few = few(began);
        lines(&app, "probe").await;
        assert!(written(&app, "probe") <= few, "{}", app.logs());
    }
}

#[tokio::test]
async fn callers_that_are_refused_hide_no_failure() {
    let builder = App::builder().var("api_token", TOKEN);
    let mut app = builder.reusing_instances().start().await;
    app.redis.kill();
    for _ in 0..10 {
        app.perform("user_id=7").await;
    }
    let probe = app.get("/readyz");
    let failure = line(&app, probe, "probe").await;
    assert_eq!(
        (failure["status"].as_u64(), &failure["left_out"]),
        (Some(503), &Value::Null)
    );
}

/// An app without Redis that has failed so many requests with the id `fails`.
async fn failing(requests: usize, variables: &[(&str, &str)]) -> App {
    let builder = App::builder().reusing_instances();
    let with =
        |app: edgelatch_tests::AppBuilder, (name, value): &(&str, &str)| app.var(name, value);
    let mut app = variables.iter().fold(builder, with).start().await;
    app.redis.kill();
    for _ in 0..requests {
        let call = app.get("/api/v1/users/7/lock");
        let call = call.header("authorization", &format!("Bearer {TOKEN}"));
        let answer = call.header("x-request-id", "fails").await;
        answer.assert_problem(503, "redis-unavailable");
    }
    app
}

#[tokio::test]
async fn few_failures_of_an_open_api_have_a_line() {
    let began = Instant::now();
    let app = failing(100, &[]).await;
    let few = few(began);
    lines(&app, "fails").await;
    assert!(written(&app, "fails") <= few, "{}", app.logs());
}

#[tokio::test]
async fn each_failure_has_a_line_where_callers_need_a_token_or_each_request_has_one() {
    for variable in [("api_token", TOKEN), ("log_requests", "true")] {
        let app = failing(20, &[variable]).await;
        until("all are logged", || async { written(&app, "fails") == 20 }).await;
    }
}

#[tokio::test]
async fn what_the_origin_refuses_is_no_refused_request() {
    for status in [401, 403] {
        let origin = Origin::start(Reply::status(status, "{}")).await;
        let app = App::builder()
            .patient()
            .origin(&origin)
            .var("origin_passthrough", "true")
            .var("log_requests", "true")
            .reusing_instances()
            .start()
            .await;
        for _ in 0..20 {
            let call = app.perform("user_id=7").passed_through();
            let answer = call.header("x-request-id", "told").await;
            assert_eq!(answer.status, status);
        }
        until("all are logged", || async { written(&app, "told") == 20 }).await;
        let line = &lines(&app, "told").await[0];
        assert_eq!(line["outcome"], "origin-failed");
    }
}

#[tokio::test]
async fn a_client_that_sends_a_broken_body_has_no_line_of_its_own() {
    let broken = |id: &str| {
        format!(
            "POST /api/v1/users/perform-action?user_id=7 HTTP/1.1\r\nHost: x\r\n\
             Authorization: Bearer {TOKEN}\r\nX-Request-Id: {id}\r\n\
             Transfer-Encoding: chunked\r\n\r\nzz\r\n"
        )
    };
    for log_requests in ["false", "true"] {
        for token in ["", TOKEN] {
            let builder = App::builder().var("log_requests", log_requests);
            let mut app = builder.var("api_token", token).start().await;
            for _ in 0..10 {
                let request = broken("broken-off");
                edgelatch_tests::raw(app.address(), request.as_bytes()).await;
            }
            // What fails is logged, and comes after them.
            app.redis.kill();
            let call = app.perform("user_id=7").header("x-request-id", "loud");
            call.header("authorization", &format!("Bearer {TOKEN}"))
                .await;
            lines(&app, "loud").await;
            let expected = if log_requests == "true" { 10 } else { 0 };
            assert_eq!(written(&app, "broken-off"), expected, "{}", app.logs());
            if log_requests == "true" {
                let line = &lines(&app, "broken-off").await[0];
                assert_eq!(line["status"], 400);
                assert!(line["cause"].is_string(), "{line}");
            }
        }
    }
}
