//! One fetch at a time per user, however many ask.

use std::time::Duration;

use edgelatch_tests::{Answer, App, Origin, Reply, until};
use futures::future::join_all;

use super::{USER, before};

const LOCK: &str = "{user:42:lock}:origin:lock";

fn collapsed(answer: &Answer) -> bool {
    let status = answer.header("cache-status").unwrap();
    status.starts_with("edgelatch; fwd=miss; collapsed")
}

#[tokio::test]
async fn concurrent_readers_cause_one_fetch() {
    let origin = Origin::start(Reply::json(r#"{"n":1}"#).gated()).await;
    let app = App::builder().origin(&origin).patient().start().await;
    let readers: Vec<_> = (0..200).map(|_| app.get(USER).spawn()).collect();
    origin.until_seen(1).await;
    // All of them look, again and again.
    until("everybody waits", || async {
        app.redis.calls("evalsha").await >= 2000
    })
    .await;
    origin.release_one();
    let answers: Vec<Answer> = join_all(readers)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    for answer in &answers {
        answer.assert_body(200, r#"{"n":1}"#);
    }
    // Those that came last may find it there already.
    let hit = |answer: &&Answer| {
        let status = answer.header("cache-status").unwrap();
        status.starts_with("edgelatch; hit")
    };
    let hits = answers.iter().filter(hit).count();
    let collapsed = answers.iter().filter(|answer| collapsed(answer)).count();
    assert_eq!(collapsed + hits, 199, "{collapsed} {hits}");
    assert!(collapsed >= 100, "{collapsed}");
    assert_eq!(origin.seen().len(), 1);
}

#[tokio::test]
async fn services_on_one_redis_ask_once() {
    let origin = Origin::start(Reply::json("{}").gated()).await;
    let app = App::builder().origin(&origin).start().await;
    let other = App::builder().origin(&origin).beside(&app.redis);
    let first = app.get(USER).spawn();
    origin.until_seen(1).await;
    let second = other.get(USER).spawn();
    until("the other has looked", || async {
        app.redis.calls("evalsha").await >= 5
    })
    .await;
    origin.release_one();
    first.await.unwrap().assert_body(200, "{}");
    let second = second.await.unwrap();
    second.assert_body(200, "{}");
    assert!(collapsed(&second));
    assert_eq!(origin.seen().len(), 1);
}

#[tokio::test]
async fn users_do_not_wait_for_each_other_nor_for_actions() {
    let (app, origin) = before(Reply::json("{}").gated()).await;
    let first = app.get(USER).spawn();
    origin.until_seen(1).await;
    origin.reply_with(Reply::json("{}"));
    app.get("/api/v1/users/43").await.assert_body(200, "{}");
    app.perform("user_id=42&timeout=0").await.assert_success();
    app.post("/api/v1/users/42/lock").await;
    origin.release_one();
    first.await.unwrap().assert_body(200, "{}");
}

#[tokio::test]
async fn a_failure_is_shared_by_those_who_waited_for_it() {
    let (app, origin) = before(Reply::status(500, "{}").gated()).await;
    let readers: Vec<_> = (0..20).map(|_| app.get(USER).spawn()).collect();
    origin.until_seen(1).await;
    until("everybody waits", || async {
        app.redis.calls("evalsha").await >= 200
    })
    .await;
    origin.release_one();
    let mut shared = 0;
    for reader in readers {
        let answer = reader.await.unwrap();
        answer.assert_problem(502, "origin-failed");
        assert_eq!(answer.json()["origin_status"], 500);
        let status = answer.header("cache-status").unwrap();
        shared += usize::from(status == "edgelatch; fwd=miss; fwd-status=500; collapsed");
    }
    assert_eq!((origin.seen().len(), shared), (1, 19));
    // Whoever comes later asks anew.
    origin.reply_with(Reply::json("{}"));
    app.get(USER).await.assert_body(200, "{}");
}

#[tokio::test]
async fn nobody_waits_for_an_uncacheable_answer() {
    let secret = Reply::json("1").header("cache-control", "no-store");
    let (app, origin) = before(secret.after(Duration::from_millis(300))).await;
    let answers = join_all((0..10).map(|_| app.get(USER).into_future())).await;
    let slowest = answers.iter().map(|answer| answer.took).max().unwrap();
    for answer in &answers {
        answer.assert_body(200, "1");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(
            answer.header("cache-status"),
            Some("edgelatch; fwd=miss; fwd-status=200")
        );
    }
    assert_eq!(origin.seen().len(), 10);
    // One after the other they would take three seconds.
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
}

#[tokio::test]
async fn no_cache_waits_for_a_fetch_that_began_after_it() {
    let (app, origin) = before(Reply::json("1").gated()).await;
    let first = app.get(USER).spawn();
    origin.until_seen(1).await;
    let anew: Vec<_> = (0..5)
        .map(|_| app.get(USER).header("cache-control", "no-cache").spawn())
        .collect();
    until("they wait", || async {
        app.redis.calls("evalsha").await >= 60
    })
    .await;
    origin.reply_with(Reply::json("2"));
    origin.release_one();
    first.await.unwrap().assert_body(200, "1");
    for answer in anew {
        answer.await.unwrap().assert_body(200, "2");
    }
    // One for all five of them.
    assert_eq!(origin.seen().len(), 2);
}

#[tokio::test]
async fn they_wait_for_origin_timeout_at_most() {
    let (app, origin) = before(Reply::json("1")).await;
    let impatient = App::builder().origin(&origin).var("origin_timeout", "0.3");
    let impatient = impatient.beside(&app.redis);
    let _: String = app
        .redis
        .run(&["SET", LOCK, "stranger", "PX", "60000"])
        .await;
    let answer = impatient.get(USER).await;
    answer.assert_problem(504, "origin-timeout");
    assert!(
        answer.took >= Duration::from_millis(300),
        "{:?}",
        answer.took
    );
    assert!(
        answer.took < Duration::from_millis(900),
        "{:?}",
        answer.took
    );
    assert_eq!(origin.seen().len(), 0);
}

/// Two fetches of this take longer than the `origin_timeout` of [`before_a_slow_origin`], and one of
/// them takes much less.
const SLOW: Duration = Duration::from_millis(1800);

async fn before_a_slow_origin() -> (App, Origin) {
    let origin = Origin::start(Reply::json("1")).await;
    let app = App::builder().origin(&origin).var("origin_timeout", "3");
    (app.start().await, origin)
}

#[tokio::test]
async fn who_waits_for_two_fetches_has_origin_timeout_for_each() {
    let (app, origin) = before_a_slow_origin().await;
    app.get(USER).await.assert_body(200, "1");
    app.perform("user_id=42").await.assert_success();
    origin.reply_with(Reply::json("2").after(SLOW));
    let first = app.get(USER).spawn();
    origin.until_seen(3).await;
    // Another fetch has to begin for all who come after this.
    let lease = app.post("/api/v1/users/42/lock").await.json();
    let token = lease["token"].as_str().unwrap();
    let given_back = app.delete("/api/v1/users/42/lock");
    let given_back = given_back.header("lock-token", token).await;
    given_back.assert_body(204, "");
    origin.reply_with(Reply::json("3").after(SLOW));
    let later: Vec<_> = (0..6).map(|_| app.get(USER).spawn()).collect();
    first.await.unwrap().assert_body(200, "2");
    for answer in later {
        answer.await.unwrap().assert_body(200, "3");
    }
    assert_eq!(origin.seen().len(), 4);
}

#[tokio::test]
async fn no_cache_has_origin_timeout_for_each_fetch_too() {
    let (app, origin) = before_a_slow_origin().await;
    origin.reply_with(Reply::json("1").after(SLOW));
    let first = app.get(USER).spawn();
    origin.until_seen(1).await;
    origin.reply_with(Reply::json("2").after(SLOW));
    let anew: Vec<_> = (0..20)
        .map(|_| app.get(USER).header("cache-control", "no-cache").spawn())
        .collect();
    first.await.unwrap().assert_body(200, "1");
    for answer in anew {
        answer.await.unwrap().assert_body(200, "2");
    }
    assert_eq!(origin.seen().len(), 2);
}

/// What Redis has sent so far, in bytes.
async fn sent_by_redis(app: &App) -> u64 {
    let info: String = app.redis.run(&["INFO", "stats"]).await;
    let mut lines = info.lines();
    let sent = lines.find_map(|line| line.strip_prefix("total_net_output_bytes:"));
    sent.unwrap().parse().unwrap()
}

#[tokio::test]
async fn those_who_wait_read_a_stale_value_and_a_failure_once() {
    const BYTES: usize = 200_000;
    let long = format!("\"{}\"", "x".repeat(BYTES));
    for (before_action, after) in [
        (Reply::json(&long), Reply::json("1")),
        (Reply::status(500, &long), Reply::json("1")),
        (Reply::json(&long), Reply::status(500, &long)),
    ] {
        let (app, origin) = before(before_action).await;
        app.get(USER).await;
        assert_eq!(
            app.post("/api/v1/users/42/lock?expire=60").await.status,
            201
        );
        origin.reply_with(after.gated());
        let readers: Vec<_> = (0..5).map(|_| app.get(USER).spawn()).collect();
        origin.until_seen(2).await;
        until("they wait", || async {
            app.redis.calls("evalsha").await >= 100
        })
        .await;
        for _ in &readers {
            origin.release_one();
        }
        for reader in readers {
            reader.await.unwrap();
        }
        // Each reader may have read all there was before, and what came of one fetch or two.
        let most = 5 * 4 * BYTES as u64;
        let sent = sent_by_redis(&app).await;
        assert!(sent < most, "{sent}");
    }
}

#[tokio::test]
async fn a_dead_fetcher_delays_others_by_3_s_at_most() {
    let origin = Origin::start(Reply::json("1").gated()).await;
    let app = App::builder().origin(&origin).start().await;
    let mut other = App::builder().origin(&origin).beside(&app.redis);
    let _lost = other.get(USER).spawn();
    origin.until_seen(1).await;
    other.kill();
    origin.reply_with(Reply::json("2"));
    let answer = app.get(USER).await;
    answer.assert_body(200, "2");
    assert!(
        answer.took < Duration::from_millis(3500),
        "{:?}",
        answer.took
    );
}

#[tokio::test]
async fn a_fetch_longer_than_its_lock_keeps_it() {
    let (app, origin) = before(Reply::json("1").after(Duration::from_secs(4))).await;
    let first = app.get(USER).spawn();
    origin.until_seen(1).await;
    app.get(USER).await.assert_body(200, "1");
    first.await.unwrap().assert_body(200, "1");
    assert_eq!(origin.seen().len(), 1);
}

#[tokio::test]
async fn a_refusal_of_one_caller_s_headers_is_not_shared() {
    let (app, origin) = before(Reply::status(431, "{}").gated()).await;
    let first = app.get(USER).spawn();
    origin.until_seen(1).await;
    let second = app.get(USER).spawn();
    until("it waits", || async {
        app.redis.calls("evalsha").await >= 10
    })
    .await;
    origin.reply_with(Reply::json("1"));
    origin.release_one();
    let refused = first.await.unwrap();
    refused.assert_problem(502, "origin-failed");
    assert_eq!(refused.json()["origin_status"], 431);
    second.await.unwrap().assert_body(200, "1");
}
