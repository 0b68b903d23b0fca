//! The first success is replayed.

use edgelatch_tests::{Answer, App, Reply};

use super::{ACTIONS, call, call_with, start};

/// Asserts that `answer` is `first` over again, and says so.
#[track_caller]
fn assert_replay_of(first: &Answer, answer: &Answer) {
    assert_eq!(first.header("idempotent-replayed"), None);
    assert_eq!(answer.header("idempotent-replayed"), Some("true"));
    assert_eq!((answer.status, &answer.body), (first.status, &first.body));
    for name in ["fencing-token", "content-type"] {
        assert!(answer.header(name).is_some(), "{name}");
        assert_eq!(answer.header(name), first.header(name), "{name}");
    }
    assert_ne!(answer.header("x-request-id"), first.header("x-request-id"));
}

#[tokio::test]
async fn the_first_success_is_replayed() {
    let (app, origin) = start().await;
    for (index, action) in ACTIONS.into_iter().enumerate() {
        let first = call(&app, action, "k").json(r#"{"n":1}"#).await;
        first.assert_body(200, r#"{"status":"success","result":{"receipt": 1.10}}"#);
        origin.reply_with(Reply::json("\"another\""));
        for _ in 0..2 {
            let again = call(&app, action, "k").json(r#"{"n":1}"#).await;
            assert_replay_of(&first, &again);
        }
        assert_eq!(origin.seen().len(), index + 1);
        // Nothing was done, so the last action is still the first one.
        let last = app.get("/api/v1/users/42/cache/last-action").await.json();
        assert_eq!(last["fencing_token"], first.number("fencing-token"));
        origin.reply_with(Reply::json(r#"{"receipt": 1.10}"#));
    }
}

#[tokio::test]
async fn without_an_origin_it_is_the_same() {
    let app = App::patient().await;
    for action in ACTIONS {
        let first = call(&app, action, "k").await;
        first.assert_body(200, r#"{"status":"success"}"#);
        assert_replay_of(&first, &call(&app, action, "k").await);
        // Another run of the action would have counted on.
        let next = call(&app, action, "another").await;
        assert_eq!(next.header("idempotent-replayed"), None);
        assert!(next.number("fencing-token") > first.number("fencing-token"));
    }
}

#[tokio::test]
async fn it_is_replayed_while_someone_else_holds_the_lock() {
    let (app, origin) = start().await;
    let firsts = [
        call(&app, ACTIONS[0], "k").await,
        call(&app, ACTIONS[1], "k").await,
    ];
    let lock = ["SET", "user:42:lock", "somebody", "PX", "60000"];
    app.redis.run::<String>(&lock).await;
    for (action, first) in ACTIONS.into_iter().zip(&firsts) {
        assert_replay_of(first, &call(&app, action, "k").await);
    }
    assert_eq!(origin.seen().len(), 2);
    // The holder is none the worse for it.
    let holder = app.redis.get("user:42:lock").await;
    assert_eq!(holder.as_deref(), Some("somebody"));
}

#[tokio::test]
async fn a_request_without_a_key_runs_every_time() {
    let (app, origin) = start().await;
    for action in ACTIONS {
        for _ in 0..2 {
            let path = format!("/api/v1/users/{action}?user_id=42");
            let answer = app.post(&path).await;
            assert_eq!(answer.status, 200);
            assert_eq!(answer.header("idempotent-replayed"), None);
        }
    }
    assert_eq!(origin.seen().len(), 4);
}

#[tokio::test]
async fn it_is_kept_for_that_user_and_path_and_key() {
    let (app, origin) = start().await;
    for action in ACTIONS {
        for user in ["42", "7", "-42"] {
            for key in ["k", "K", "k2"] {
                let query = format!("user_id={user}");
                let answer = call_with(&app, action, &query, key).await;
                assert_eq!(answer.status, 200);
                assert_eq!(answer.header("idempotent-replayed"), None);
            }
        }
    }
    assert_eq!(origin.seen().len(), 18);
}

#[tokio::test]
async fn the_slash_at_the_end_does_not_count() {
    let (app, origin) = start().await;
    for action in ACTIONS {
        let first = call(&app, action, "k").await;
        let again = call(&app, &format!("{action}/"), "k").await;
        assert_replay_of(&first, &again);
    }
    assert_eq!(origin.seen().len(), 2);
}

#[tokio::test]
async fn timeout_and_spelled_out_defaults_do_not_count() {
    let (app, origin) = start().await;
    let first = call(&app, "perform-action", "k").await;
    for more in [
        "timeout=0",
        "timeout=5",
        "timeout=60",
        "expire=10",
        "expire=10.000",
        "expire=010&timeout=1",
    ] {
        let query = format!("user_id=42&{more}");
        let again = call_with(&app, "perform-action", &query, "k").await;
        assert_replay_of(&first, &again);
    }
    let first = call_with(&app, "attempt-action", "expire=10&user_id=42", "k").await;
    assert_replay_of(&first, &call(&app, "attempt-action", "k").await);
    assert_eq!(origin.seen().len(), 2);
}

#[tokio::test]
async fn the_key_is_passed_on_to_the_origin() {
    let (app, origin) = start().await;
    let longest = "k".repeat(255);
    let visible: String = ('!'..='~').collect();
    for action in ACTIONS {
        for key in ["k", &longest, &visible] {
            assert_eq!(call(&app, action, key).await.status, 200);
            let seen = origin.seen();
            let last = seen.last().unwrap();
            assert_eq!(last.header("idempotency-key"), Some(key));
            assert!(last.path.ends_with(action));
        }
    }
}
