//! `Idempotency-Key` on either action.

mod concurrency;
mod kept;
mod replay;
mod reuse;

use edgelatch_tests::{App, Call, Origin, Reply};

const ACTIONS: [&str; 2] = ["perform-action", "attempt-action"];

/// A call of an action of user 42, with the key `key`.
fn call(app: &App, action: &str, key: &str) -> Call {
    call_with(app, action, "user_id=42", key)
}

/// The same with another query.
fn call_with(app: &App, action: &str, query: &str, key: &str) -> Call {
    app.post(&format!("/api/v1/users/{action}?{query}"))
        .header("idempotency-key", key)
}

/// The service in front of an origin that answers with JSON.
async fn start() -> (App, Origin) {
    let origin = Origin::start(Reply::json(r#"{"receipt": 1.10}"#)).await;
    let app = App::builder().patient().origin(&origin).start().await;
    (app, origin)
}
