//! The log: a line of JSON for each request, and nothing in it that is nobody's business.

mod bounds;
mod causes;

use edgelatch_tests::{App, AppBuilder, Call, root, until};
use serde_json::{Value, json};

/// A name that is nowhere else in a log.
const NAME: &str = "zq-nightly";

fn logging() -> AppBuilder {
    App::builder().patient().var("log_requests", "true")
}

/// The lines of one request, once there are any.
async fn lines(app: &App, id: &str) -> Vec<Value> {
    let of_id = || {
        let logs = app.logs();
        let lines = logs.lines().filter(|line| line.contains(id));
        let lines = lines.map(|line| serde_json::from_str(line).unwrap());
        lines.collect::<Vec<Value>>()
    };
    until("it is logged", || async { !of_id().is_empty() }).await;
    of_id()
}

/// The one line of a request.
async fn line(app: &App, call: Call, id: &str) -> Value {
    call.header("x-request-id", id).await;
    let mut lines = lines(app, id).await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.remove(0)
}

#[tokio::test]
async fn every_request_has_a_line() {
    let app = logging().start().await;
    app.post(&format!("/api/v1/users/7/locks/{NAME}")).await;
    app.post("/api/v1/users/7/lock?expire=60").await;
    let perform = "/api/v1/users/perform-action";
    let attempt = "/api/v1/users/attempt-action";
    let lock = "/api/v1/users/{user_id}/lock";
    let named = "/api/v1/users/{user_id}/locks/{name}";
    for (index, (method, path, route, status, outcome)) in [
        ("GET", "/healthz", json!("/healthz"), 200, "success"),
        (
            "POST",
            "/api/v1/users/perform-action?user_id=8",
            json!(perform),
            200,
            "success",
        ),
        (
            "POST",
            "/api/v1/users/perform-action/?user_id=7&timeout=0",
            json!(perform),
            423,
            "lock-held",
        ),
        (
            "POST",
            "/api/v1/users/attempt-action?user_id=7",
            json!(attempt),
            200,
            "lock-held",
        ),
        (
            "POST",
            "/api/v1/users/attempt-action",
            json!(attempt),
            422,
            "invalid-request",
        ),
        ("GET", "/api/v1/users/7/lock", json!(lock), 200, "success"),
        (
            "DELETE",
            "/api/v1/users/7/lock",
            json!(lock),
            428,
            "lock-token-required",
        ),
        (
            "HEAD",
            "/api/v1/users/7/locks/zq-nightly",
            json!(named),
            200,
            "success",
        ),
        (
            "PATCH",
            "/api/v1/users/7/lock",
            json!(lock),
            405,
            "method-not-allowed",
        ),
        ("GET", "/no/such/zq-nightly", json!(null), 404, "not-found"),
    ]
    .into_iter()
    .enumerate()
    {
        let line = line(&app, app.call(method, path), &format!("call-{index}")).await;
        let said = [
            &line["method"],
            &line["route"],
            &line["status"],
            &line["outcome"],
        ];
        let expected = [&json!(method), &route, &json!(status), &json!(outcome)];
        assert_eq!(said, expected, "{line}");
        humantime::parse_rfc3339(line["time"].as_str().unwrap()).unwrap();
        assert_eq!(line.get("user"), None);
        assert_eq!(line.get("cause"), None);
    }
    assert!(!app.logs().contains(NAME), "{}", app.logs());
}

#[tokio::test]
async fn the_times_are_those_of_the_answer() {
    let app = logging().start().await;
    app.post("/api/v1/users/7/lock?expire=60").await;
    let call = app.perform("user_id=7&timeout=0.2");
    let answer = call.header("x-request-id", "waited").await;
    let line = &lines(&app, "waited").await[0];
    for (field, part) in [
        ("wait_ms", "wait"),
        ("redis_ms", "redis"),
        ("action_ms", "action"),
    ] {
        assert_eq!(line[field].as_f64(), Some(answer.timing(part)), "{line}");
    }
    assert!(line["wait_ms"].as_f64() >= Some(200.0), "{line}");
    assert!(
        line["total_ms"].as_f64() >= line["wait_ms"].as_f64(),
        "{line}"
    );
}

#[tokio::test]
async fn a_user_is_a_keyed_hash() {
    let app = logging().var("log_key", "a-key-for-tests").start().await;
    let user = async |id: &str, path: &str| {
        let line = line(&app, app.call("POST", path), id).await;
        line["user"].as_str().unwrap().to_owned()
    };
    let in_query = user("id-1", "/api/v1/users/perform-action?user_id=7731773177").await;
    let in_path = user("id-2", "/api/v1/users/7731773177/lock").await;
    let other = user("id-3", "/api/v1/users/8831883188/lock").await;
    assert_eq!(in_query, in_path);
    assert_ne!(in_query, other);
    let hexadecimal = in_query.bytes().all(|byte| byte.is_ascii_hexdigit());
    assert!(hexadecimal && in_query.len() == 16, "{in_query}");
    for id in ["7731773177", "8831883188", "a-key-for-tests"] {
        assert!(!app.logs().contains(id), "{}", app.logs());
    }
    let key = logging().var("log_key", "another-key").start().await;
    let call = key.perform("user_id=7731773177");
    assert_ne!(line(&key, call, "id-4").await["user"], in_query);
}

#[tokio::test]
async fn a_trace_is_named() {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    let app = logging().start().await;
    let traceparent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let call = app.perform("user_id=7").header("traceparent", &traceparent);
    assert_eq!(line(&app, call, "traced").await["trace_id"], TRACE);
    let call = app.perform("user_id=7").header("traceparent", "zq\"zq");
    assert_eq!(line(&app, call, "untraced").await.get("trace_id"), None);
}

#[tokio::test]
async fn a_failure_is_logged_with_its_cause() {
    for log_requests in ["true", "false"] {
        let builder = App::builder().var("log_requests", log_requests);
        let mut app = builder.start().await;
        app.redis.kill();
        let line = line(&app, app.perform("user_id=7"), "failed").await;
        assert_eq!(line["status"], 503);
        assert_eq!(line["outcome"], "redis-unavailable");
        assert!(
            line["cause"].as_str().unwrap().contains("refused"),
            "{line}"
        );
    }
}

/// Every field, in the order in which docs/observability.md explains them.
#[tokio::test]
async fn a_line_has_the_documented_fields() {
    let page = std::fs::read_to_string(root().join("docs/observability.md")).unwrap();
    let table = page.split("| field |").nth(1).unwrap();
    let table = table.split("\n\n").next().unwrap();
    let rows = table.lines().filter_map(|row| row.strip_prefix("| `"));
    let documented: Vec<_> = rows.map(|row| row.split('`').next().unwrap()).collect();
    let builder = App::builder().var("log_requests", "true");
    let mut app = builder.var("log_key", "a-key").start().await;
    app.redis.kill();
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let call = app.perform("user_id=7").header("traceparent", traceparent);
    let fields = line(&app, call, "documented").await;
    assert_eq!(fields.as_object().unwrap().len(), documented.len());
    let logs = app.logs();
    let written = logs.lines().find(|line| line.contains("documented"));
    let mut rest = written.unwrap();
    for field in documented {
        let (_, after) = rest.split_once(&format!("\"{field}\":")).unwrap();
        rest = after;
    }
}

#[tokio::test]
async fn without_log_requests_only_failures_are_logged() {
    let mut app = App::patient().await;
    app.perform("user_id=7")
        .header("x-request-id", "quiet")
        .await;
    app.get("/no/such").header("x-request-id", "quiet").await;
    // What fails is logged, and comes after them.
    app.redis.kill();
    app.perform("user_id=7")
        .header("x-request-id", "loud")
        .await;
    lines(&app, "loud").await;
    assert!(!app.logs().contains("quiet"), "{}", app.logs());
}

#[tokio::test]
async fn a_line_is_bounded_and_has_the_user_of_an_encoded_path() {
    let app = logging().var("log_key", "a-key-for-tests").start().await;
    let method = "M".repeat(60_000);
    let long = line(&app, app.call(&method, "/api/v1/users/7/lock"), "long").await;
    assert_eq!(long["method"].as_str().map(str::len), Some(32));
    let plain = line(&app, app.get("/api/v1/users/7/lock"), "plain").await;
    let encoded = line(&app, app.get("/api/v1/users/%37/lock"), "encoded").await;
    assert!(plain["user"].is_string(), "{plain}");
    assert_eq!(plain["user"], encoded["user"]);
}
