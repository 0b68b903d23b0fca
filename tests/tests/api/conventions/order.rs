//! What is checked first: 401, then 404 and 405, then 422, then 413, 415 and 400.

use edgelatch_tests::{App, Call};

const TOKEN: &str = "open-sesame-for-all";

/// A request that begins with every fault there is; they are put right one after the other.
struct Faulty {
    path: &'static str,
    method: &'static str,
    query: &'static str,
    token: &'static str,
    body: &'static str,
    content_type: &'static str,
}

impl Faulty {
    fn call(&self, app: &App) -> Call {
        let path = format!("{}?{}", self.path, self.query);
        app.call(self.method, &path)
            .header("authorization", self.token)
            .header("content-type", self.content_type)
            .header("idempotency-key", "not visible")
            .body(self.body)
    }
}

#[tokio::test]
async fn the_first_fault_in_the_contracts_order_is_told() {
    let app = App::builder()
        .var("api_token", TOKEN)
        .var("max_body_bytes", "8")
        .start()
        .await;
    let mut faulty = Faulty {
        path: "/api/v1/users/nothing-here/at-all",
        method: "PATCH",
        query: "user_id=x",
        token: "Bearer wrong",
        body: "not json, and too long",
        content_type: "text/plain",
    };
    let answer = faulty.call(&app).await;
    answer.assert_problem(401, "unauthorized");
    faulty.token = "Bearer open-sesame-for-all";
    let answer = faulty.call(&app).await;
    answer.assert_problem(404, "not-found");
    faulty.path = "/api/v1/users/perform-action";
    let answer = faulty.call(&app).await;
    answer.assert_problem(405, "method-not-allowed");
    faulty.method = "POST";
    let answer = faulty.call(&app).await;
    answer.assert_problem(422, "invalid-request");
    faulty.query = "user_id=7";
    let answer = faulty.call(&app).await;
    answer.assert_problem(413, "body-too-large");
    faulty.body = "not json";
    let answer = faulty.call(&app).await;
    answer.assert_problem(415, "unsupported-media-type");
    faulty.content_type = "application/json";
    let answer = faulty.call(&app).await;
    answer.assert_problem(400, "malformed-json");
    faulty.body = "{}";
    let answer = faulty.call(&app).await;
    answer.assert_problem(400, "idempotency-key-invalid");
}

#[tokio::test]
async fn a_wrong_token_comes_before_a_wrong_verb() {
    let app = App::builder().var("api_token", TOKEN).start().await;
    let path = "/api/v1/users/perform-action?user_id=7";
    for method in ["GET", "PATCH", "OPTIONS"] {
        let answer = app.call(method, path).await;
        answer.assert_problem(401, "unauthorized");
    }
}

#[tokio::test]
async fn a_fault_of_the_request_comes_before_a_fault_of_redis() {
    let mut app = App::start().await;
    app.redis.kill();
    app.perform("user_id=x")
        .await
        .assert_problem(422, "invalid-request");
    let answer = app.perform("user_id=7").json("{").await;
    answer.assert_problem(400, "malformed-json");
    app.perform("user_id=7")
        .await
        .assert_problem(503, "redis-unavailable");
}

#[tokio::test]
async fn a_fault_of_the_request_comes_before_a_held_lock() {
    let app = App::start().await;
    app.post("/api/v1/users/7/lock").await;
    let answer = app.perform("user_id=7&timeout=0").json("{").await;
    answer.assert_problem(400, "malformed-json");
}
