//! Those who wait are served in the order in which they came.

use std::time::{Duration, Instant};

use edgelatch_tests::{Answer, App, Origin, Pace, Proxy, RedisServer, Reply, Service, until};
use tokio::task::JoinHandle;

const LOCK: &str = "user:42:lock";
const QUEUE: &str = "{user:42:lock}:queue";

async fn waiting(redis: &RedisServer) -> u64 {
    redis.run(&["ZCARD", QUEUE]).await
}

async fn until_waiting(redis: &RedisServer, count: u64) {
    until("they wait", || async { waiting(redis).await == count }).await;
}

/// A waiter that has its place in the queue, named by its request id.
async fn queued(service: &Service, redis: &RedisServer, name: u64) -> JoinHandle<Answer> {
    let call = service.perform("user_id=42&timeout=30");
    let waiter = call.header("x-request-id", &name.to_string()).spawn();
    until_waiting(redis, name).await;
    waiter
}

/// The lock, held by a client.
struct Lease(String);

impl Lease {
    async fn of(app: &App) -> Self {
        let lease = app.post("/api/v1/users/42/lock?expire=60").await;
        Self(lease.json()["token"].as_str().unwrap().to_owned())
    }

    async fn give_back(self, app: &App) {
        let release = app.delete("/api/v1/users/42/lock");
        release
            .header("lock-token", &self.0)
            .await
            .assert_body(204, "");
    }
}

#[tokio::test]
async fn first_come_first_served_across_services() {
    let origin = Origin::start(Reply::json("1")).await;
    let app = App::builder().origin(&origin).patient().start().await;
    let other = App::builder().origin(&origin).patient().beside(&app.redis);
    let lease = Lease::of(&app).await;
    let mut waiters = Vec::new();
    for name in 1..=12 {
        let service: &Service = if name % 2 == 0 { &app } else { &other };
        waiters.push(queued(service, &app.redis, name).await);
    }
    lease.give_back(&app).await;
    let mut numbers = Vec::new();
    for waiter in waiters {
        let answer = waiter.await.unwrap();
        answer.assert_body(200, r#"{"status":"success","result":1}"#);
        numbers.push(answer.number("fencing-token"));
    }
    assert!(numbers.is_sorted(), "{numbers:?}");
    let seen = origin.seen();
    let order: Vec<_> = seen
        .iter()
        .map(|seen| seen.header("x-request-id").unwrap())
        .collect();
    let expected: Vec<_> = (1..=12).map(|name| name.to_string()).collect();
    assert_eq!(order, expected);
    assert_eq!(origin.overlaps(), 0);
}

#[tokio::test]
async fn a_newcomer_does_not_overtake_waiters() {
    let origin = Origin::start(Reply::json("1").gated()).await;
    let app = App::builder().origin(&origin).start().await;
    let first = app.perform("user_id=42").spawn();
    origin.until_seen(1).await;
    let second = queued(&app, &app.redis, 1).await;
    // The holder's time is cut short: now it is the second one's turn, whoever looks first.
    let _: i64 = app.redis.run(&["DEL", LOCK]).await;
    app.attempt("user_id=42").await.assert_body(
        200,
        r#"{"status":"failed","detail":"Could not acquire lock"}"#,
    );
    origin.release_one();
    origin.release_one();
    second.await.unwrap().assert_success();
    first.await.unwrap().assert_problem(409, "lock-lost");
}

#[tokio::test]
async fn a_waiter_that_died_costs_the_next_a_second_and_a_half() {
    let app = App::start().await;
    let pace = Pace::watch(&app);
    let mut other = App::builder().beside(&app.redis);
    let lease = Lease::of(&app).await;
    let _dead = queued(&other, &app.redis, 1).await;
    let next = queued(&app, &app.redis, 2).await;
    other.kill();
    lease.give_back(&app).await;
    let began = Instant::now();
    next.await.unwrap().assert_success();
    let took = began.elapsed();
    let most = Duration::from_millis(1700) + pace.slowest().await;
    assert!(took <= most, "{took:?}, more than {most:?}");
    // The signal that nobody has heard.
    assert_eq!(app.redis.keys_without_expiry().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_lost_signal_costs_half_a_second() {
    let app = App::start().await;
    let lease = Lease::of(&app).await;
    let first = queued(&app, &app.redis, 1).await;
    let second = queued(&app, &app.redis, 2).await;
    // Whoever waits is cut off as the lock is given back.
    app.redis.kill_clients().await;
    lease.give_back(&app).await;
    let (first, second) = (first.await.unwrap(), second.await.unwrap());
    first.assert_success();
    second.assert_success();
    assert!(first.number("fencing-token") < second.number("fencing-token"));
}

#[tokio::test]
async fn a_waiter_leaves_the_queue_at_its_timeout() {
    let app = App::start().await;
    app.post("/api/v1/users/42/lock?expire=60").await;
    let short = app.perform("user_id=42&timeout=0.4").spawn();
    until_waiting(&app.redis, 1).await;
    let left = app.redis.ms_left(QUEUE).await;
    assert!((60_000..=90_000).contains(&left), "{left}");
    short.await.unwrap().assert_problem(423, "lock-held");
    assert_eq!(waiting(&app.redis).await, 0);
    app.attempt("user_id=42").await;
    app.perform("user_id=42&timeout=0")
        .await
        .assert_problem(423, "lock-held");
    assert_eq!(waiting(&app.redis).await, 0);
}

#[tokio::test]
async fn a_waiter_leaves_the_queue_when_it_acquires() {
    let app = App::patient().await;
    let _: String = app.redis.run(&["SET", LOCK, "stranger", "PX", "400"]).await;
    let waiter = queued(&app, &app.redis, 1).await;
    let answer = waiter.await.unwrap();
    answer.assert_body(200, r#"{"status":"success"}"#);
    // Else it would have been handed to its own, ended call.
    assert_eq!(waiting(&app.redis).await, 0);
    assert!(!app.redis.exists(LOCK).await);
}

#[tokio::test]
async fn a_silent_foreign_release_is_noticed() {
    let app = App::start().await;
    let set: String = app
        .redis
        .run(&["SET", LOCK, "stranger", "NX", "PX", "60000"])
        .await;
    assert_eq!(set, "OK");
    let waiter = queued(&app, &app.redis, 1).await;
    let _: i64 = app.redis.run(&["DEL", LOCK]).await;
    let began = Instant::now();
    waiter.await.unwrap().assert_success();
    assert!(
        began.elapsed() < Duration::from_millis(300),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn waiting_costs_five_commands_a_second_at_most() {
    let app = App::builder().patient().start().await;
    app.post("/api/v1/users/42/lock?expire=60").await;
    let waiters: Vec<_> = (0..20)
        .map(|_| app.perform("user_id=42&timeout=4").spawn())
        .collect();
    until_waiting(&app.redis, 20).await;
    let count = || async { app.redis.calls("evalsha").await + app.redis.calls("blpop").await };
    let (before, began) = (count().await, Instant::now());
    tokio::time::sleep(Duration::from_secs(2)).await;
    let rate = (count().await - before) as f64 / began.elapsed().as_secs_f64() / 20.0;
    assert!((1.0..=5.0).contains(&rate), "{rate} a second");
    for waiter in waiters {
        waiter.await.unwrap().assert_problem(423, "lock-held");
    }
}

#[tokio::test]
async fn where_redis_lets_nobody_block_they_look() {
    let redis = RedisServer::refusing("blpop").await;
    let app = App::builder().redis(redis).start().await;
    let pace = Pace::watch(&app);
    let lease = Lease::of(&app).await;
    let waiter = queued(&app, &app.redis, 1).await;
    lease.give_back(&app).await;
    let began = Instant::now();
    waiter.await.unwrap().assert_success();
    // They look every 100 ms, and not when they would have stopped blocking.
    let (took, most) = (began.elapsed(), Duration::from_millis(250));
    let most = most + pace.slowest().await;
    assert!(took <= most, "{took:?}, more than {most:?}");
}

#[tokio::test]
async fn waiting_leaves_nothing_behind_that_does_not_expire() {
    let app = App::builder().patient().start().await;
    let calls: Vec<_> = (0..30)
        .map(|_| app.perform("user_id=42&timeout=30").spawn())
        .collect();
    for call in calls {
        call.await.unwrap().assert_success();
    }
    assert_eq!(app.redis.keys_without_expiry().await, Vec::<String>::new());
    assert!(!app.redis.exists(LOCK).await);
    assert!(!app.redis.exists(QUEUE).await);
}

#[tokio::test]
async fn a_repeated_release_after_the_hand_over_succeeds() {
    let redis = RedisServer::start().await;
    let proxy = Proxy::start(redis.port()).await;
    let app = App::builder()
        .redis(redis)
        .var("redis_port", &proxy.port().to_string())
        .reusing_instances()
        .start()
        .await;
    let other = App::builder().beside(&app.redis);
    // From now on there is a connection, and Redis knows the scripts: the reply that is cut is the
    // release's.
    Lease::of(&app).await.give_back(&app).await;
    let lease = Lease::of(&app).await;
    let next = queued(&other, &app.redis, 1).await;
    proxy.cut_next_reply();
    lease.give_back(&app).await;
    assert!(proxy.is_spent());
    next.await.unwrap().assert_success();
}

#[tokio::test]
async fn the_lock_is_handed_on_at_once() {
    const WAITERS: u64 = 20;
    let app = App::builder().patient().start().await;
    let pace = Pace::watch(&app);
    let lease = Lease::of(&app).await;
    let mut waiters = Vec::new();
    for name in 1..=WAITERS {
        waiters.push(queued(&app, &app.redis, name).await);
    }
    let began = Instant::now();
    lease.give_back(&app).await;
    for waiter in waiters {
        waiter.await.unwrap().assert_success();
    }
    // By looking alone it would take each of them a fifth of a second.
    let took = began.elapsed();
    let most = Duration::from_millis(1000) + pace.slowest().await;
    assert!(took <= most, "{took:?}, more than {most:?}");
}
