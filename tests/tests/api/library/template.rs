//! `templates/edgelatch`, rendered and built by `cargo xtask test`.

use edgelatch_tests::{App, AppBuilder, Origin, Reply, root};

/// The service of this name.
fn service(name: &str) -> AppBuilder {
    let manifest = root().join("target/template").join(name).join("spin.toml");
    App::builder().manifest(&manifest)
}

#[tokio::test]
async fn a_service_from_the_template_runs_its_own_action() {
    let app = service("WithoutOrigin").start().await;
    let answer = app.perform("user_id=42").json(r#"{"name": "Ada"}"#).await;
    let token = answer.assert_success().number("fencing-token");
    let result = &answer.json()["result"];
    assert_eq!(result["greeting"], "Hello, Ada!");
    assert_eq!(result["fencing_token"], token);
    let refused = app.perform("user_id=42").json("{}").await;
    refused.assert_problem(400, "malformed-json");
}

#[tokio::test]
async fn a_service_without_an_origin_knows_no_users() {
    let app = service("WithoutOrigin").start().await;
    app.get("/api/v1/users/42")
        .await
        .assert_problem(404, "no-origin");
}

#[tokio::test]
async fn a_service_with_an_origin_lets_it_do_the_work() {
    let origin = Origin::start(Reply::json(r#"{"name": "Ada"}"#)).await;
    let app = service("with-origin").origin(&origin).start().await;
    let answer = app.perform("user_id=42").json(r#"{"name": "Ada"}"#).await;
    assert_eq!(answer.assert_success().json()["result"]["name"], "Ada");
    let refused = app.perform("user_id=42").json(r#"{"name": ""}"#).await;
    refused.assert_problem(400, "malformed-json");
    let user = app.get("/api/v1/users/42").await;
    assert_eq!(user.assert_success().json()["name"], "Ada");
}
