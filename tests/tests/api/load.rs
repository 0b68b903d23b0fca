//! More than the service can do at once: everything is answered in time, and nothing is lost.

use std::collections::BTreeMap;
use std::future::IntoFuture;
use std::time::Duration;

use edgelatch_tests::{Answer, App, Pace};
use futures::future::join_all;

/// What an answer may take beyond its own limit while so many want one.
const CROWD: Duration = Duration::from_secs(3);

fn count(answers: &[Answer]) -> BTreeMap<u16, usize> {
    let mut counts = BTreeMap::new();
    for answer in answers {
        *counts.entry(answer.status).or_default() += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_more_clients_than_connections_all_are_answered_in_time_and_no_success_is_lost() {
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
    // What has the connections gives them back in time: idle instances end.
    edgelatch_tests::until("all are served again", || async {
        let calls = (0..16).map(|user| app.attempt(&format!("user_id={user}")));
        let answers = join_all(calls.map(IntoFuture::into_future)).await;
        answers
            .iter()
            .all(|answer| answer.text() == r#"{"status":"success"}"#)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_waiters_on_one_lock_are_all_told_in_time_that_it_is_held() {
    let app = App::start().await;
    let held = app.post("/api/v1/users/7/lock?expire=120").await;
    assert_eq!(held.status, 201);
    let before = app.resident_bytes();
    let pace = Pace::watch(&app);
    let calls = (0..1000).map(|_| app.perform("user_id=7&timeout=2"));
    let answers = join_all(calls.map(IntoFuture::into_future)).await;
    let slowest = pace.slowest().await;
    for answer in &answers {
        answer.assert_problem(423, "lock-held");
        assert!(
            answer.took < Duration::from_secs(2) + slowest + CROWD,
            "{:?}",
            answer.took
        );
    }
    // Under 300 KiB a waiter: 16 share an instance.
    let grown = app.resident_bytes().saturating_sub(before);
    assert!(grown < 1000 * (300 << 10), "{grown} bytes");
    let state = app.get("/api/v1/users/7/lock").await;
    assert_eq!(state.json()["held"], true);
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
