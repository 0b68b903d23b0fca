//! `GET ...?wait=30&after=N`: the answer comes when the lock is free or has another holder.

use std::time::{Duration, Instant};

use edgelatch_tests::{App, until};

use super::{OTHER_TOKEN, PLACES, TOKEN};

const FREE: &str = r#"{"held":false,"waiting":0}"#;

#[tokio::test]
async fn a_watcher_is_answered_when_the_lock_is_free() {
    let app = App::patient().await;
    for place in PLACES {
        app.get(&format!("{}?wait=60", place.path))
            .await
            .assert_body(200, FREE);
        let lease = place.acquire(&app).await;
        let watcher = app.get(&format!("{}?wait=60", place.path)).spawn();
        let same = format!("{}?wait=60&after={}", place.path, lease.fencing_token);
        let after = app.get(&same).spawn();
        // A renewal is no change.
        until("it is looked at", async || {
            app.redis.calls("evalsha").await > 6
        })
        .await;
        app.put(&format!("{}?expire=60", place.path))
            .header("lock-token", &lease.token)
            .await
            .assert_success();
        assert!(!watcher.is_finished() && !after.is_finished());
        let began = Instant::now();
        app.delete(place.path)
            .header("lock-token", &lease.token)
            .await
            .assert_body(204, "");
        for watcher in [watcher, after] {
            let answer = watcher.await.unwrap();
            answer.assert_body(200, FREE);
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            assert!(answer.timing("wait") > 0.0);
        }
        assert!(began.elapsed() < Duration::from_secs(5));
        app.redis.run::<()>(&["CONFIG", "RESETSTAT"]).await;
    }
}

#[tokio::test]
async fn another_holder_is_a_change_to_who_says_after() {
    let app = App::patient().await;
    for place in PLACES {
        let first = place.acquire(&app).await;
        let number = first.fencing_token;
        // It has changed before the question.
        for other in [0, number - 1, number + 1, i64::MAX] {
            let path = format!("{}?wait=60&after={other}", place.path);
            assert_eq!(app.get(&path).await.json()["fencing_token"], number);
        }
        let waiter = app.post(&format!("{}?timeout=60&expire=60", place.path));
        let waiter = waiter
            .header("lock-owner", "the next")
            .header("lock-token", OTHER_TOKEN);
        let waiter = waiter.spawn();
        place.until_queued(&app, 1).await;
        let changed = app
            .get(&format!("{}?wait=60&after={number}", place.path))
            .spawn();
        let free = app.get(&format!("{}?wait=60", place.path)).spawn();
        app.delete(place.path)
            .header("lock-token", &first.token)
            .await;
        let seen = changed.await.unwrap().json();
        let next = waiter.await.unwrap().json();
        assert_eq!(seen["fencing_token"], next["fencing_token"]);
        assert_eq!(seen["owner"], "the next");
        // To who says nothing, one holder is as good as another.
        assert!(!free.is_finished());
        app.delete(place.path)
            .header("lock-token", OTHER_TOKEN)
            .await;
        free.await.unwrap().assert_body(200, FREE);
        // A stranger is another one.
        let held = place.acquire(&app).await.fencing_token;
        let watcher = app
            .get(&format!("{}?wait=60&after={held}", place.path))
            .spawn();
        app.redis.run::<()>(&["SET", place.key, "locked"]).await;
        let seen = watcher.await.unwrap().json();
        assert!(
            seen["held"] == true && seen["fencing_token"].is_null(),
            "{seen}"
        );
        app.redis.run::<()>(&["DEL", place.key]).await;
    }
}

#[tokio::test]
async fn a_watcher_is_answered_after_its_wait() {
    let app = App::patient().await;
    let place = PLACES[0];
    let lease = place.acquire(&app).await;
    for query in [
        "wait=0.4".to_owned(),
        format!("wait=0.4&after={}", lease.fencing_token),
    ] {
        let answer = app.get(&format!("{}?{query}", place.path)).await;
        assert_eq!(answer.json()["fencing_token"], lease.fencing_token);
        assert!(
            answer.took >= Duration::from_millis(400),
            "{:?}",
            answer.took
        );
        assert!(answer.timing("wait") >= 400.0);
    }
    for now in ["wait=0", "wait=0.000"] {
        let answer = app.get(&format!("{}?{now}", place.path)).await;
        assert_eq!(answer.json()["held"], true);
    }
    let head = app.call("HEAD", &format!("{}?wait=0.4", place.path)).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert!(head.took >= Duration::from_millis(400));
}

#[tokio::test]
async fn what_is_malformed_is_422() {
    let app = App::patient().await;
    for (query, faults) in [
        ("after=7", &["query.after"][..]),
        ("after=x", &["query.after", "query.after"]),
        ("wait=60.001", &["query.wait"]),
        ("wait=-1", &["query.wait"]),
        ("wait=", &["query.wait"]),
        ("wait=1&wait=1", &["query.wait"]),
        ("wait=1&after=-1", &["query.after"]),
        ("wait=1&after=+1", &["query.after"]),
        ("wait=1&after=%2B1", &["query.after"]),
        ("wait=1&after=07", &["query.after"]),
        ("wait=1&after=1.0", &["query.after"]),
        ("wait=1&after=9223372036854775808", &["query.after"]),
        ("wait=1&after=null", &["query.after"]),
        (
            "wait=61&after=x&force=true",
            &["query.wait", "query.after", "query.force"],
        ),
    ] {
        for place in PLACES {
            let answer = app.get(&format!("{}?{query}", place.path)).await;
            assert_eq!(answer.faults(), faults, "{query}");
        }
    }
    for method in ["POST", "PUT", "DELETE"] {
        let call = app.call(method, &format!("{}?wait=1", PLACES[0].path));
        let answer = call.header("lock-token", TOKEN).await;
        assert_eq!(answer.faults(), ["query.wait"], "{method}");
    }
}

#[tokio::test]
async fn a_watcher_sends_under_five_commands_a_second_and_blocks_no_connection() {
    let app = App::patient().await;
    let place = PLACES[0];
    let lease = place.acquire(&app).await;
    let mut monitor = app.redis.monitor().await;
    let watchers: Vec<_> = (0..20)
        .map(|_| app.get(&format!("{}?wait=3", place.path)).spawn())
        .collect();
    until("all watch", async || app.redis.calls("evalsha").await >= 40).await;
    // None has a connection of its own on which it blocks.
    let list: String = app.redis.run(&["CLIENT", "LIST"]).await;
    assert!(!list.contains("cmd=blpop"), "{list}");
    // Who waits for the lock is not held up, and who watches is not in the queue.
    let state = app.get(place.path).await.json();
    assert_eq!(state["waiting"], 0);
    let mut took = Vec::new();
    for watcher in watchers {
        took.push(watcher.await.unwrap().took);
    }
    let commands = monitor.commands().await.len();
    let watched: Duration = took.iter().sum();
    assert!(
        (commands as f64) < 5.0 * watched.as_secs_f64(),
        "{commands} in {watched:?}"
    );
    let waiter = app.post(&format!("{}?timeout=30", place.path)).spawn();
    place.until_queued(&app, 1).await;
    let watcher = app.get(&format!(
        "{}?wait=30&after={}",
        place.path, lease.fencing_token
    ));
    let watcher = watcher.spawn();
    let release = app.delete(place.path).header("lock-token", &lease.token);
    release.await.assert_body(204, "");
    waiter.await.unwrap().assert_success();
    watcher.await.unwrap().assert_success();
}

#[tokio::test]
async fn a_watcher_is_told_that_redis_went_away() {
    let mut app = App::start().await;
    let place = PLACES[0];
    place.acquire(&app).await;
    let watcher = app.get(&format!("{}?wait=60", place.path)).spawn();
    until("it watches", async || app.redis.calls("evalsha").await >= 3).await;
    app.redis.kill();
    let answer = watcher.await.unwrap();
    answer.assert_problem(503, "redis-unavailable");
    assert_eq!(answer.header("retry-after"), Some("1"));
}
