//! Who waits goes on listening after a fault that has passed, and leaves no connection behind.

use std::time::{Duration, Instant};

use edgelatch_tests::{App, until, within};

const PATH: &str = "/api/v1/users/42/lock";

/// What is remembered of a node that lets nobody listen is remembered for 10 s at the least.
const AT_ONCE: Duration = Duration::from_secs(5);

/// Waits until so many clients block.
async fn until_blocked(app: &App, count: u64) {
    until("all listen", async || {
        let info: String = app.redis.run(&["INFO", "clients"]).await;
        info.contains(&format!("blocked_clients:{count}\r"))
    })
    .await;
}

/// A server whose role changes ends each blocking command so.
#[tokio::test]
async fn a_command_that_was_unblocked_is_sent_again() {
    const WAITERS: u64 = 4;
    let app = App::builder().patient().reusing_instances().start().await;
    app.post(&format!("{PATH}?expire=600")).await;
    let path = format!("{PATH}?timeout=60");
    let waiters: Vec<_> = (0..WAITERS).map(|_| app.post(&path).spawn()).collect();
    until_blocked(&app, WAITERS).await;
    let clients: String = app.redis.run(&["CLIENT", "LIST"]).await;
    let blocked = clients.lines().filter(|line| line.contains("cmd=blpop"));
    for client in blocked {
        let id = client.split([' ', '=']).nth(1).unwrap();
        // One that has just ended by itself is not blocked.
        app.redis
            .run::<i64>(&["CLIENT", "UNBLOCK", id, "ERROR"])
            .await;
    }
    within(AT_ONCE, until_blocked(&app, WAITERS)).await;
    drop(waiters);
}

#[tokio::test]
async fn waiters_listen_as_soon_as_a_server_that_was_away_is_back() {
    let mut app = App::builder().patient().reusing_instances().start().await;
    app.post(&format!("{PATH}?expire=600")).await;
    let waiter = app.post(&format!("{PATH}?timeout=60")).spawn();
    until(
        "it listens over a connection that it has used before",
        async || app.redis.calls("blpop").await > 1,
    )
    .await;
    app.redis.kill();
    // It has looked, and has found no server.
    waiter
        .await
        .unwrap()
        .assert_problem(503, "redis-unavailable");
    app.redis.restart().await;
    let lease = app.post(&format!("{PATH}?expire=600")).await;
    assert_eq!(lease.status, 201);
    let waiter = app.post(&format!("{PATH}?timeout=60")).spawn();
    within(AT_ONCE, until_blocked(&app, 1)).await;
    drop(waiter);
}

/// A connection that is kept for the next waiter keeps its instance, too. Where each request has an
/// instance of its own, there is no next one.
#[tokio::test]
async fn an_instance_of_one_request_ends_with_it() {
    let app = App::builder()
        .patient()
        .argument("--max-instance-reuse-count")
        .argument("1")
        .start()
        .await;
    // The machine may be busy with other things at one time, hardly at three.
    let mut least = Duration::MAX;
    for _ in 0..3 {
        least = least.min(time_to_close(&app).await);
    }
    // Idle ones were kept for a second.
    assert!(least < Duration::from_millis(800), "{least:?}");
}

/// How long after the answer to one that waited its connection is closed.
async fn time_to_close(app: &App) -> Duration {
    let lease = app.post(&format!("{PATH}?expire=600")).await;
    let token = lease.json()["token"].as_str().unwrap().to_owned();
    let waiter = app.perform("user_id=42&timeout=60").spawn();
    until_blocked(app, 1).await;
    let release = app.delete(PATH).header("lock-token", &token).await;
    release.assert_body(204, "");
    waiter.await.unwrap().assert_success();
    let answered = Instant::now();
    until("its connections are closed", async || {
        let clients: String = app.redis.run(&["CLIENT", "LIST"]).await;
        !clients.contains("cmd=blpop")
    })
    .await;
    answered.elapsed()
}
