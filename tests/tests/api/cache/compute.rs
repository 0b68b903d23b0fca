//! One computes, the others wait: `GET ...?compute=`.

use std::time::{Duration, Instant};

use edgelatch_tests::{Answer, App, Call, RedisServer, until};
use futures::future::join_all;

use super::{ENTRY, KEY, merge, store, tag_of};

/// The lock of the entry's computing.
const LOCK: &str = "{user:42:lock}:compute:profile";

/// A GET with these parameters.
fn ask(app: &App, parameters: &str) -> Call {
    app.get(&format!("{ENTRY}?{parameters}"))
}

/// The token of an answer that gives the task.
#[track_caller]
fn granted(answer: &Answer) -> String {
    answer.assert_problem(404, "compute-granted");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let token = answer.header("compute-token").unwrap();
    assert_eq!(token.len(), 32, "{token}");
    assert!(!answer.text().contains(token), "{}", answer.text());
    token.to_owned()
}

fn put_with(app: &App, token: &str, json: &str) -> Call {
    app.put(ENTRY).header("compute-token", token).json(json)
}

fn give_up(app: &App, token: &str) -> Call {
    app.delete(ENTRY).header("compute-token", token)
}

/// Waits until so many callers wait for the entry.
async fn until_waiting(app: &App, count: i64) {
    until("they wait", || async {
        let queue = format!("{LOCK}/:queue");
        app.redis.run::<i64>(&["ZCARD", &queue]).await == count
    })
    .await;
}

#[tokio::test]
async fn what_is_there_is_answered_as_ever() {
    let app = App::patient().await;
    let tag = store(&app, r#"{"a":1}"#).await;
    let answer = ask(&app, "compute=10").await;
    answer.assert_body(200, r#"{"a":1}"#);
    assert_eq!(
        (tag_of(&answer), answer.header("compute-token")),
        (tag.clone(), None)
    );
    let cache_control = answer.header("cache-control").unwrap();
    assert!(
        cache_control.starts_with("private, max-age=3"),
        "{cache_control}"
    );
    let same = ask(&app, "compute=10&refresh=1").header("if-none-match", &tag);
    same.await.assert_body(304, "");
    assert!(!app.redis.exists(LOCK).await);
}

#[tokio::test]
async fn of_a_hundred_callers_one_computes_and_the_others_get_its_result() {
    const CALLERS: usize = 100;
    let app = App::patient().await;
    let call = async || {
        (
            ask(&app, "compute=30&timeout=30").spawn().await.unwrap(),
            Instant::now(),
        )
    };
    let callers = join_all((0..CALLERS).map(|_| call()));
    let computer = async {
        until_waiting(&app, CALLERS as i64 - 1).await;
        let token = app.redis.get(LOCK).await.unwrap();
        let put = put_with(&app, &token, r#"{"dear":true}"#).await;
        put.assert_body(201, "");
        (token, Instant::now())
    };
    let (answers, (token, stored_at)) = futures::join!(callers, computer);
    let (given, waited): (Vec<_>, Vec<_>) = answers
        .into_iter()
        .partition(|(answer, _)| answer.status == 404);
    assert_eq!(given.len(), 1);
    assert_eq!(granted(&given[0].0), token);
    let mut late = Duration::ZERO;
    for (answer, at) in waited {
        answer.assert_body(200, r#"{"dear":true}"#);
        assert_eq!(answer.header("compute-token"), None);
        late = late.max(at.saturating_duration_since(stored_at));
    }
    // Within 50 ms where the machine has nothing else to do.
    assert!(late < Duration::from_secs(2), "{late:?}");
    eprintln!("the last of {CALLERS} had the result {late:?} after the PUT");
    assert!(!app.redis.exists(LOCK).await);
    assert_eq!(app.redis.keys_without_expiry().await, Vec::<String>::new());
}

/// How many bytes Redis has sent so far.
async fn bytes_sent(app: &App) -> usize {
    let stats: String = app.redis.run(&["INFO", "stats"]).await;
    let sent = stats
        .lines()
        .find_map(|line| line.strip_prefix("total_net_output_bytes:"));
    sent.unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_long_result_is_read_once_by_each_who_waits() {
    const CALLERS: usize = 20;
    let app = App::patient().await;
    let token = granted(&ask(&app, "compute=30").await);
    let waiting: Vec<_> = (0..CALLERS)
        .map(|_| ask(&app, "compute=30&timeout=30").spawn())
        .collect();
    until_waiting(&app, CALLERS as i64).await;
    let long = format!("\"{}\"", "a".repeat(1_000_000));
    let before = bytes_sent(&app).await;
    put_with(&app, &token, &long).await.assert_body(201, "");
    for answer in waiting {
        answer.await.unwrap().assert_body(200, &long);
    }
    let sent = bytes_sent(&app).await - before;
    assert!(sent < (CALLERS + 1) * long.len(), "{sent} bytes");
}

#[tokio::test]
async fn the_task_goes_on_when_its_computer_is_cut_off_half_way() {
    let app = App::patient().await;
    granted(&ask(&app, "compute=0.5&timeout=0").await);
    // Nobody hears of that one again.
    let others: Vec<_> = (0..3)
        .map(|_| ask(&app, "compute=30&timeout=20").spawn())
        .collect();
    until("the next one has it", || async {
        app.redis.ms_left(LOCK).await > 10_000
    })
    .await;
    let token = app.redis.get(LOCK).await.unwrap();
    put_with(&app, &token, "1").await.assert_body(201, "");
    let mut tokens = 0;
    for answer in join_all(others).await {
        let answer = answer.unwrap();
        if answer.status == 404 {
            assert_eq!(granted(&answer), token);
            tokens += 1;
        } else {
            answer.assert_body(200, "1");
        }
    }
    assert_eq!(tokens, 1);
}

#[tokio::test]
async fn a_task_whose_client_has_hung_up_goes_to_the_next() {
    let app = App::start().await;
    let token = granted(&ask(&app, "compute=30").await);
    for waiting in 1..=3 {
        let gone = ask(&app, "compute=30&timeout=30").spawn();
        until_waiting(&app, waiting).await;
        gone.abort();
        let _ = gone.await;
    }
    let next = ask(&app, "compute=30&timeout=30").spawn();
    until_waiting(&app, 4).await;
    give_up(&app, &token).await.assert_body(204, "");
    let began = Instant::now();
    granted(&next.await.unwrap());
    assert!(began.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn a_head_gets_no_task_and_waits_for_nobody() {
    let app = App::patient().await;
    let head = |parameters: &str| app.call("HEAD", &format!("{ENTRY}?{parameters}"));
    let absent = head("compute=30").await;
    assert_eq!((absent.status, absent.header("compute-token")), (404, None));
    assert!(!app.redis.exists(LOCK).await);
    granted(&ask(&app, "compute=30").await);
    let computed = head("compute=30&timeout=30").await;
    assert_eq!(computed.status, 404);
    assert!(computed.took < Duration::from_secs(15));
    // Its last seconds.
    let put = app.put(&format!("{ENTRY}?expire=100")).json("1").await;
    put.assert_body(201, "");
    let due = head("compute=30&refresh=200").await;
    assert_eq!((due.status, due.header("compute-token")), (200, None));
    assert_eq!(tag_of(&due), tag_of(&put));
    let refreshing = ask(&app, "compute=30&refresh=200").await;
    assert!(refreshing.header("compute-token").is_some());
    assert_eq!(head("compute=0").await.status, 422);
    // Nobody computes that one, but it can be asked about.
    let reserved = "/api/v1/users/42/cache/last-action?compute=30";
    assert_eq!(app.call("HEAD", reserved).await.status, 404);
    app.perform("user_id=42").await.assert_success();
    assert_eq!(app.call("HEAD", reserved).await.status, 200);
}

#[tokio::test]
async fn giving_up_hands_the_task_to_the_next_and_leaves_the_entry() {
    let app = App::patient().await;
    let first = granted(&ask(&app, "compute=30&timeout=0").await);
    let next = ask(&app, "compute=30&timeout=20").spawn();
    until_waiting(&app, 1).await;
    let began = Instant::now();
    give_up(&app, &first).await.assert_body(204, "");
    let second = granted(&next.await.unwrap());
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_ne!(first, second);
    give_up(&app, &first)
        .await
        .assert_problem(409, "not-lock-owner");
    put_with(&app, &second, "1").await.assert_body(201, "");
    // The task ended with the PUT.
    give_up(&app, &second)
        .await
        .assert_problem(409, "not-lock-owner");
    app.get(ENTRY).await.assert_body(200, "1");
}

#[tokio::test]
async fn who_waits_in_vain_is_told_when_to_come_again() {
    let app = App::builder()
        .patient()
        .var("lock_timeout", "0.2")
        .start()
        .await;
    granted(&ask(&app, "compute=30").await);
    for parameters in ["compute=5&timeout=0", "compute=5&timeout=0.1", "compute=5"] {
        let answer = ask(&app, parameters).await;
        answer.assert_problem(423, "lock-held");
        assert_eq!(answer.json()["detail"], "Could not acquire lock");
        let seconds = answer.number("retry-after");
        assert!((20..=30).contains(&seconds), "{seconds}");
    }
}

#[tokio::test]
async fn a_token_stores_once_and_in_time() {
    let app = App::patient().await;
    for wrong in [
        "0123456789abcdef0123456789abcdef",
        "short",
        "with spaces in it, and long",
    ] {
        for call in [put_with(&app, wrong, "1"), give_up(&app, wrong)] {
            call.await.assert_problem(409, "not-lock-owner");
        }
    }
    let token = granted(&ask(&app, "compute=30").await);
    let twice = put_with(&app, &token, "1").header("compute-token", &token);
    twice.await.assert_problem(409, "not-lock-owner");
    let other = "0123456789abcdef0123456789abcdef";
    put_with(&app, other, "1")
        .await
        .assert_problem(409, "not-lock-owner");
    assert!(!app.redis.exists(KEY).await);
    put_with(&app, &token, "1").await.assert_body(201, "");
    put_with(&app, &token, "2")
        .await
        .assert_problem(409, "not-lock-owner");
    app.get(ENTRY).await.assert_body(200, "1");

    app.delete(ENTRY).await.assert_body(204, "");
    let late = granted(&ask(&app, "compute=0.05").await);
    until("its time is up", || async { !app.redis.exists(LOCK).await }).await;
    put_with(&app, &late, "3")
        .await
        .assert_problem(409, "not-lock-owner");
    assert!(!app.redis.exists(KEY).await);
}

#[tokio::test]
async fn any_other_refusal_leaves_the_token_good() {
    let app = App::builder()
        .patient()
        .var("max_body_bytes", "64")
        .start()
        .await;
    let token = granted(&ask(&app, "compute=30").await);
    let with = || app.put(ENTRY).header("compute-token", &token);
    with().json("{").await.assert_problem(400, "malformed-json");
    let text = with().header("content-type", "text/plain").body("1");
    text.await.assert_problem(415, "unsupported-media-type");
    with()
        .json(&"1".repeat(65))
        .await
        .assert_problem(413, "body-too-large");
    let unmet = with().header("if-match", "*").json("1");
    unmet.await.assert_problem(412, "precondition-failed");
    let bad = app
        .put(&format!("{ENTRY}?expire=0"))
        .header("compute-token", &token);
    assert_eq!(bad.json("1").await.faults(), ["query.expire"]);
    let new = with().header("if-none-match", "*").json("1");
    new.await.assert_body(201, "");
}

#[tokio::test]
async fn a_put_without_a_token_ends_the_computing() {
    let app = App::patient().await;
    let token = granted(&ask(&app, "compute=30").await);
    let waiting = ask(&app, "compute=30&timeout=20").spawn();
    until_waiting(&app, 1).await;
    app.put(ENTRY)
        .json(r#"{"new":1}"#)
        .await
        .assert_body(201, "");
    waiting.await.unwrap().assert_body(200, r#"{"new":1}"#);
    put_with(&app, &token, r#"{"old":1}"#)
        .await
        .assert_problem(409, "not-lock-owner");
    app.get(ENTRY).await.assert_body(200, r#"{"new":1}"#);
}

#[tokio::test]
async fn a_put_is_answered_as_it_was_written_where_no_signal_is_allowed() {
    let redis = RedisServer::refusing("rpush").await;
    let app = App::builder().patient().redis(redis).start().await;
    let token = granted(&ask(&app, "compute=30&timeout=0").await);
    let waiter = ask(&app, "compute=30&timeout=30").spawn();
    until_waiting(&app, 1).await;
    put_with(&app, &token, "1").await.assert_body(201, "");
    waiter.await.unwrap().assert_body(200, "1");
}

#[tokio::test]
async fn one_caller_refreshes_an_entry_that_is_about_to_expire() {
    let app = App::patient().await;
    let put = app
        .put(&format!("{ENTRY}?expire=100"))
        .json(r#"{"v":1}"#)
        .await;
    let tag = tag_of(&put);
    let early = ask(&app, "compute=30&refresh=50").await;
    early.assert_body(200, r#"{"v":1}"#);
    assert_eq!(early.header("compute-token"), None);
    // A condition that does not hold is no reason to compute.
    let unmet = ask(&app, "compute=30&refresh=200").header("if-match", "\"x\"");
    unmet.await.assert_problem(412, "precondition-failed");
    let first = ask(&app, "compute=30&refresh=200")
        .header("if-none-match", &tag)
        .await;
    first.assert_body(304, "");
    let token = first.header("compute-token").unwrap().to_owned();
    assert_eq!(first.header("cache-control"), Some("no-store"));
    for _ in 0..3 {
        let other = ask(&app, "compute=30&refresh=200").await;
        other.assert_body(200, r#"{"v":1}"#);
        assert_eq!(other.header("compute-token"), None);
    }
    put_with(&app, &token, r#"{"v":2}"#)
        .await
        .assert_body(200, "");
    let fresh = ask(&app, "compute=30&refresh=200").await;
    fresh.assert_body(200, r#"{"v":2}"#);
    // It has an hour.
    assert_eq!(fresh.header("compute-token"), None);
    // An older result does not replace a newer one, also where that was merged.
    app.redis.run::<i64>(&["PEXPIRE", KEY, "100000"]).await;
    let again = ask(&app, "compute=30&refresh=200").await;
    let token = again.header("compute-token").unwrap().to_owned();
    merge(&app, ENTRY, r#"{"w":3}"#).await.assert_success();
    put_with(&app, &token, r#"{"v":3}"#)
        .await
        .assert_problem(409, "not-lock-owner");
}

#[tokio::test]
async fn entries_have_tasks_of_their_own() {
    let app = App::patient().await;
    let calls = [
        ask(&app, "compute=30&timeout=0"),
        app.get("/api/v1/users/42/cache/other?compute=30&timeout=0"),
        app.get("/api/v1/users/42/cache/profile:queue?compute=30&timeout=0"),
        app.get("/api/v1/users/43/cache/profile?compute=30&timeout=0"),
    ];
    let tokens = join_all(calls.map(IntoFuture::into_future)).await;
    for answer in &tokens {
        granted(answer);
    }
    // Neither the user's lock nor an action is touched by it.
    app.perform("user_id=42&timeout=0").await.assert_success();
    app.get("/api/v1/users/42/lock").await.assert_success();
}

#[tokio::test]
async fn what_is_not_json_is_for_somebody_to_compute() {
    let app = App::patient().await;
    for words in [&["SET", KEY, "not json"][..], &["RPUSH", KEY, "1"]] {
        app.redis.run::<i64>(&["DEL", KEY]).await;
        app.redis.run::<redis::Value>(words).await;
        let token = granted(&ask(&app, "compute=30").await);
        put_with(&app, &token, "1").await.assert_body(200, "");
        app.get(ENTRY).await.assert_body(200, "1");
    }
}

#[tokio::test]
async fn what_is_not_json_keeps_no_result_from_those_who_wait() {
    const CALLERS: i64 = 8;
    let app = App::patient().await;
    let text: &[&str] = &["SET", KEY, "not json"];
    let list: &[&str] = &["RPUSH", KEY, "1"];
    // The stranger comes before those who wait, or after.
    for (before, after) in [(Some(text), None), (Some(list), None), (None, Some(text))] {
        for with_token in [true, false] {
            app.redis.run::<()>(&["FLUSHALL"]).await;
            if let Some(words) = before {
                app.redis.run::<redis::Value>(words).await;
            }
            let token = granted(&ask(&app, "compute=60").await);
            let waiting: Vec<_> = (0..CALLERS)
                .map(|_| ask(&app, "compute=60&timeout=50").spawn())
                .collect();
            until_waiting(&app, CALLERS).await;
            if let Some(words) = after {
                let (seconds, micros): (u64, u64) = app.redis.run(&["TIME"]).await;
                app.redis.run::<redis::Value>(words).await;
                // Each has seen it and waits anew.
                let since = format!("{}", seconds * 1_000_000 + micros);
                until("they wait again", || async {
                    let queue = format!("{LOCK}/:queue");
                    let anew = ["ZCOUNT", &queue, &since, "inf"];
                    app.redis.run::<i64>(&anew).await == CALLERS
                })
                .await;
            }
            let put = if with_token {
                put_with(&app, &token, "1")
            } else {
                app.put(ENTRY).json("1")
            };
            put.await.assert_body(200, "");
            let stored_at = Instant::now();
            for answer in join_all(waiting).await {
                answer.unwrap().assert_body(200, "1");
            }
            let late = stored_at.elapsed();
            assert!(late < Duration::from_secs(10), "{late:?}");
            assert!(!app.redis.exists(LOCK).await);
        }
    }
}

#[tokio::test]
async fn its_parameters_have_bounds_and_need_compute() {
    let app = App::builder().patient().var("max_hold", "20").start().await;
    for (parameters, faults) in [
        (
            "timeout=1&refresh=1",
            vec!["query.timeout", "query.refresh"],
        ),
        ("compute=0", vec!["query.compute"]),
        ("compute=0.0009", vec!["query.compute"]),
        ("compute=20.001", vec!["query.compute"]),
        (
            "compute=x&timeout=61&refresh=2592001",
            vec!["query.compute", "query.timeout", "query.refresh"],
        ),
    ] {
        assert_eq!(ask(&app, parameters).await.faults(), faults, "{parameters}");
    }
    let longest = ask(&app, "compute=20&timeout=0&refresh=2592000").await;
    granted(&longest);
    let reserved = app.get("/api/v1/users/42/cache/last-action?compute=1");
    reserved.await.assert_problem(409, "reserved-key");
}

#[tokio::test]
async fn a_strangers_value_without_expiry_is_no_computing() {
    let app = App::patient().await;
    for stranger in [
        ["SET", LOCK, "stranger"].as_slice(),
        &["RPUSH", LOCK, "x"],
        &["RPUSH", "{user:42:lock}:compute:profile/:fence", "x"],
        &["RPUSH", "{user:42:lock}:compute:profile/:queue", "x"],
        &["ZADD", "{user:42:lock}:compute:profile/:queue", "1", "x"],
    ] {
        app.redis.run::<()>(&["FLUSHALL"]).await;
        app.redis.run::<redis::Value>(stranger).await;
        let token = granted(&ask(&app, "compute=10&timeout=0.1").await);
        app.redis.run::<i64>(&["DEL", stranger[1]]).await;
        app.redis.run::<redis::Value>(stranger).await;
        if stranger[1] == LOCK {
            let lost = put_with(&app, &token, "1").await;
            lost.assert_problem(409, "not-lock-owner");
            assert_eq!(app.put(ENTRY).json("1").await.status, 201);
        } else {
            assert_eq!(put_with(&app, &token, "1").await.status, 201);
        }
    }
    // One with an expiry is waited for.
    app.redis.run::<()>(&["FLUSHALL"]).await;
    app.redis
        .run::<()>(&["SET", LOCK, "stranger", "PX", "60000"])
        .await;
    let answer = ask(&app, "compute=10&timeout=0.1").await;
    answer.assert_problem(423, "lock-held");
}
