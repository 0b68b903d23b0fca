//! Nobody alive waits for somebody dead.

use std::time::{Duration, Instant};

use edgelatch_tests::{
    Answer, App, Call, Loss, Origin, Pace, Proxy, RedisServer, Reply, Service, until, within,
};
use tokio::task::JoinHandle;

const PATH: &str = "/api/v1/users/42/lock";
const LOCK: &str = "user:42:lock";
const FENCE: &str = "{user:42:lock}:fence";
const QUEUE: &str = "{user:42:lock}:queue";
const TOKEN: &str = "a-token-of-the-clients-own";
const HOLDER: &str = "the-token-of-the-holder";

/// The longest that the dead hold anybody up.
const LIMIT: Duration = Duration::from_secs(3);

async fn waiting(redis: &RedisServer) -> u64 {
    redis.run(&["ZCARD", QUEUE]).await
}

async fn until_waiting(redis: &RedisServer, count: u64) {
    until("they wait", || async { waiting(redis).await == count }).await;
}

/// `count` actions that wait at `service`.
async fn waiters(service: &Service, redis: &RedisServer, count: u64) -> Vec<JoinHandle<Answer>> {
    let actions = (0..count).map(|_| service.perform("user_id=42&timeout=60").spawn());
    let actions = actions.collect();
    until_waiting(redis, count).await;
    actions
}

async fn hold(app: &App) {
    let lease = app.post(&format!("{PATH}?expire=600"));
    assert_eq!(lease.header("lock-token", HOLDER).await.status, 201);
}

fn give_back(app: &App) -> Call {
    app.delete(PATH).header("lock-token", HOLDER)
}

/// Asserts that somebody alive is served in time.
async fn assert_served(app: &App) {
    let action = app.perform("user_id=42&timeout=5");
    let (answer, took) = within(LIMIT, action.into_future()).await;
    answer.assert_body(200, r#"{"status":"success"}"#);
    eprintln!("served after {took:?}");
}

#[tokio::test]
async fn dead_waiters_hold_up_nobody_however_many_they_are() {
    let app = App::start().await;
    let mut other = App::builder().beside(&app.redis);
    hold(&app).await;
    let _dead = waiters(&other, &app.redis, 25).await;
    other.kill();
    give_back(&app).await.assert_body(204, "");
    assert_served(&app).await;
    assert_eq!(waiting(&app.redis).await, 0);
    assert_eq!(app.redis.keys_without_expiry().await, Vec::<String>::new());
}

#[tokio::test]
async fn dead_waiters_among_the_living_are_passed_over() {
    let app = App::start().await;
    let mut other = App::builder().beside(&app.redis);
    hold(&app).await;
    let _dead = waiters(&other, &app.redis, 15).await;
    let mut alive = Vec::new();
    for place in 0..5 {
        alive.push(app.perform("user_id=42&timeout=30").spawn());
        until_waiting(&app.redis, 16 + place).await;
    }
    other.kill();
    give_back(&app).await.assert_body(204, "");
    let all = async {
        let mut numbers = Vec::new();
        for waiter in alive {
            let answer = waiter.await.unwrap();
            answer.assert_success();
            numbers.push(answer.number("fencing-token"));
        }
        numbers
    };
    let (numbers, _) = within(LIMIT, all).await;
    assert!(numbers.is_sorted(), "{numbers:?}");
}

#[tokio::test]
async fn dead_waiters_that_a_restarted_redis_brings_back_hold_up_nobody() {
    let append = ["--appendonly", "yes", "--appendfsync", "always"];
    let redis = RedisServer::start_with(&append).await;
    let mut app = App::builder().redis(redis).start().await;
    let mut other = App::builder().beside(&app.redis);
    hold(&app).await;
    let _dead = waiters(&other, &app.redis, 25).await;
    other.kill();
    app.redis.kill();
    app.redis.restart().await;
    assert_eq!(waiting(&app.redis).await, 25);
    until("it is given back", || async {
        give_back(&app).await.status == 204
    })
    .await;
    assert_served(&app).await;
}

#[tokio::test]
async fn whoever_was_told_503_waits_no_longer() {
    let app = App::start().await;
    hold(&app).await;
    let mut waiting_calls = Vec::new();
    for place in 0..5 {
        let call = app.post(&format!("{PATH}?timeout=30&expire=600"));
        let token = format!("{TOKEN}-{place}");
        waiting_calls.push(call.header("lock-token", &token).spawn());
        until_waiting(&app.redis, place + 1).await;
    }
    app.redis.pause();
    for call in waiting_calls {
        assert_eq!(call.await.unwrap().status, 503);
    }
    app.redis.resume();
    until_waiting(&app.redis, 0).await;
    until("it is given back", || async {
        give_back(&app).await.status == 204
    })
    .await;
    let pace = Pace::watch(&app);
    let (_, took) = within(LIMIT, async { assert_served(&app).await }).await;
    let most = Duration::from_secs(1) + pace.slowest().await;
    assert!(took < most, "{took:?}");
}

#[tokio::test]
async fn a_lease_whose_client_has_hung_up_is_given_back() {
    let app = App::start().await;
    hold(&app).await;
    let lease = app
        .post(&format!("{PATH}?timeout=30&expire=2592000"))
        .spawn();
    until_waiting(&app.redis, 1).await;
    lease.abort();
    let _ = lease.await;
    give_back(&app).await.assert_body(204, "");
    let free = until("the lock is free", || async {
        !app.redis.exists(LOCK).await
    });
    within(LIMIT, free).await;
    assert_served(&app).await;
}

#[tokio::test]
async fn a_lease_with_a_brought_token_whose_client_has_hung_up_is_kept_for_its_next_try() {
    let app = App::start().await;
    hold(&app).await;
    let lease = || {
        app.post(&format!("{PATH}?timeout=30&expire=600"))
            .header("lock-token", TOKEN)
    };
    let first = lease().spawn();
    until_waiting(&app.redis, 1).await;
    first.abort();
    let _ = first.await;
    give_back(&app).await.assert_body(204, "");
    until("the token has the lock", || async {
        app.redis.ms_left(LOCK).await > 500_000
    })
    .await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(lease().await.status, 200);
}

#[tokio::test]
async fn a_release_ends_the_waiting_of_its_token() {
    let app = App::start().await;
    hold(&app).await;
    let lease = app.post(&format!("{PATH}?timeout=30&expire=600"));
    let lease = lease.header("lock-token", TOKEN).spawn();
    until_waiting(&app.redis, 1).await;
    let release = || app.delete(PATH).header("lock-token", TOKEN);
    release().await.assert_body(204, "");
    let (answer, _) = within(Duration::from_secs(1), lease).await;
    answer.unwrap().assert_problem(423, "lock-held");
    release().await.assert_problem(409, "not-lock-owner");
    assert_eq!(waiting(&app.redis).await, 0);
    give_back(&app).await.assert_body(204, "");
    assert!(!app.redis.exists(LOCK).await);
}

/// The service behind a link that loses answers when it is told to; Redis knows its scripts.
async fn behind_a_link() -> (App, Proxy) {
    let redis = RedisServer::start().await;
    let link = Proxy::start(redis.port()).await;
    let app = App::builder()
        .redis(redis)
        .var("redis_port", &link.port().to_string())
        .start()
        .await;
    app.perform("user_id=1").await.assert_success();
    hold(&app).await;
    give_back(&app).await.assert_body(204, "");
    (app, link)
}

#[tokio::test]
async fn a_lock_behind_a_black_hole_is_free_within_two_and_a_half_seconds() {
    let (app, link) = behind_a_link().await;
    for call in [
        app.perform("user_id=42&expire=600"),
        app.post(&format!("{PATH}?expire=600")),
    ] {
        link.lose_answer_to(LOCK, Loss::BlackHole);
        let free = async {
            call.await.assert_problem(503, "redis-timeout");
            assert!(link.is_spent());
            until("the lock is free", || async {
                !app.redis.exists(LOCK).await
            })
            .await;
        };
        within(Duration::from_millis(2500), free).await;
    }
}

#[tokio::test]
async fn a_commit_in_a_black_hole_leaves_no_lock() {
    let (app, link) = behind_a_link().await;
    link.lose_answer_to("cache:last-action", Loss::Hold);
    let free = async {
        let answer = app.perform("user_id=42&expire=600").await;
        answer.assert_problem(503, "redis-timeout");
        until("the lock is free", || async {
            !app.redis.exists(LOCK).await
        })
        .await;
    };
    within(Duration::from_millis(2500), free).await;
    // It arrives late, and changes nothing.
    let last_action = "{user:42:lock}:cache:last-action";
    let calls = app.redis.calls("evalsha").await;
    link.let_go();
    until("it has arrived", || async {
        app.redis.calls("evalsha").await > calls
    })
    .await;
    assert!(!app.redis.exists(last_action).await);
}

#[tokio::test]
async fn a_cancelled_call_that_arrives_late_takes_nothing() {
    let (app, link) = behind_a_link().await;
    let brought = app.post(&format!("{PATH}?expire=600"));
    for call in [
        app.perform("user_id=42&expire=600"),
        app.post(&format!("{PATH}?expire=600&timeout=30")),
        brought.header("lock-token", TOKEN),
    ] {
        app.redis.run::<()>(&["FLUSHDB"]).await;
        link.lose_answer_to(LOCK, Loss::Hold);
        call.await.assert_problem(503, "redis-timeout");
        until("it is cancelled", || async {
            let pattern = "{user:42:lock}:cancelled:*";
            let marks: Vec<String> = app.redis.run(&["KEYS", pattern]).await;
            marks.len() == 1
        })
        .await;
        let calls = app.redis.calls("evalsha").await;
        link.let_go();
        until("it has arrived", || async {
            app.redis.calls("evalsha").await > calls
        })
        .await;
        assert!(!app.redis.exists(LOCK).await);
        assert_eq!(waiting(&app.redis).await, 0);
        assert_eq!(app.redis.keys_without_expiry().await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn the_order_is_that_of_arrival_also_when_the_clock_was_set_back() {
    let app = App::builder().patient().start().await;
    hold(&app).await;
    let mut in_order = vec![app.perform("user_id=42&timeout=30").spawn()];
    until_waiting(&app.redis, 1).await;
    // Before the clock was set back an hour, that is.
    let members: Vec<String> = app.redis.run(&["ZRANGE", QUEUE, "0", "0"]).await;
    let _: f64 = app
        .redis
        .run(&["ZINCRBY", QUEUE, "3600000000", &members[0]])
        .await;
    for place in 2..=4 {
        in_order.push(app.perform("user_id=42&timeout=30").spawn());
        until_waiting(&app.redis, place).await;
    }
    give_back(&app).await.assert_body(204, "");
    let mut numbers = Vec::new();
    for waiter in in_order {
        let answer = waiter.await.unwrap();
        answer.assert_success();
        numbers.push(answer.number("fencing-token"));
    }
    assert!(numbers.is_sorted(), "{numbers:?}");
}

#[tokio::test]
async fn two_calls_of_one_token_share_the_lock() {
    let app = App::start().await;
    hold(&app).await;
    let call = |query: &str| {
        app.post(&format!("{PATH}?{query}"))
            .header("lock-token", TOKEN)
    };
    let first = call("timeout=30&expire=60").spawn();
    until_waiting(&app.redis, 1).await;
    let _: i64 = app.redis.run(&["DEL", LOCK]).await;
    let second = call("expire=60").await;
    assert!(
        [200, 201].contains(&second.status),
        "{}: {}",
        second.status,
        second.text()
    );
    let first = first.await.unwrap();
    assert!([200, 201].contains(&first.status), "{}", first.text());
    assert_eq!(
        first.json()["fencing_token"],
        second.json()["fencing_token"]
    );
}

#[tokio::test]
async fn an_idempotency_record_is_proof_of_a_commit() {
    let redis = RedisServer::start().await;
    let second = Proxy::start(redis.port()).await;
    let first = Proxy::start(second.port()).await;
    let app = App::builder()
        .redis(redis)
        .patient()
        .var("redis_port", &first.port().to_string())
        .start()
        .await;
    let other = App::builder().beside(&app.redis);
    app.perform("user_id=42").await.assert_success();
    // The commit happens, its answer is lost, and its repetition is held up.
    let commit = "cache:last-action";
    first.lose_answer_to(commit, Loss::Cut);
    second.lose_answer_after(1, commit, Loss::Hold);
    let action = app.perform("user_id=42").header("idempotency-key", "k");
    let action = action.spawn();
    until("its repetition is held up", || async { second.is_spent() }).await;
    // Meanwhile another holder, who had not waited, commits.
    other.perform("user_id=42").await.assert_success();
    second.let_go();
    let answer = action.await.unwrap();
    answer.assert_body(200, r#"{"status":"success"}"#);
}

#[tokio::test]
async fn a_full_redis_takes_nobodys_lock() {
    let origin = Origin::start(Reply::json("1").gated()).await;
    let app = App::builder().origin(&origin).start().await;
    let action = app.perform("user_id=7&expire=1.5").spawn();
    origin.until_seen(1).await;
    hold(&app).await;
    let limit = ["CONFIG", "SET", "maxmemory"];
    app.redis.run::<()>(&[&limit[..], &["1"]].concat()).await;
    let renewed = app.put(&format!("{PATH}?expire=60"));
    let renewed = renewed.header("lock-token", HOLDER).await;
    assert_eq!(renewed.status, 200, "{}", renewed.text());
    let again = app.post(&format!("{PATH}?expire=60"));
    let again = again.header("lock-token", HOLDER).await;
    assert_eq!(again.status, 200, "{}", again.text());
    tokio::time::sleep(Duration::from_secs(3)).await;
    app.redis.run::<()>(&[&limit[..], &["0"]].concat()).await;
    origin.release_one();
    let answer = action.await.unwrap();
    answer.assert_body(200, r#"{"status":"success","result":1}"#);
}

#[tokio::test]
async fn a_commit_is_answered_as_it_was_written_where_no_signal_is_allowed() {
    let origin = Origin::start(Reply::json("1").gated()).await;
    let redis = RedisServer::refusing("rpush").await;
    let app = App::builder().redis(redis).origin(&origin).start().await;
    let first = app.perform("user_id=42").spawn();
    origin.until_seen(1).await;
    let second = app.perform("user_id=42&timeout=30").spawn();
    until_waiting(&app.redis, 1).await;
    origin.release_one();
    origin.release_one();
    first.await.unwrap().assert_success();
    second.await.unwrap().assert_success();
}

#[tokio::test]
async fn a_commit_is_answered_as_it_was_written_where_no_queue_is_allowed() {
    let origin = Origin::start(Reply::json("1").gated()).await;
    let redis = RedisServer::refusing("zpopmin").await;
    let app = App::builder().redis(redis).origin(&origin).start().await;
    let first = app.perform("user_id=42").spawn();
    origin.until_seen(1).await;
    let second = app.perform("user_id=42&timeout=30").spawn();
    until_waiting(&app.redis, 1).await;
    origin.release_one();
    origin.release_one();
    first.await.unwrap().assert_success();
    second.await.unwrap().assert_success();
    assert!(app.redis.exists(FENCE).await);
}

#[tokio::test]
async fn a_cut_off_waiter_finds_its_old_position() {
    let app = App::start().await;
    hold(&app).await;
    let first = app.perform("user_id=42&timeout=30").spawn();
    until_waiting(&app.redis, 1).await;
    let second = app.perform("user_id=42&timeout=30").spawn();
    until_waiting(&app.redis, 2).await;
    // As if the first had been passed over.
    let _: Vec<String> = app.redis.run(&["ZPOPMIN", QUEUE]).await;
    until_waiting(&app.redis, 2).await;
    give_back(&app).await.assert_body(204, "");
    let (first, second) = (first.await.unwrap(), second.await.unwrap());
    let number = |answer: &Answer| answer.assert_success().number("fencing-token");
    assert!(number(&first) < number(&second));
    let began = Instant::now();
    assert_served(&app).await;
    assert!(began.elapsed() < LIMIT);
}
