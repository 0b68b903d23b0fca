//! Failures of the origin are logged with their cause, whether or not requests are.

use edgelatch_tests::{App, AppBuilder, Call, Origin, Reply};

use super::{line, lines};

const TOKEN: &str = "a-token-of-the-callers";

/// What is nobody's business.
const SECRET: &str = "zq-secret";

fn guarded(origin: &Origin) -> AppBuilder {
    App::builder()
        .patient()
        .origin(origin)
        .var("api_token", TOKEN)
}

fn authorized(call: Call) -> Call {
    call.header("authorization", &format!("Bearer {TOKEN}"))
}

/// An action and a read of a user.
fn both(app: &App) -> [Call; 2] {
    [app.perform("user_id=7"), app.get("/api/v1/users/7")]
        .map(|call| authorized(call).passed_through())
}

#[tokio::test]
async fn an_origin_that_refuses_is_logged_with_its_status() {
    let body = format!(r#"{{"{SECRET}":1}}"#);
    for (passthrough, refused, told) in [
        ("false", 404, 502),
        ("false", 503, 502),
        ("true", 500, 500),
        ("true", 503, 503),
    ] {
        let origin = Origin::start(Reply::status(refused, &body)).await;
        let app = guarded(&origin).var("origin_passthrough", passthrough);
        let app = app.start().await;
        for (index, call) in both(&app).into_iter().enumerate() {
            let line = line(&app, call, &format!("asked-{index}")).await;
            assert_eq!(line["status"], told);
            assert_eq!(line["outcome"], "origin-failed");
            let cause = format!("The origin answered with status {refused}");
            assert_eq!(line["cause"], cause);
        }
        assert!(!app.logs().contains(SECRET), "{}", app.logs());
    }
}

#[tokio::test]
async fn an_origin_that_is_too_slow_or_says_nothing_of_use_is_logged() {
    let unusable = format!(r#"{{"{SECRET}": {SECRET}}}"#);
    let unusable = Reply::Plain(200, "application/json", unusable.into());
    for (reply, limit, status, cause) in [
        (unusable, "30", 502, "The origin's answer is not JSON"),
        (
            Reply::nothing().gated(),
            "0.5",
            504,
            "The origin did not answer within 0.5 s",
        ),
    ] {
        let origin = Origin::start(reply).await;
        let app = guarded(&origin).var("origin_timeout", limit).start().await;
        for (index, call) in both(&app).into_iter().enumerate() {
            let line = line(&app, call, &format!("asked-{index}")).await;
            assert_eq!(line["status"], status);
            let said = line["cause"].as_str().unwrap();
            assert!(said.starts_with(cause), "{line}");
        }
        assert!(!app.logs().contains(SECRET), "{}", app.logs());
    }
}

#[tokio::test]
async fn a_refusal_that_is_passed_on_is_no_failure() {
    let origin = Origin::start(Reply::status(404, "{}")).await;
    let app = guarded(&origin).var("origin_passthrough", "true");
    let app = app.start().await;
    for call in both(&app) {
        let call = call.passed_through();
        let answer = call.header("x-request-id", "quiet").await;
        assert_eq!(answer.status, 404);
    }
    // What fails is logged, and comes after them.
    origin.reply_with(Reply::status(500, "{}"));
    authorized(app.perform("user_id=8"))
        .passed_through()
        .header("x-request-id", "loud")
        .await;
    lines(&app, "loud").await;
    assert!(!app.logs().contains("quiet"), "{}", app.logs());
}
