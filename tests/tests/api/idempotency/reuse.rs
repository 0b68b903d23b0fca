//! Keys that can't be taken.

use edgelatch_tests::Origin;

use super::{ACTIONS, call, call_with, start};

const REUSED: &str = "idempotency-key-reused";

fn count(origin: &Origin) -> usize {
    origin.seen().len()
}

#[tokio::test]
async fn the_same_key_with_another_body_is_422() {
    let (app, origin) = start().await;
    for action in ACTIONS {
        let call = || call(&app, action, "k");
        let first = call().json(r#"{"n":1}"#).await;
        assert_eq!(first.status, 200);
        let before = count(&origin);
        // By bytes: what means the same is another one.
        for other in [r#"{"n":2}"#, r#"{"n": 1}"#, r#"{"n":1} "#, r#"{"n":1.0}"#] {
            call().json(other).await.assert_problem(422, REUSED);
        }
        call().await.assert_problem(422, REUSED);
        // How the body is labelled is not the body.
        let again = call()
            .header("content-type", "application/json; charset=utf-8")
            .body(r#"{"n":1}"#)
            .await;
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
        assert_eq!(again.body, first.body);
        assert_eq!(count(&origin), before);
    }
}

#[tokio::test]
async fn the_same_key_with_a_body_where_there_was_none_is_422() {
    let (app, _origin) = start().await;
    for action in ACTIONS {
        assert_eq!(call(&app, action, "k").await.status, 200);
        call(&app, action, "k")
            .json("null")
            .await
            .assert_problem(422, REUSED);
    }
}

#[tokio::test]
async fn the_same_key_with_another_expire_is_422() {
    let (app, origin) = start().await;
    for action in ACTIONS {
        assert_eq!(call(&app, action, "k").await.status, 200);
        let before = count(&origin);
        for expire in ["9", "11", "10.001"] {
            let query = format!("user_id=42&expire={expire}");
            call_with(&app, action, &query, "k")
                .await
                .assert_problem(422, REUSED);
        }
        assert_eq!(count(&origin), before);
    }
}

#[tokio::test]
async fn it_is_422_while_someone_else_holds_the_lock_too() {
    let (app, _origin) = start().await;
    for action in ACTIONS {
        assert_eq!(call(&app, action, "k").await.status, 200);
    }
    let lock = ["SET", "user:42:lock", "somebody", "PX", "60000"];
    app.redis.run::<String>(&lock).await;
    for action in ACTIONS {
        call(&app, action, "k")
            .json("1")
            .await
            .assert_problem(422, REUSED);
    }
    assert_eq!(
        app.redis.get("user:42:lock").await.as_deref(),
        Some("somebody")
    );
}

#[tokio::test]
async fn a_malformed_key_is_400() {
    let (app, origin) = start().await;
    let longer = "k".repeat(256);
    for action in ACTIONS {
        for bad in ["", &longer, "a b", "a\tb", "k\u{e9}y"] {
            call(&app, action, bad)
                .await
                .assert_problem(400, "idempotency-key-invalid");
        }
        call(&app, action, "k")
            .header("idempotency-key", "k")
            .await
            .assert_problem(400, "idempotency-key-invalid");
        // A fault of the parameters comes first.
        let answer = call_with(&app, action, "user_id=x", "a b").await;
        assert_eq!(answer.faults(), ["query.user_id"]);
    }
    assert_eq!(count(&origin), 0);
    assert_eq!(app.redis.run::<i64>(&["DBSIZE"]).await, 0);
}
