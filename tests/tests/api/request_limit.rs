//! `request_limit`: what takes long is cut to what is left of the request, so the answer is ours
//! and not the host's. The host ends each request at the same limit.

use std::time::{Duration, Instant};

use edgelatch_tests::{Answer, App, AppBuilder, Network, Origin, Proxy, RedisServer, Reply, until};

const LIMIT: &str = "4";

/// Where waits end: two calls to Redis of 0.5 s, and 0.5 s more, before the limit.
const WAITS_END: Duration = Duration::from_millis(2500);

const LOCK: &str = "user:7:lock";
const USER: &str = "/api/v1/users/7";

fn limited() -> AppBuilder {
    App::builder()
        .var("request_limit", LIMIT)
        .var("redis_timeout", "0.5")
        .argument("--request-timeout")
        .argument("4s")
}

/// Asserts that the answer used the time that there was, and no more.
fn assert_cut(answer: &Answer) {
    // In the last look at the lock a waiter may be told something before its time is up.
    assert!(answer.took >= WAITS_END.mul_f32(0.9), "{:?}", answer.took);
    assert!(answer.took < Duration::from_secs(4), "{:?}", answer.took);
}

async fn until_free(app: &App, key: &str) {
    until("the lock is free", || async {
        !app.redis.exists(key).await
    })
    .await;
}

#[tokio::test]
async fn a_wait_ends_before_the_request() {
    let app = limited().start().await;
    let entry = format!("{USER}/cache/report?compute=60&timeout=60");
    app.post(&format!("{USER}/lock?expire=60")).await;
    app.get(&entry).await.assert_problem(404, "compute-granted");
    let action = app.perform("user_id=7&timeout=60").spawn();
    let lease = app.post(&format!("{USER}/lock?timeout=60")).spawn();
    let compute = app.get(&entry).spawn();
    for waiter in [action, lease, compute] {
        let answer = waiter.await.unwrap();
        answer.assert_problem(423, "lock-held");
        assert_cut(&answer);
    }
    assert!(!app.redis.exists("{user:7:lock}:queue").await);
    assert!(
        !app.redis
            .exists("{user:7:lock}:compute:report/:queue")
            .await
    );
}

#[tokio::test]
async fn a_watch_ends_before_the_request() {
    let app = limited().start().await;
    app.post(&format!("{USER}/lock?expire=60")).await;
    let answer = app.get(&format!("{USER}/lock?wait=60")).await;
    assert_eq!(answer.json()["held"], true);
    assert_cut(&answer);
}

#[tokio::test]
async fn the_default_of_lock_timeout_is_cut_too() {
    let app = limited().var("lock_timeout", "60").start().await;
    app.post(&format!("{USER}/lock?expire=60")).await;
    let answer = app.perform("user_id=7").await;
    answer.assert_problem(423, "lock-held");
    assert_cut(&answer);
}

#[tokio::test]
async fn an_action_with_a_slow_origin_ends_before_the_request() {
    let origin = Origin::start(Reply::json("1").gated()).await;
    let app = limited().origin(&origin).start().await;
    for query in ["user_id=7", "user_id=7&expire=120"] {
        let answer = app.perform(query).await;
        answer.assert_problem(504, "origin-timeout");
        assert_cut(&answer);
        assert!(!app.redis.exists(LOCK).await);
    }
}

/// The end of the work and the end of the lock's hold are due at the same moment then.
#[tokio::test]
async fn an_action_of_a_frozen_service_ends_with_what_the_origin_did() {
    let origin = Origin::start(Reply::json("1").gated()).await;
    let app = limited().origin(&origin).start().await;
    for query in ["user_id=7", "user_id=7&expire=120"] {
        let began = Instant::now();
        let seen = origin.seen().len();
        let answer = app.perform(query).spawn();
        origin.until_seen(seen + 1).await;
        app.freeze();
        let frozen_until = began + WAITS_END + Duration::from_millis(300);
        tokio::time::sleep_until(frozen_until.into()).await;
        app.thaw();
        let answer = answer.await.unwrap();
        answer.assert_problem(504, "origin-timeout");
        assert!(!app.redis.exists(LOCK).await);
    }
}

#[tokio::test]
async fn an_action_that_got_its_lock_late_has_what_is_left() {
    let origin = Origin::start(Reply::json("1").gated()).await;
    let app = limited().origin(&origin).start().await;
    app.post(&format!("{USER}/lock?expire=1.5")).await;
    let answer = app.perform("user_id=7&timeout=60").await;
    answer.assert_problem(504, "origin-timeout");
    assert_cut(&answer);
    assert!(!app.redis.exists(LOCK).await);
}

#[tokio::test]
async fn a_read_of_a_slow_origin_ends_before_the_request() {
    let origin = Origin::start(Reply::json("1").gated()).await;
    let app = limited().origin(&origin).start().await;
    let first = app.get(USER).spawn();
    origin.until_seen(1).await;
    let collapsed = app.get(USER).spawn();
    for read in [first, collapsed] {
        let answer = read.await.unwrap();
        answer.assert_problem(504, "origin-timeout");
        assert!(answer.took < Duration::from_secs(4), "{:?}", answer.took);
    }
    assert!(!app.redis.exists("{user:7:lock}:origin:lock").await);
    let anew = app.get(USER).header("cache-control", "no-cache").await;
    anew.assert_problem(504, "origin-timeout");
    assert_cut(&anew);
}

#[tokio::test]
async fn a_read_that_waits_for_anothers_fetch_ends_before_the_request() {
    let origin = Origin::start(Reply::json("1").gated()).await;
    let app = limited().origin(&origin).start().await;
    let other = App::builder().origin(&origin).beside(&app.redis);
    let fetch = other.get(USER).spawn();
    origin.until_seen(1).await;
    let answer = app.get(USER).await;
    answer.assert_problem(504, "origin-timeout");
    assert_cut(&answer);
    origin.release_one();
    fetch.await.unwrap().assert_body(200, "1");
    app.get(USER).await.assert_body(200, "1");
}

#[tokio::test]
async fn a_fetch_that_began_late_in_its_request_fails_for_that_request_alone() {
    let origin = Origin::start(Reply::json("1").gated()).await;
    let app = limited().origin(&origin).start().await;
    let first = app.get(USER).spawn();
    origin.until_seen(1).await;
    // It wants a fetch that begins after it came.
    let late = app.get(USER).header("cache-control", "no-cache").spawn();
    tokio::time::sleep(WAITS_END / 2).await;
    origin.release_one();
    first.await.unwrap().assert_body(200, "1");
    origin.until_seen(2).await;
    let later = app.get(USER).header("cache-control", "no-cache").spawn();
    late.await.unwrap().assert_problem(504, "origin-timeout");
    // Nothing says that the origin is down.
    let outcome = "{user:7:lock}:origin:outcome";
    assert!(!app.redis.exists(outcome).await);
    origin.until_seen(3).await;
    origin.release_one();
    origin.release_one();
    later.await.unwrap().assert_body(200, "1");
}

#[tokio::test]
async fn a_refresh_after_the_answer_ends_before_the_limit() {
    let reply = Reply::json("1").header("cache-control", "max-age=0, stale-while-revalidate=60");
    let origin = Origin::start(reply).await;
    let app = limited().origin(&origin).start().await;
    app.get(USER).await.assert_body(200, "1");
    origin.reply_with(Reply::json("2").gated());
    let stale = app.get(USER).await;
    stale.assert_body(200, "1");
    assert!(stale.took < WAITS_END, "{:?}", stale.took);
    origin.until_seen(2).await;
    until("the refresh has failed", || async {
        app.logs().contains("refresh-failed")
    })
    .await;
    until_free(&app, "{user:7:lock}:origin:lock").await;
    origin.reply_with(Reply::json("3"));
    until("it is fetched anew", || async {
        app.get(USER).await.text() == "3"
    })
    .await;
}

#[tokio::test]
async fn a_redis_that_falls_silent_costs_no_request_its_answer() {
    let origin = Origin::start(Reply::json("1").gated()).await;
    let app = limited().origin(&origin).start().await;
    app.post("/api/v1/users/8/lock?expire=60").await;
    let action = app.perform("user_id=7&expire=120").spawn();
    let read = app.get("/api/v1/users/9").spawn();
    origin.until_seen(2).await;
    let waiter = app.perform("user_id=8&timeout=60").spawn();
    until("it waits", || async {
        app.redis.exists("{user:8:lock}:queue").await
    })
    .await;
    app.redis.pause();
    let waiter = waiter.await.unwrap();
    waiter.assert_problem(503, "redis-timeout");
    for slow in [action, read] {
        let slow = slow.await.unwrap();
        slow.assert_problem(504, "origin-timeout");
        assert!(slow.took < Duration::from_secs(4), "{:?}", slow.took);
    }
    app.redis.resume();
    until_free(&app, LOCK).await;
    until_free(&app, "{user:8:lock}:queue").await;
    until_free(&app, "{user:9:lock}:origin:lock").await;
}

#[tokio::test]
async fn a_contended_merge_ends_before_the_request() {
    let redis = RedisServer::start().await;
    let proxy = Proxy::start(redis.port()).await;
    let port = proxy.port().to_string();
    let limited = limited().var("redis_port", &port).beside(&redis);
    let plain = App::builder().patient().beside(&redis);
    let entry = format!("{USER}/cache/profile");
    plain.put(&entry).json("{}").await;
    // From now on Redis knows the scripts, so a slow call is one round trip.
    let merge = limited.call("PATCH", &entry).body(r#"{"b":1}"#).await;
    assert_eq!(merge.status, 200);
    // Between the reading and the writing of a merge somebody else always writes.
    proxy.set_network(Network {
        delay: Duration::from_millis(60),
        ..Network::default()
    });
    let writer = tokio::spawn(async move {
        let mut count = 0u64;
        loop {
            count += 1;
            plain
                .put(&format!("{USER}/cache/profile"))
                .json(&count.to_string())
                .await;
        }
    });
    let merge = limited.call("PATCH", &entry).body(r#"{"a":1}"#).await;
    writer.abort();
    let problem = merge.assert_problem(423, "entry-contended");
    assert_eq!(problem.header("retry-after"), Some("1"));
    assert!(
        merge.text().contains("Others kept changing"),
        "{}",
        merge.text()
    );
    assert!(merge.took < Duration::from_secs(4), "{:?}", merge.took);
}

/// A flat object of 1 MiB.
fn large(value: u8) -> String {
    let members: Vec<_> = (0..95_000)
        .map(|member| format!("\"{member:x}\":{value}"))
        .collect();
    format!("{{{}}}", members.join(","))
}

/// Redis is well, and the merges take turns: what they do not get is no failure of Redis. Returns how
/// many got no turn.
async fn contended(app: &App, patches: impl Iterator<Item = (String, String)>) -> usize {
    let patches: Vec<_> = patches
        .map(|(entry, patch)| app.call("PATCH", &entry).body(patch).spawn())
        .collect();
    let mut contended = 0;
    for patch in patches {
        let patch = patch.await.unwrap();
        if patch.status != 200 {
            patch.assert_problem(423, "entry-contended");
            contended += 1;
        }
    }
    contended
}

#[tokio::test]
async fn merges_that_get_no_turn_are_told_that_the_service_is_busy() {
    let app = App::builder().var("request_limit", "7");
    let app = app.var("redis_timeout", "2.3").start().await;
    let object = large(1);
    let entry = |number: u8| format!("{USER}/cache/profile-{number}");
    for number in 0..40 {
        app.put(&entry(number)).json(&object).await.assert_success();
    }
    let one = |number| (entry(0), format!(r#"{{"m{number}":1}}"#));
    assert!(contended(&app, (0..40).map(one)).await > 0);
    let other = large(2);
    let own = |number| (entry(number), other.clone());
    // A fast machine has time for all of them.
    contended(&app, (0..40).map(own)).await;
}

#[tokio::test]
async fn a_limit_too_short_for_redis_is_refused() {
    for (limit, timeout, status) in [
        ("2.999", "1", 500),
        ("3", "1", 200),
        ("0", "1", 200),
        ("3", "1.1", 500),
    ] {
        let app = App::builder()
            .var("request_limit", limit)
            .var("redis_timeout", timeout);
        let answer = app.start().await.perform("user_id=7").await;
        assert_eq!(answer.status, status, "{limit} {timeout} {answer:?}");
    }
}
