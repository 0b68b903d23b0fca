//! A lock that is lost while the action runs: 409, and nothing of anybody's is touched.

use std::time::{Duration, Instant};

use edgelatch_tests::{Answer, App, Origin, Pace, Reply, until};
use tokio::task::JoinHandle;

const LOCK: &str = "user:1:lock";
const LAST_ACTION: &str = "{user:1:lock}:cache:last-action";

/// An action of user 1 that is under way, after an earlier one that has left its `last-action`.
struct UnderWay {
    app: App,
    origin: Origin,
    earlier: String,
    action: JoinHandle<Answer>,
}

impl UnderWay {
    /// One that has a result once it is let go.
    async fn begin(query: &str) -> Self {
        Self::begin_with(query, Reply::json(r#""late""#)).await
    }

    async fn begin_with(query: &str, reply: Reply) -> Self {
        let origin = Origin::start(Reply::json(r#""earlier""#)).await;
        let app = App::builder().origin(&origin).start().await;
        assert_eq!(app.perform("user_id=1").await.status, 200);
        let earlier = app.redis.get(LAST_ACTION).await.unwrap();
        origin.reply_with(reply.gated());
        let action = app.perform(&format!("user_id=1{query}")).spawn();
        origin.until_seen(2).await;
        Self {
            app,
            origin,
            earlier,
            action,
        }
    }

    /// Its lock expires.
    async fn expire(&self) {
        self.app.redis.run::<i64>(&["PEXPIRE", LOCK, "1"]).await;
        until("it has expired", || async {
            !self.app.redis.exists(LOCK).await
        })
        .await;
    }

    /// Another takes the lock.
    async fn take(&self) {
        let take = ["SET", LOCK, "another", "NX", "PX", "30000"];
        let taken: Option<String> = self.app.redis.run(&take).await;
        assert_eq!(taken.as_deref(), Some("OK"));
    }

    /// Lets the action end, and asserts that it has lost.
    async fn end(self) -> App {
        self.origin.release_one();
        self.lose().await
    }

    /// Asserts that the action is told that it has lost, and that it has written nothing.
    async fn lose(self) -> App {
        self.action.await.unwrap().assert_problem(409, "lock-lost");
        assert_eq!(self.app.redis.get(LAST_ACTION).await, Some(self.earlier));
        self.app
    }
}

#[tokio::test]
async fn a_commit_after_another_acquired_is_409() {
    let lost = UnderWay::begin("&expire=30").await;
    lost.expire().await;
    lost.take().await;
    let app = lost.end().await;
    assert_eq!(app.redis.get(LOCK).await.as_deref(), Some("another"));
    let left: i64 = app.redis.run(&["PTTL", LOCK]).await;
    assert!((1..=30_000).contains(&left), "{left} ms");
}

#[tokio::test]
async fn a_lock_that_expired_and_was_not_taken_is_409_too() {
    let lost = UnderWay::begin("&expire=30").await;
    lost.expire().await;
    let app = lost.end().await;
    assert!(!app.redis.exists(LOCK).await);
}

#[tokio::test]
async fn a_lock_that_was_deleted_is_409() {
    let lost = UnderWay::begin("&expire=30").await;
    lost.app.redis.run::<i64>(&["DEL", LOCK]).await;
    let app = lost.end().await;
    assert!(!app.redis.exists(LOCK).await);
}

#[tokio::test]
async fn a_lock_overwritten_with_another_type_is_409() {
    let lost = UnderWay::begin("&expire=30").await;
    lost.app.redis.run::<i64>(&["DEL", LOCK]).await;
    lost.app.redis.run::<i64>(&["RPUSH", LOCK, "another"]).await;
    let app = lost.end().await;
    let values: Vec<String> = app.redis.run(&["LRANGE", LOCK, "0", "-1"]).await;
    assert_eq!(values, ["another"]);
}

#[tokio::test]
async fn a_failed_action_leaves_another_holders_lock() {
    let fails = Reply::Plain(500, "", "".into());
    let lost = UnderWay::begin_with("&expire=30", fails).await;
    lost.expire().await;
    lost.take().await;
    lost.origin.release_one();
    lost.action
        .await
        .unwrap()
        .assert_problem(502, "origin-failed");
    let redis = &lost.app.redis;
    assert_eq!(redis.get(LOCK).await.as_deref(), Some("another"));
    assert_eq!(redis.get(LAST_ACTION).await, Some(lost.earlier));
}

#[tokio::test]
async fn a_failed_renewal_stops_the_action() {
    let lost = UnderWay::begin("&expire=1.5").await;
    lost.expire().await;
    lost.take().await;
    let (pace, since) = (Pace::watch(&lost.app), Instant::now());
    assert_eq!(lost.origin.seen()[1].ended, None);
    // Never let go: the answer comes when a third of the 1.5 s has passed at the latest.
    let UnderWay {
        app,
        origin,
        action,
        ..
    } = lost;
    action.await.unwrap().assert_problem(409, "lock-lost");
    let most = Duration::from_millis(750) + pace.slowest().await;
    assert!(since.elapsed() <= most, "{:?}", since.elapsed());
    assert_eq!(app.redis.get(LOCK).await.as_deref(), Some("another"));
    until("the origin sees the action's connection close", || async {
        origin.seen()[1].ended.is_some()
    })
    .await;
}

#[tokio::test]
async fn an_unreachable_redis_loses_the_lock_at_its_expiry() {
    let lost = UnderWay::begin("&expire=1.2").await;
    lost.app.redis.pause();
    let UnderWay {
        app,
        action,
        earlier,
        ..
    } = lost;
    // Redis is silent: neither a renewal nor a release is answered, and nothing is let go.
    action.await.unwrap().assert_problem(409, "lock-lost");
    app.redis.resume();
    assert_eq!(app.redis.get(LAST_ACTION).await, Some(earlier));
    until("the lock is free", || async {
        !app.redis.exists(LOCK).await
    })
    .await;
}

#[tokio::test]
async fn an_unanswered_acquisition_is_503_and_released() {
    // The command is sent over a connection that is there: a new one would not be answered.
    let app = App::builder().reusing_instances().start().await;
    assert_eq!(app.perform("user_id=2").await.status, 200);
    app.redis.pause();
    let answer = app.perform("user_id=1&expire=600&timeout=30").await;
    answer.assert_problem(503, "redis-timeout");
    app.redis.resume();
    // It was carried out: there is a fence, and then no lock.
    until("it has been carried out and given back", || async {
        app.redis.exists("{user:1:lock}:fence").await && !app.redis.exists(LOCK).await
    })
    .await;
    assert_eq!(app.attempt("user_id=1").await.json()["status"], "success");
}
