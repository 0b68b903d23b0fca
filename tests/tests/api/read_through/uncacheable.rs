//! Answers that may not be kept: they are for those who waited for them, and the next fetch is
//! shared as ever.

use std::time::Duration;

use edgelatch_tests::{Answer, App, Origin, Reply, until};
use futures::future::join_all;

use super::{USER, age, before};

/// Long enough for all readers to come.
const SLOW: Duration = Duration::from_millis(500);

fn kept(value: &str) -> Reply {
    Reply::json(value).header("cache-control", "max-age=60")
}

fn forbidden(value: &str) -> Reply {
    Reply::json(value).header("cache-control", "no-store")
}

/// How often the user was read from the origin.
fn reads(origin: &Origin) -> usize {
    let seen = origin.seen();
    seen.iter().filter(|seen| seen.method == "GET").count()
}

async fn all_at_once(app: &App, control: &str, count: usize) -> Vec<Answer> {
    let read = |_| app.get(USER).header("cache-control", control).spawn();
    let readers: Vec<_> = (0..count).map(read).collect();
    let answers = join_all(readers).await;
    answers.into_iter().map(Result::unwrap).collect()
}

async fn until_looked(app: &App, looks: u64) {
    let before = app.redis.calls("evalsha").await;
    until("they wait", || async {
        app.redis.calls("evalsha").await >= before + looks
    })
    .await;
}

#[tokio::test]
async fn the_next_readers_share_a_fetch_and_what_may_be_kept_is_kept() {
    for (first, status) in [
        (
            Reply::status(404, "{}").header("cache-control", "no-cache"),
            502,
        ),
        (forbidden("1"), 200),
        (Reply::status(202, "1"), 200),
        (Reply::status(206, "1"), 200),
        (Reply::json("1").header("vary", "*"), 200),
    ] {
        for acts in [false, true] {
            let (app, origin) = before(first.clone()).await;
            assert_eq!(app.get(USER).await.status, status);
            if acts {
                origin.reply_with(Reply::json("{}"));
                app.perform("user_id=42").await.assert_success();
            }
            origin.reply_with(kept("2").after(SLOW));
            for answer in all_at_once(&app, "max-age=9", 30).await {
                answer.assert_body(200, "2");
            }
            assert_eq!(reads(&origin), 2, "{status} {acts}");
        }
    }
}

#[tokio::test]
async fn readers_with_no_cache_share_a_fetch_too() {
    let (app, origin) = before(forbidden("1")).await;
    app.get(USER).await.assert_body(200, "1");
    origin.reply_with(kept("2").after(SLOW));
    for answer in all_at_once(&app, "no-cache", 30).await {
        answer.assert_body(200, "2");
    }
    // Those who came during the second fetch wait for the third, and so on.
    assert!(reads(&origin) <= 10, "{}", reads(&origin));
}

#[tokio::test]
async fn the_end_of_a_fetch_from_before_an_action_ends_no_wait_after_it() {
    let (app, origin) = before(forbidden("1").gated()).await;
    let first = app.get(USER).spawn();
    origin.until_seen(1).await;
    origin.reply_with(Reply::json("{}"));
    app.perform("user_id=42").await.assert_success();
    let later: Vec<_> = (0..20).map(|_| app.get(USER).spawn()).collect();
    until_looked(&app, 200).await;
    origin.reply_with(kept("2").after(SLOW));
    origin.release_one();
    first.await.unwrap().assert_body(200, "1");
    for answer in later {
        answer.await.unwrap().assert_body(200, "2");
    }
    assert_eq!(reads(&origin), 2);
}

#[tokio::test]
async fn one_caller_s_own_headers_make_nobody_else_go_without_the_cache() {
    let (app, origin) = before(Reply::status(431, "{}").gated()).await;
    let refused = app.get(USER).spawn();
    origin.until_seen(1).await;
    let others: Vec<_> = (0..20).map(|_| app.get(USER).spawn()).collect();
    until_looked(&app, 200).await;
    origin.reply_with(kept("1").after(SLOW));
    origin.release_one();
    assert_eq!(refused.await.unwrap().json()["origin_status"], 431);
    for answer in others {
        answer.await.unwrap().assert_body(200, "1");
    }
    assert_eq!(reads(&origin), 2);
}

#[tokio::test]
async fn an_origin_that_never_allows_to_keep_is_not_asked_one_after_the_other() {
    let (app, origin) = before(forbidden("1").after(SLOW)).await;
    for round in 1..=3 {
        for answer in all_at_once(&app, "max-age=9", 20).await {
            answer.assert_body(200, "1");
            // One that is not shared, and one of its own.
            assert!(answer.took < 5 * SLOW, "{:?}", answer.took);
        }
        assert_eq!(reads(&origin), 20 * round);
    }
}

/// What is served while the origin is down, after it has answered like this once.
async fn served_after(reply: Reply) -> Answer {
    let origin = Origin::start(kept("1")).await;
    let app = App::builder()
        .origin(&origin)
        .var("stale_while_revalidate", "0")
        .start()
        .await;
    app.get(USER).await.assert_body(200, "1");
    age(&app, Duration::from_secs(61)).await;
    origin.reply_with(reply);
    app.get(USER).await;
    origin.stop().await;
    app.get(USER).await
}

#[tokio::test]
async fn what_merely_may_not_be_kept_leaves_the_older_value_for_an_origin_that_is_down() {
    for reply in [
        Reply::status(201, "2"),
        Reply::status(202, "2"),
        Reply::status(206, "2"),
        Reply::json("2").header("vary", "*"),
    ] {
        let served = served_after(reply).await;
        served.assert_body(200, "1");
        let status = served.header("cache-status").unwrap();
        assert!(status.ends_with("; detail=stale-if-error"), "{status}");
    }
}

#[tokio::test]
async fn what_forbids_to_keep_anything_or_is_newer_removes_the_older_value() {
    for reply in [
        Reply::status(202, "2").header("cache-control", "private"),
        forbidden("2"),
        Reply::json("2").header("cache-control", "no-cache"),
        Reply::json("2").header("cache-control", "max-age=0"),
        Reply::status(404, "{}").header("cache-control", "no-store"),
    ] {
        served_after(reply)
            .await
            .assert_problem(502, "origin-failed");
    }
}
