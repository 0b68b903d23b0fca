//! What is kept, for how long, and when.

use std::time::Duration;

use bytes::Bytes;
use edgelatch_tests::{App, Origin, Reply, until};

use super::{ACTIONS, call, call_with, start};

/// The keys of what is kept for user 42.
async fn kept(app: &App) -> Vec<String> {
    app.redis.run(&["KEYS", "{user:42:lock}:idem:*"]).await
}

#[tokio::test]
async fn it_is_kept_for_idempotency_expire_which_is_a_day() {
    let (app, _origin) = start().await;
    for action in ACTIONS {
        assert_eq!(call(&app, action, "k").await.status, 200);
    }
    let keys = kept(&app).await;
    assert_eq!(keys.len(), 2);
    for key in keys {
        let left = app.redis.ms_left(&key).await;
        assert!(left <= 86_400_000 && left > 86_380_000, "{left}");
    }
    assert!(app.redis.keys_without_expiry().await.is_empty());
}

#[tokio::test]
async fn after_idempotency_expire_the_action_runs_again() {
    let origin = Origin::start(Reply::nothing()).await;
    let app = App::builder()
        .patient()
        .origin(&origin)
        .var("idempotency_expire", "0.3")
        .start()
        .await;
    for action in ACTIONS {
        let first = call(&app, action, "k").await;
        assert_eq!(first.status, 200);
        // A replay does not prolong it: asking all the time, too, it ends.
        until("it runs again", || async {
            let answer = call(&app, action, "k").await;
            assert_eq!(answer.status, 200);
            answer.header("idempotent-replayed").is_none()
        })
        .await;
    }
    // It may have run any number of times more, but each time anew.
    assert!(origin.seen().len() >= 4);
}

#[tokio::test]
async fn a_lock_that_was_not_had_keeps_nothing() {
    let (app, origin) = start().await;
    let lock = ["SET", "user:42:lock", "somebody", "PX", "60000"];
    app.redis.run::<String>(&lock).await;
    call_with(&app, "perform-action", "user_id=42&timeout=0", "k")
        .await
        .assert_problem(423, "lock-held");
    let failed = call(&app, "attempt-action", "k").await;
    failed.assert_body(
        200,
        r#"{"status":"failed","detail":"Could not acquire lock"}"#,
    );
    assert!(kept(&app).await.is_empty());
    app.redis.run::<i64>(&["DEL", "user:42:lock"]).await;
    for action in ACTIONS {
        let answer = call(&app, action, "k").await;
        assert_eq!(answer.json()["status"], "success");
        assert_eq!(answer.header("idempotent-replayed"), None);
    }
    assert_eq!(origin.seen().len(), 2);
}

#[tokio::test]
async fn a_failure_of_the_origin_keeps_nothing() {
    let origin = Origin::start(Reply::nothing()).await;
    let app = App::builder()
        .patient()
        .origin(&origin)
        .var("origin_timeout", "2")
        .start()
        .await;
    let plain =
        |status, content_type, body| Reply::Plain(status, content_type, Bytes::from_static(body));
    let late = Reply::After(Duration::from_secs(60), Box::new(Reply::nothing()));
    for (reply, status, slug) in [
        (plain(400, "application/json", b"{}"), 502, "origin-failed"),
        (plain(500, "application/json", b"{}"), 502, "origin-failed"),
        (plain(200, "text/html", b"<p>"), 502, "origin-failed"),
        (Reply::redirect(302, "/x"), 502, "origin-failed"),
        (late, 504, "origin-timeout"),
    ] {
        origin.reply_with(reply);
        for action in ACTIONS {
            let key = format!("{action}-{slug}");
            call(&app, action, &key).await.assert_problem(status, slug);
        }
    }
    assert!(kept(&app).await.is_empty());
    // Trying again with the same key is worth it.
    origin.reply_with(Reply::json("1"));
    let before = origin.seen().len();
    for action in ACTIONS {
        for slug in ["origin-failed", "origin-timeout"] {
            let answer = call(&app, action, &format!("{action}-{slug}")).await;
            answer.assert_body(200, r#"{"status":"success","result":1}"#);
            assert_eq!(answer.header("idempotent-replayed"), None);
        }
    }
    assert_eq!(origin.seen().len(), before + 4);
    assert_eq!(kept(&app).await.len(), 4);
}

#[tokio::test]
async fn a_lock_that_is_lost_keeps_nothing() {
    let origin = Origin::start(Reply::Gated(Box::new(Reply::json("1")))).await;
    let app = App::builder().patient().origin(&origin).start().await;
    for (index, action) in ACTIONS.into_iter().enumerate() {
        // With a time to live so long that nothing is renewed: the loss is found at the commit.
        let run = call_with(&app, action, "user_id=42&expire=600", "k").spawn();
        origin.until_seen(2 * index + 1).await;
        let thief = ["SET", "user:42:lock", "somebody", "XX", "PX", "60000"];
        app.redis.run::<String>(&thief).await;
        origin.release_one();
        run.await.unwrap().assert_problem(409, "lock-lost");
        assert_eq!(kept(&app).await.len(), index);
        assert_eq!(
            app.redis.get("user:42:lock").await.as_deref(),
            Some("somebody")
        );
        app.redis.run::<i64>(&["DEL", "user:42:lock"]).await;
        // So the next one with this key runs.
        let run = call_with(&app, action, "user_id=42&expire=600", "k").spawn();
        origin.until_seen(2 * index + 2).await;
        origin.release_one();
        let answer = run.await.unwrap();
        answer.assert_body(200, r#"{"status":"success","result":1}"#);
        assert_eq!(answer.header("idempotent-replayed"), None);
    }
}

#[tokio::test]
async fn it_is_kept_in_the_step_that_gives_the_lock_back() {
    let origin = Origin::start(Reply::Gated(Box::new(Reply::json("1")))).await;
    let app = App::builder().patient().origin(&origin).start().await;
    for (index, action) in ACTIONS.into_iter().enumerate() {
        let run = call_with(&app, action, "user_id=42&expire=600", "k").spawn();
        origin.until_seen(index + 1).await;
        assert!(app.redis.exists("user:42:lock").await);
        assert_eq!(kept(&app).await.len(), index);
        let mut monitor = app.redis.monitor().await;
        origin.release_one();
        assert_eq!(run.await.unwrap().status, 200);
        assert_eq!(kept(&app).await.len(), index + 1);
        assert!(!app.redis.exists("user:42:lock").await);
        // One command named both: what is kept, and the lock.
        let commands = monitor.commands().await;
        let step = commands
            .iter()
            .find(|command| command.contains(":idem:") && !command.starts_with("\"KEYS\""));
        assert!(
            step.is_some_and(|step| step.contains("\"user:42:lock\"")),
            "{commands:?}"
        );
    }
}

#[tokio::test]
async fn a_commit_that_redis_refuses_keeps_nothing() {
    let origin = Origin::start(Reply::Gated(Box::new(Reply::json("1")))).await;
    let app = App::builder().patient().origin(&origin).start().await;
    let memory = async |limit| {
        let set = ["CONFIG", "SET", "maxmemory", limit];
        app.redis.run::<String>(&set).await;
    };
    let perform = || {
        call_with(
            &app,
            "perform-action",
            "user_id=42&timeout=60&expire=600",
            "k",
        )
        .spawn()
    };
    let refused = perform();
    origin.until_seen(1).await;
    memory("1").await;
    origin.release_one();
    refused
        .await
        .unwrap()
        .assert_problem(503, "redis-unavailable");
    memory("0").await;
    assert!(kept(&app).await.is_empty());
    let again = perform();
    origin.until_seen(2).await;
    origin.release_one();
    let again = again.await.unwrap();
    again.assert_body(200, r#"{"status":"success","result":1}"#);
    assert_eq!(again.header("idempotent-replayed"), None);
    assert_eq!(kept(&app).await.len(), 1);
}
