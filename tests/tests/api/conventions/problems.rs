//! Errors: RFC 9457 `application/problem+json`.

use edgelatch_tests::{Answer, App};

/// The names of a problem's members, in the order in which they came.
fn members(answer: &Answer) -> Vec<String> {
    let text = answer.text();
    let mut places: Vec<_> = answer
        .json()
        .as_object()
        .unwrap()
        .keys()
        .map(|name| (text.find(&format!("\"{name}\":")).unwrap(), name.clone()))
        .collect();
    places.sort();
    places.into_iter().map(|(_, name)| name).collect()
}

#[tokio::test]
async fn a_problem_has_its_five_members() {
    let app = App::start().await;
    app.post("/api/v1/users/7/lock").await;
    for (call, status, slug) in [
        (app.get("/nothing?a=b"), 404, "not-found"),
        (app.put("/healthz"), 405, "method-not-allowed"),
        (app.perform("user_id=7&timeout=0"), 423, "lock-held"),
        (app.perform("user_id=7").json("{"), 400, "malformed-json"),
        (app.put("/api/v1/users/7/lock"), 428, "lock-token-required"),
        (app.get("/api/v1/users/7/cache/absent"), 404, "not-found"),
    ] {
        let answer = call.await;
        answer.assert_problem(status, slug);
        let expected = ["type", "title", "status", "detail", "instance"];
        // A held lock has two more.
        let more = ["owner", "waiting"].into_iter();
        let more = more.filter(|_| slug == "lock-held");
        let expected: Vec<_> = expected.into_iter().chain(more).collect();
        assert_eq!(members(&answer), expected, "{slug}");
    }
}

#[tokio::test]
async fn a_422_has_errors_in_the_shape_of_fastapi() {
    let app = App::start().await;
    let answer = app.perform("user_id=x&expire=1").await;
    let expected = ["type", "title", "status", "detail", "instance", "errors"];
    assert_eq!(members(&answer), expected);
    assert_eq!(answer.faults(), ["query.user_id"]);
    let error = &answer.json()["errors"][0];
    assert_eq!(error["loc"], serde_json::json!(["query", "user_id"]));
    assert_eq!(error["type"], "int_parsing");
}

#[tokio::test]
async fn instance_is_the_path_as_it_was_sent() {
    let app = App::start().await;
    for path in [
        "/nothing",
        "/nothing/",
        "/n%C3%B6thing/%22%3C",
        "/api/v1/users/x/cache/a%20b",
    ] {
        let answer = app.get(&format!("{path}?secret=1")).await;
        assert_eq!(answer.json()["instance"], path);
    }
}

#[tokio::test]
async fn a_lock_that_could_not_be_had_has_exactly_this_detail() {
    let app = App::start().await;
    app.post("/api/v1/users/7/lock").await;
    for answer in [
        app.perform("user_id=7&timeout=0").await,
        app.post("/api/v1/users/7/lock").await,
    ] {
        answer.assert_problem(423, "lock-held");
        assert_eq!(answer.json()["detail"], "Could not acquire lock");
    }
}

#[tokio::test]
async fn an_unknown_path_is_a_404_problem() {
    let app = App::start().await;
    for path in [
        "/nothing",
        "/favicon.ico",
        "/api",
        "/api/",
        "/api/v1",
        "/api/v2/users/perform-action",
        "/API/v1/users/perform-action",
        "/api/v1/users",
        "/api/v1/users/7/lock/build",
        "/api/v1/users/7/nothing",
        "/api/v1/users/7/cache/a/b",
        "/healthz/live",
        "/health",
    ] {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"] {
            let answer = app.call(method, path).await;
            answer.assert_problem(404, "not-found");
        }
        assert_eq!(app.call("HEAD", path).await.status, 404);
    }
}
