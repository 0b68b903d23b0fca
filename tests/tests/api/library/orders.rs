//! `examples/orders`.

use edgelatch_tests::{Answer, App};
use serde_json::json;

use super::start;

async fn orders() -> App {
    start("examples/orders").await
}

async fn order(app: &App, order: &str) -> Answer {
    app.perform("user_id=42").json(order).await
}

#[tokio::test]
async fn an_order_is_charged_and_answered_with_a_receipt() {
    let app = orders().await;
    let answer = order(&app, r#"{"order": "a-1", "cents": 250}"#).await;
    let token = answer.assert_success().number("fencing-token");
    let receipt = json!({
        "order": "a-1", "cents": 250, "total_cents": 250, "fencing_token": token,
    });
    assert_eq!(
        answer.json(),
        json!({"status": "success", "result": receipt})
    );

    let last = app.get("/api/v1/users/42/cache/last-action").await;
    assert_eq!(last.json()["result"], receipt);
}

#[tokio::test]
async fn an_order_that_is_sent_twice_is_charged_once() {
    let app = orders().await;
    for _ in 0..2 {
        let answer = order(&app, r#"{"order": "a-1", "cents": 250}"#).await;
        assert_eq!(answer.json()["result"]["total_cents"], 250);
    }
    let answer = order(&app, r#"{"order": "a-2", "cents": 50}"#).await;
    assert_eq!(answer.json()["result"]["total_cents"], 300);
}

#[tokio::test]
async fn orders_at_the_same_time_are_charged_one_by_one() {
    let app = orders().await;
    let charges = (0..20).map(|n| {
        let body = format!(r#"{{"order": "n-{n}", "cents": 1}}"#);
        app.perform("user_id=42&timeout=30").json(&body).spawn()
    });
    let mut receipts = Vec::new();
    for charge in charges.collect::<Vec<_>>() {
        let answer = charge.await.unwrap();
        let receipt = answer.assert_success().json()["result"].clone();
        let field = |name: &str| receipt[name].as_i64().unwrap();
        receipts.push((field("fencing_token"), field("total_cents")));
    }
    receipts.sort_unstable();
    let totals = receipts.into_iter().map(|(_, total)| total);
    assert!(totals.eq(1..=20), "the totals grow with the tokens");
}

/// The ledger saw a later holder's token: this one was paused beyond the expiry of its lock.
#[tokio::test]
async fn a_holder_that_lost_the_lock_charges_nothing() {
    let app = orders().await;
    let answer = order(&app, r#"{"order": "a-1", "cents": 250}"#).await;
    let later = answer.number("fencing-token") + 3_600_000_000;
    let raise = ["HSET", "ledger:42", "fencing_token", &later.to_string()];
    app.redis.run::<i64>(&raise).await;

    let answer = order(&app, r#"{"order": "a-2", "cents": 50}"#).await;
    answer.assert_problem(409, "late-order");
    assert!(
        answer.json()["detail"]
            .to_string()
            .contains(&later.to_string())
    );
    let total: i64 = app.redis.run(&["HGET", "ledger:42", "total_cents"]).await;
    assert_eq!(total, 250);
    assert!(!app.redis.exists("user:42:lock").await);
}

#[tokio::test]
async fn a_body_that_is_no_order_is_refused() {
    let app = orders().await;
    for body in ["7", "{}", r#"{"order": "a-1", "cents": -1}"#] {
        let answer = order(&app, body).await;
        answer.assert_problem(400, "malformed-json");
    }
    let answer = app.perform("user_id=42").await;
    answer.assert_problem(400, "malformed-json");
    assert!(!app.redis.exists("ledger:42").await);
}

/// The action's calls are on the account of its request.
#[tokio::test]
async fn the_charge_is_counted_as_time_in_redis() {
    let app = orders().await;
    let answer = order(&app, r#"{"order": "a-1", "cents": 250}"#).await;
    let redis = answer.timing("redis");
    assert!(redis >= answer.timing("action"), "{:?}", answer.headers);
}

#[tokio::test]
async fn the_other_routes_of_the_api_are_there() {
    let app = orders().await;
    app.get("/healthz")
        .await
        .assert_body(200, r#"{"status":"ok"}"#);
    app.post("/api/v1/users/42/lock").await.assert_success();
    app.attempt("user_id=42")
        .json(r#"{"order": "a-1", "cents": 250}"#)
        .await
        .assert_body(
            200,
            r#"{"status":"failed","detail":"Could not acquire lock"}"#,
        );
}
