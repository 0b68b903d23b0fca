//! More than the service can do at once: everything is answered in time, and nothing is lost.

use std::collections::BTreeMap;
use std::future::IntoFuture;
use std::time::Duration;

use edgelatch_tests::{Answer, App, Pace};
use futures::future::join_all;

/// What an answer may take beyond its own limit while so many want one.
const CROWD: Duration = Duration::from_secs(3);

const WAITERS: u64 = 500;

/// Between two of a thousand who come to wait: Spin makes instances for those who come at once, and
/// has room for a thousand.
const APART: Duration = Duration::from_millis(3);

fn count(answers: &[Answer]) -> BTreeMap<u16, usize> {
    let mut counts = BTreeMap::new();
    for answer in answers {
        *counts.entry(answer.status).or_default() += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_clients_than_redis_connections() {
    let app = App::builder()
        .runtime_config("[outbound_redis]\nmax_connections = 2\n")
        .start()
        .await;
    let calls = (0..128).map(|user| app.perform(&format!("user_id={user}&timeout=0&expire=1")));
    let answers = join_all(calls.map(IntoFuture::into_future)).await;
    let mut successes = 0;
    for (user, answer) in answers.iter().enumerate() {
        assert!(
            answer.took < Duration::from_millis(1500) + CROWD,
            "{answer:?}"
        );
        if answer.status == 200 {
            successes += 1;
            let key = format!("{{user:{user}:lock}}:cache:last-action");
            assert!(app.redis.exists(&key).await, "{key}");
        } else {
            answer.assert_problem(503, "redis-timeout");
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
    }
    assert!(successes > 0, "{:?}", count(&answers));
    // Instances that nobody asks end, and give their connections back.
    edgelatch_tests::until("one request after the other is served again", || async {
        for user in 0..16 {
            if app.attempt(&format!("user_id={user}")).await.status != 200 {
                return false;
            }
        }
        true
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_waiters_time_out_on_time() {
    let app = App::start().await;
    let held = app.post("/api/v1/users/7/lock?expire=120").await;
    assert_eq!(held.status, 201);
    let pace = Pace::watch(&app);
    let calls = (0..WAITERS).map(|_| app.perform("user_id=7&timeout=2"));
    let answers = join_all(calls.map(IntoFuture::into_future)).await;
    let slowest = pace.slowest().await;
    for answer in &answers {
        // So many polls at once may be more than this machine can answer within `redis_timeout`.
        match answer.status {
            423 => answer.assert_problem(423, "lock-held"),
            _ => answer.assert_problem(503, "redis-timeout"),
        };
        assert!(
            answer.took < Duration::from_secs(2) + slowest + CROWD,
            "{:?}",
            answer.took
        );
    }
    assert!(count(&answers).contains_key(&423), "{:?}", count(&answers));
    let state = app.get("/api/v1/users/7/lock").await;
    assert_eq!(state.json()["held"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_waiters_are_all_served() {
    const THOUSAND: u64 = 1000;
    // With an instance each, Spin's stacks are enough for half of them.
    let app = App::builder().patient().reusing_instances();
    let app = app.start().await;
    let lease = app.post("/api/v1/users/7/lock?expire=120").await.json();
    let before = app.resident_bytes();
    let mut waiters = Vec::new();
    for _ in 0..THOUSAND {
        waiters.push(app.perform("user_id=7&timeout=60").spawn());
        tokio::time::sleep(APART).await;
    }
    edgelatch_tests::until("all of them wait", || async {
        app.redis
            .run::<u64>(&["ZCARD", "{user:7:lock}:queue"])
            .await
            == THOUSAND
    })
    .await;
    let each = app.resident_bytes().saturating_sub(before) / THOUSAND;
    assert!(each < 400 << 10, "{each} bytes for a waiter");
    let token = lease["token"].as_str().unwrap();
    let release = app
        .delete("/api/v1/users/7/lock")
        .header("lock-token", token);
    release.await.assert_body(204, "");
    for waiter in waiters {
        waiter.await.unwrap().assert_success();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_load_for_a_while_fails_no_request() {
    let soaked = edgelatch_tests::soak::soak(Duration::from_secs(5)).await;
    eprintln!("{soaked}");
    for (status, count) in &soaked.statuses {
        assert!(
            [200, 201, 404, 423].contains(status),
            "{count} times {status}"
        );
    }
}
