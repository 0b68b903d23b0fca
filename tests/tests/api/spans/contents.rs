//! What spans say, and what they do not.

use edgelatch_tests::{App, Collector, Origin, Reply, Span, on_spin, root};
use serde_json::{Value, json};

use super::{
    PERFORM, in_trace, is_component_s, named, names, of_component, outcome, trace, traced,
};

const ATTEMPT: &str = "POST /api/v1/users/attempt-action";
const LEASE: &str = "POST /api/v1/users/{user_id}/lock";

fn attributes(span: &Span) -> Value {
    json!(span.attributes)
}

#[tokio::test]
async fn spans_of_an_action_that_succeeds() {
    let collector = Collector::start().await;
    let app = traced(&collector)
        .environment("OTEL_SERVICE_NAME", "orders")
        .start()
        .await;
    let call = in_trace(app.perform("user_id=7"), &trace(1));
    let answer = call.header("x-request-id", "findme").await;
    let token = answer.number("fencing-token");
    let spans = of_component(&collector, &trace(1)).await;
    let expected = [
        (
            "lock wait",
            json!({
                "edgelatch.lock.acquired": true,
                "edgelatch.fencing_token": token,
                "edgelatch.outcome": "success",
            }),
        ),
        (
            "action",
            json!({"edgelatch.fencing_token": token, "edgelatch.outcome": "success"}),
        ),
        (
            "commit",
            json!({"edgelatch.fencing_token": token, "edgelatch.outcome": "success"}),
        ),
        (
            PERFORM,
            json!({
                "http.request.method": "POST",
                "http.route": "/api/v1/users/perform-action",
                "http.response.status_code": 200,
                "edgelatch.request_id": "findme",
                "edgelatch.outcome": "success",
            }),
        ),
    ];
    for (name, expected) in expected {
        let span = named(&spans, name);
        assert_eq!(attributes(span), expected, "{name}");
        assert_eq!(span.error, None, "{name}");
        assert_eq!(span.service, "orders", "{name}");
    }
}

#[tokio::test]
async fn the_span_has_the_answered_status() {
    let collector = Collector::start().await;
    let origin = Origin::start(Reply::status(404, r#"{"error":"no such order"}"#)).await;
    let app = traced(&collector).var("origin_passthrough", "true");
    let app = app.origin(&origin).start().await;
    let call = in_trace(app.perform("user_id=7"), &trace(1));
    assert_eq!(call.passed_through().await.status, 404);
    let spans = of_component(&collector, &trace(1)).await;
    let request = named(&spans, PERFORM);
    assert_eq!(attributes(request)["http.response.status_code"], 404);
    // The caller's, as the status says.
    assert_eq!(request.error, None);
}

#[tokio::test]
async fn a_held_lock_fails_the_wait_span_only() {
    let collector = Collector::start().await;
    let app = traced(&collector).start().await;
    app.post("/api/v1/users/7/lock?expire=60").await;
    let wait = "user_id=7&timeout=0.2";
    for (number, call, name) in [
        (1, app.perform(wait), PERFORM),
        (2, app.attempt("user_id=7"), ATTEMPT),
        (3, app.post("/api/v1/users/7/lock"), LEASE),
    ] {
        in_trace(call, &trace(number)).await;
        let spans = of_component(&collector, &trace(number)).await;
        assert_eq!(names(&spans), [name, "lock wait"]);
        let wait = named(&spans, "lock wait");
        assert_eq!(wait.error.as_deref(), Some("lock-held"));
        let expected = json!({
            "edgelatch.lock.acquired": false,
            "edgelatch.outcome": "lock-held",
            "error.type": "lock-held",
        });
        assert_eq!(attributes(wait), expected);
        let request = named(&spans, name);
        assert_eq!(request.error, None);
        assert_eq!(outcome(request), "lock-held");
        assert!(request.took >= wait.took);
        if number == 1 {
            assert!(wait.took.as_millis() >= 200, "{wait:?}");
        }
    }
}

#[tokio::test]
async fn a_lease_says_which_acquisition_it_is() {
    let collector = Collector::start().await;
    let app = traced(&collector).start().await;
    let call = in_trace(app.post("/api/v1/users/7/lock"), &trace(1));
    let token = call.await.json()["fencing_token"].clone();
    let spans = of_component(&collector, &trace(1)).await;
    assert_eq!(names(&spans), [LEASE, "lock wait"]);
    let wait = named(&spans, "lock wait");
    assert_eq!(wait.attributes["edgelatch.fencing_token"], token);
    assert_eq!(wait.attributes["edgelatch.lock.acquired"], true);
}

#[tokio::test]
async fn a_replay_needs_no_lock() {
    let collector = Collector::start().await;
    let app = traced(&collector).start().await;
    for number in 1..=2 {
        let call = in_trace(app.perform("user_id=7"), &trace(number));
        call.header("idempotency-key", "order-17").await;
    }
    let spans = of_component(&collector, &trace(2)).await;
    assert_eq!(names(&spans), [PERFORM, "lock wait"]);
    let wait = named(&spans, "lock wait");
    let expected = json!({"edgelatch.lock.acquired": false, "edgelatch.outcome": "replayed"});
    assert_eq!(attributes(wait), expected);
    assert_eq!(wait.error, None);
    assert_eq!(outcome(named(&spans, PERFORM)), "replayed");
}

#[tokio::test]
async fn an_origin_that_fails_is_an_error_of_the_action() {
    let collector = Collector::start().await;
    let origin = Origin::start(Reply::status(500, "{}")).await;
    let app = traced(&collector).origin(&origin).start().await;
    in_trace(app.perform("user_id=7"), &trace(1)).await;
    let spans = of_component(&collector, &trace(1)).await;
    assert_eq!(names(&spans), [PERFORM, "action", "lock wait"]);
    for name in [PERFORM, "action"] {
        let error = named(&spans, name).error.as_deref();
        assert_eq!(error, Some("origin-failed"), "{name}");
    }
    in_trace(app.get("/api/v1/users/7"), &trace(2)).await;
    let spans = of_component(&collector, &trace(2)).await;
    let fetch = named(&spans, "fetch");
    assert_eq!(fetch.error.as_deref(), Some("origin-failed"));
}

#[tokio::test]
async fn a_lock_that_was_lost_is_an_error_of_the_commit() {
    let collector = Collector::start().await;
    let origin = Origin::start(Reply::json("{}").gated()).await;
    let app = traced(&collector).origin(&origin).start().await;
    let call = in_trace(app.perform("user_id=7&expire=60"), &trace(1)).spawn();
    origin.until_seen(1).await;
    let _: i64 = app.redis.run(&["DEL", "user:7:lock"]).await;
    origin.release_one();
    assert_eq!(call.await.unwrap().status, 409);
    let spans = of_component(&collector, &trace(1)).await;
    assert_eq!(named(&spans, "action").error, None);
    let commit = named(&spans, "commit");
    assert_eq!(commit.error.as_deref(), Some("lock-lost"));
    assert_eq!(commit.attributes["error.type"], "lock-lost");
    // The caller is told with a 409, which is no failure of the service.
    let request = named(&spans, PERFORM);
    assert_eq!(
        (request.error.as_deref(), outcome(request)),
        (None, "lock-lost")
    );
}

#[tokio::test]
async fn an_action_that_is_stopped_ends_its_span() {
    let collector = Collector::start().await;
    let origin = Origin::start(Reply::json("{}").gated()).await;
    let builder = traced(&collector).var("max_hold", "0.3");
    let app = builder.origin(&origin).start().await;
    let call = in_trace(app.perform("user_id=7&expire=0.3"), &trace(1));
    assert_eq!(call.await.status, 409);
    let spans = of_component(&collector, &trace(1)).await;
    assert_eq!(names(&spans), [PERFORM, "action", "lock wait"]);
    let action = named(&spans, "action");
    assert_eq!(action.error.as_deref(), Some("lock-lost"));
}

#[tokio::test]
async fn a_redis_failure_fails_wait_and_request_spans() {
    let collector = Collector::start().await;
    let mut app = traced(&collector).start().await;
    app.redis.kill();
    in_trace(app.perform("user_id=7"), &trace(1)).await;
    let spans = of_component(&collector, &trace(1)).await;
    for name in [PERFORM, "lock wait"] {
        let error = named(&spans, name).error.as_deref();
        assert_eq!(error, Some("redis-unavailable"), "{name}");
    }
}

#[tokio::test]
async fn every_request_has_a_span() {
    let collector = Collector::start().await;
    let app = traced(&collector).start().await;
    for (number, method, path, name, outcome_is) in [
        (1, "GET", "/no/such/path", "GET", "not-found"),
        (2, "BREW", "/healthz", "HTTP", "method-not-allowed"),
    ] {
        in_trace(app.call(method, path), &trace(number)).await;
        let spans = of_component(&collector, &trace(number)).await;
        let request = named(&spans, name);
        assert_eq!(outcome(request), outcome_is, "{name}");
        assert!(!format!("{request:?}").contains("BREW"), "{request:?}");
    }
    let wrong = traced(&collector)
        .var("redis_timeout", "soon")
        .start()
        .await;
    in_trace(wrong.perform("user_id=7"), &trace(3)).await;
    let spans = of_component(&collector, &trace(3)).await;
    assert_eq!(
        named(&spans, "POST").error.as_deref(),
        Some("misconfigured")
    );
}

/// Anybody may send a header or a method of 64 KB.
#[tokio::test]
async fn what_a_caller_chooses_is_short() {
    if on_spin() {
        // Spin's own spans have the method and the state as they are.
        return;
    }
    let collector = Collector::start().await;
    let app = traced(&collector).start().await;
    let method = "M".repeat(60_000);
    for (number, state) in [
        (1, "a=1".to_owned()),
        (2, format!("a={}", "b".repeat(60_000))),
    ] {
        let call = in_trace(app.call(&method, "/healthz"), &trace(number));
        call.header("tracestate", &state).await;
        of_component(&collector, &trace(number)).await;
        let ended = |spans: &[Span]| spans.iter().any(|span| span.is_server);
        for span in collector.trace(&trace(number), ended).await {
            let said = format!("{span:?}");
            assert!(said.len() < 2000, "{}", said.len());
            assert!(
                said.contains("_OTHER") && span.name.starts_with("HTTP"),
                "{said}"
            );
            assert_eq!(span.state, if number == 1 { "a=1" } else { "" });
        }
    }
}

/// The same as in a line of the log: who reads traces is not to learn more.
#[tokio::test]
async fn nothing_in_them_is_secret() {
    let collector = Collector::start().await;
    let origin = Origin::start(Reply::json(r#"{"result":"zq-result"}"#)).await;
    let app = traced(&collector)
        .origin(&origin)
        .var("api_token", "zq-api-token-long")
        .var("log_key", "zq-log-key")
        .var("log_requests", "true")
        .start()
        .await;
    let secret = "zq-lock-token-0001";
    let calls = [
        app.perform("user_id=7731773177").json(r#"{"zq-input":1}"#),
        app.attempt("user_id=7731773177")
            .header("idempotency-key", "zq-idempotency-key"),
        app.post("/api/v1/users/7731773177/locks/zq-name")
            .header("lock-token", secret),
        app.get("/api/v1/users/7731773177"),
        app.put("/api/v1/users/7731773177/cache/zq-name")
            .json(r#"{"zq-value":1}"#),
        app.get("/api/v1/users/7731773177?zq-parameter=1"),
        app.get("/zq-path/7731773177"),
    ];
    let mut user = None;
    for (number, call) in (1..).zip(calls) {
        let call = in_trace(call, &trace(number));
        let answer = call
            .header("authorization", "Bearer zq-api-token-long")
            .await;
        let spans = of_component(&collector, &trace(number)).await;
        let id = answer.header("x-request-id").unwrap();
        let request = spans
            .iter()
            .find(|span| span.attributes.get("edgelatch.request_id") == Some(&json!(id)))
            .unwrap();
        user = user.or_else(|| request.attributes.get("edgelatch.user").cloned());
    }
    // It is the log's.
    let user = format!("\"user\":{}", user.unwrap());
    assert!(app.logs().contains(&user), "{user}");
    let mut spans = collector.spans();
    if on_spin() {
        // Spin's own have the path and the query.
        spans.retain(is_component_s);
    }
    let said = format!("{spans:?}");
    for secret in ["zq", "7731773177", &origin.url()] {
        assert!(!said.contains(secret), "{secret} in {spans:#?}");
    }
}

#[tokio::test]
async fn spans_have_the_documented_names_and_attributes() {
    let page = std::fs::read_to_string(root().join("docs/observability.md")).unwrap();
    let tables = page.split("\n| span |").nth(1).unwrap();
    let collector = Collector::start().await;
    let origin = Origin::start(Reply::status(500, "{}")).await;
    let builder = traced(&collector).var("log_key", "a-key");
    let app = builder.origin(&origin).start().await;
    in_trace(app.perform("user_id=7"), &trace(1)).await;
    in_trace(app.get("/api/v1/users/7"), &trace(2)).await;
    origin.reply_with(Reply::json("{}"));
    in_trace(app.perform("user_id=7"), &trace(3)).await;
    let mut spans = Vec::new();
    for number in 1..=3 {
        spans.append(&mut of_component(&collector, &trace(number)).await);
    }
    let mut documented = tables
        .lines()
        .filter_map(|row| row.strip_prefix("| `"))
        .filter_map(|row| row.split('`').next())
        .filter(|name| *name != "POST /api/v1/users/perform-action")
        .collect::<Vec<_>>();
    documented.sort_unstable();
    let mut found: Vec<&str> = spans
        .iter()
        .flat_map(|span| span.attributes.keys())
        .map(String::as_str)
        .chain(["action", "commit", "fetch", "lock wait"])
        .collect();
    found.sort_unstable();
    found.dedup();
    assert_eq!(found, documented);
    for name in ["fetch", PERFORM] {
        assert!(spans.iter().any(|span| span.name == name), "{name}");
    }
}

#[tokio::test]
async fn without_the_feature_only_the_host_makes_a_span() {
    let collector = Collector::start().await;
    let app = App::builder()
        .patient()
        .exporting_to(&collector.url())
        .start()
        .await;
    in_trace(app.perform("user_id=7"), &trace(1)).await;
    let ended = |spans: &[Span]| spans.iter().any(|span| span.is_server);
    let spans = collector.trace(&trace(1), ended).await;
    assert!(!spans.iter().any(is_component_s), "{spans:#?}");
}
