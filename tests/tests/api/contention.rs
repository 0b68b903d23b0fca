//! Many at once: no overlap as seen from outside, an answer for everybody, one connection per
//! instance, two calls per action.

use std::collections::{HashMap, HashSet};

use edgelatch_tests::{App, Call, Origin, Reply, Service};
use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream;
use redis::aio::MultiplexedConnection;

const SUCCESS: &str = r#"{"status":"success"}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_actions_of_one_user_never_overlap() {
    const ACTIONS: usize = 2_000;
    let origin = Origin::start(Reply::nothing()).await;
    let app = App::builder().origin(&origin).start().await;
    let call = |index: usize| {
        let query = format!("user_id={}&timeout=60", index % 4);
        app.perform(&query).spawn()
    };
    let answers = stream::iter(0..ACTIONS).map(call).buffer_unordered(64);
    let answers: Vec<_> = answers.map(Result::unwrap).collect().await;
    let mut answered = HashSet::new();
    for answer in &answers {
        answer.assert_body(200, SUCCESS);
        answered.insert(answer.number("fencing-token"));
    }
    let seen = origin.seen();
    assert_eq!((answers.len(), seen.len()), (ACTIONS, ACTIONS));
    assert_eq!(origin.overlaps(), 0);
    let mut last: HashMap<_, (i64, _)> = HashMap::new();
    for action in &seen {
        let token = action.fencing_token();
        assert!(answered.contains(&token), "{token} was answered to nobody");
        let user = action.header("x-user-id").unwrap();
        if let Some((earlier, ended)) = last.insert(user, (token, action.ended)) {
            assert!(token > earlier, "user {user}: {token} after {earlier}");
            assert!(ended.unwrap() <= action.began, "user {user}: overlap");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_opens_one_connection_per_instance() {
    const BURST: usize = 128;
    let app = App::start().await;
    let mut asking = app.redis.connection().await;
    let before = connections(&mut asking).await;
    let calls: Vec<_> = (0..BURST).map(|user| perform(&app, user).spawn()).collect();
    for answer in join_all(calls).await {
        answer.unwrap().assert_body(200, SUCCESS);
    }
    let opened = connections(&mut asking).await - before;
    assert!((1..=BURST as u64).contains(&opened), "{opened}");
    assert_no_instance_ended(&app);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_requests_share_the_opening_connection() {
    const REQUESTS: usize = 16;
    let app = App::builder().var("redis_timeout", "30");
    let app = app.reusing_instances().start().await;
    let mut asking = app.redis.connection().await;
    let before = connections(&mut asking).await;
    // The greeting of a new connection is not answered: it stays opening until all have come.
    app.redis.pause();
    let mut calls = Vec::new();
    for user in 0..REQUESTS {
        calls.push(perform(&app, user).spawn());
        // Behind it: when this is answered, an instance has taken it.
        assert_eq!(app.get("/healthz").await.status, 200);
    }
    app.redis.resume();
    for answer in join_all(calls).await {
        answer.unwrap().assert_body(200, SUCCESS);
    }
    let opened = connections(&mut asking).await - before;
    assert!((1..=REQUESTS as u64 / 4).contains(&opened), "{opened}");
    assert_no_instance_ended(&app);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_has_one_connection() {
    const REQUESTS: usize = 64;
    let origin = Origin::start(Reply::nothing().gated()).await;
    let app = App::builder().origin(&origin).reusing_instances();
    let app = app.start().await;
    let mut asking = app.redis.connection().await;
    let before = connections(&mut asking).await;
    let mut calls = Vec::new();
    for user in 0..REQUESTS {
        calls.push(perform(&app, user).spawn());
        origin.until_seen(user + 1).await;
    }
    // All are under way at once, sixteen to an instance.
    let opened = connections(&mut asking).await - before;
    assert!((4..=REQUESTS as u64 / 8).contains(&opened), "{opened}");
    for _ in 0..REQUESTS {
        origin.release_one();
    }
    for answer in join_all(calls).await {
        answer.unwrap().assert_body(200, SUCCESS);
    }
}

#[tokio::test]
async fn an_uncontended_action_is_exactly_two_script_calls() {
    const ACTIONS: u64 = 10;
    let origin = Origin::start(Reply::json("{}")).await;
    let app = App::builder().origin(&origin).start().await;
    // Now Redis knows the scripts.
    assert_eq!(app.perform("user_id=1").await.status, 200);
    let before = script_calls(&app).await;
    for user in 0..ACTIONS {
        let query = format!("user_id={user}");
        assert_eq!(app.perform(&query).await.status, 200);
        assert_eq!(app.attempt(&query).await.status, 200);
    }
    let after = script_calls(&app).await;
    assert_eq!(after, (before.0 + 2 * 2 * ACTIONS, before.1));
}

/// Calls of scripts so far: by digest, and by text.
async fn script_calls(app: &App) -> (u64, u64) {
    let by_digest = app.redis.calls("evalsha").await;
    (by_digest, app.redis.calls("eval").await)
}

fn perform(service: &Service, user: usize) -> Call {
    service.perform(&format!("user_id={user}&expire=60"))
}

/// Connections that Redis has accepted so far.
async fn connections(asking: &mut MultiplexedConnection) -> u64 {
    let mut info = redis::cmd("INFO");
    let info: String = info.arg("stats").query_async(asking).await.unwrap();
    let count = info
        .lines()
        .find_map(|line| line.strip_prefix("total_connections_received:"));
    count.unwrap().trim().parse().unwrap()
}

/// A trap would end an instance with all its requests, and be in the log.
fn assert_no_instance_ended(app: &App) {
    let logs = app.logs();
    for word in ["panicked", "trap", "ended with an error", "unreachable"] {
        assert!(!logs.contains(word), "{logs}");
    }
}
