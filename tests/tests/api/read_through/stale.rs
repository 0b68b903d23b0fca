//! After expiry: stale while it is fetched anew, and stale rather than down (RFC 5861).

use std::time::Duration;

use edgelatch_tests::{App, Origin, Reply, until};

use super::{ENTRY, USER, age, before, max_age};

const REFRESH_FAILED: &str =
    r#""outcome":"refresh-failed","cause":"The origin answered with status 500"}"#;

/// A service that has read `1`, which stays fresh for a minute, and has times of grace of 30 and
/// 300 seconds.
async fn with_entry() -> (App, Origin) {
    let (app, origin) = before(Reply::json("1").header("cache-control", "max-age=60")).await;
    app.get(USER).await.assert_body(200, "1");
    (app, origin)
}

#[tokio::test]
async fn a_stale_value_is_served_during_the_fetch() {
    let (app, origin) = with_entry().await;
    age(&app, Duration::from_secs(65)).await;
    origin.reply_with(Reply::json("2").gated());
    for _ in 0..5 {
        let stale = app.get(USER).await;
        stale.assert_body(200, "1");
        assert_eq!(stale.header("cache-status"), Some("edgelatch; hit; ttl=-5"));
        assert_eq!(max_age(&stale), 0);
        assert!((65..=66).contains(&stale.number("age")));
        origin.until_seen(2).await;
    }
    origin.release_one();
    until("it is fetched anew", || async {
        app.get(USER).await.text() == "2"
    })
    .await;
    assert_eq!(origin.seen().len(), 2);
}

#[tokio::test]
async fn after_stale_while_revalidate_requests_wait_for_the_origin() {
    let (app, origin) = with_entry().await;
    age(&app, Duration::from_secs(95)).await;
    origin.reply_with(Reply::json("2"));
    let answer = app.get(USER).await;
    answer.assert_body(200, "2");
    let status = answer.header("cache-status").unwrap();
    assert!(
        status.starts_with("edgelatch; fwd=stale; fwd-status=200; stored"),
        "{status}"
    );
}

#[tokio::test]
async fn a_stale_value_is_served_while_the_origin_is_down() {
    let (app, origin) = with_entry().await;
    age(&app, Duration::from_secs(200)).await;
    origin.stop().await;
    let first = app.get(USER).await;
    first.assert_body(200, "1");
    let status = first.header("cache-status").unwrap();
    assert!(
        status.starts_with("edgelatch; fwd=stale; ttl=-14"),
        "{status}"
    );
    assert!(status.ends_with("; detail=stale-if-error"), "{status}");
    age(&app, Duration::from_secs(158)).await;
    app.get(USER).await.assert_body(200, "1");
    age(&app, Duration::from_secs(2)).await;
    app.get(USER).await.assert_problem(502, "origin-failed");
    origin.restart().await;
    origin.reply_with(Reply::json("2"));
    app.get(USER).await.assert_body(200, "2");
}

#[tokio::test]
async fn down_is_unreachable_too_slow_5xx_or_no_answer_and_not_4xx() {
    let origin = Origin::start(Reply::json("1")).await;
    let app = App::builder().origin(&origin).var("origin_timeout", "0.3");
    let app = app.start().await;
    for (reply, stale) in [
        (Reply::status(500, "{}"), true),
        (Reply::status(503, "<"), true),
        (Reply::json("2").after(Duration::from_secs(5)), true),
        (Reply::status(400, "{}"), false),
        (Reply::status(429, "{}"), false),
        // No answers at all.
        (Reply::Plain(200, "text/html", "<p>".into()), true),
        (Reply::json(""), true),
        (Reply::nothing(), true),
        (Reply::redirect(302, "/login"), true),
    ] {
        origin.reply_with(Reply::json("1").header("cache-control", "max-age=60"));
        app.get(USER)
            .header("cache-control", "no-cache")
            .await
            .assert_body(200, "1");
        age(&app, Duration::from_secs(100)).await;
        origin.reply_with(reply);
        let answer = app.get(USER).await;
        if stale {
            answer.assert_body(200, "1");
        } else {
            answer.assert_problem(502, "origin-failed");
        }
    }
}

#[tokio::test]
async fn an_origin_that_refuses_is_not_hidden_behind_what_is_stale() {
    let (app, origin) = with_entry().await;
    age(&app, Duration::from_secs(100)).await;
    origin.reply_with(Reply::status(403, "{}"));
    for _ in 0..3 {
        app.get(USER).await.assert_problem(502, "origin-failed");
    }
    assert_eq!(origin.seen().len(), 4);
}

#[tokio::test]
async fn an_origin_that_has_just_failed_is_spared_for_negative_expire() {
    let (app, origin) = with_entry().await;
    age(&app, Duration::from_secs(100)).await;
    origin.reply_with(Reply::status(500, "{}"));
    for _ in 0..5 {
        app.get(USER).await.assert_body(200, "1");
    }
    assert_eq!(origin.seen().len(), 2);
    let left = app.redis.ms_left("{user:42:lock}:origin:outcome").await;
    assert!((1..=5000).contains(&left), "{left}");
    let _: i64 = app
        .redis
        .run(&["DEL", "{user:42:lock}:origin:outcome"])
        .await;
    app.get(USER).await.assert_body(200, "1");
    assert_eq!(origin.seen().len(), 3);
}

#[tokio::test]
async fn a_refresh_that_fails_is_logged_and_not_told() {
    let (app, origin) = with_entry().await;
    age(&app, Duration::from_secs(61)).await;
    origin.reply_with(Reply::status(500, "{}"));
    app.get(USER).await.assert_body(200, "1");
    until("it is logged", || async {
        let logs = app.logs();
        let mut lines = logs.lines();
        lines.any(|line| line.contains(REFRESH_FAILED))
    })
    .await;
    app.get(USER).await.assert_body(200, "1");
}

#[tokio::test]
async fn the_variables_say_for_how_long() {
    let origin = Origin::start(Reply::json("1").header("cache-control", "max-age=60")).await;
    let app = App::builder()
        .origin(&origin)
        .var("stale_while_revalidate", "0")
        .var("stale_if_error", "7")
        .start()
        .await;
    app.get(USER).await.assert_body(200, "1");
    let left = app.redis.ms_left(ENTRY).await;
    assert!((66_000..=67_000).contains(&left), "{left}");
    age(&app, Duration::from_secs(61)).await;
    origin.reply_with(Reply::json("2"));
    app.get(USER).await.assert_body(200, "2");
}

#[tokio::test]
async fn the_origin_may_say_for_how_long_itself_or_forbid_it() {
    let (app, origin) = before(Reply::json("1")).await;
    for (control, seconds) in [
        ("max-age=60, must-revalidate", 60),
        ("max-age=60, stale-while-revalidate=2, stale-if-error=4", 64),
        ("max-age=0, stale-while-revalidate=9", 9),
        // Thirty days at most.
        ("s-maxage=60, stale-while-revalidate=31535940", 2_592_000),
        ("max-age=31536000", 2_592_000),
        ("max-age=60", 360),
    ] {
        origin.reply_with(Reply::json("1").header("cache-control", control));
        app.get(USER)
            .header("cache-control", "no-cache")
            .await
            .assert_body(200, "1");
        let left = app.redis.ms_left(ENTRY).await / 1000;
        assert!((seconds - 2..=seconds).contains(&left), "{control}: {left}");
    }
}

#[tokio::test]
async fn a_lifetime_of_30_days_does_not_forbid_to_serve_it_stale() {
    let origin = Origin::start(Reply::json("1")).await;
    let long = App::builder()
        .origin(&origin)
        .var("cache_expire", "2592000");
    let long = long.start().await;
    let usual = App::builder().origin(&origin).start().await;
    for (app, control, query) in [
        (&usual, "max-age=2592000", ""),
        (&usual, "max-age=31536000", ""),
        (&usual, "max-age=31536000, stale-if-error=86400", ""),
        (&usual, "public", "?expire=2592000"),
        (&long, "public", ""),
    ] {
        let path = format!("{USER}{query}");
        origin.reply_with(Reply::json("1").header("cache-control", control));
        let anew = app.get(&path).header("cache-control", "no-cache").await;
        anew.assert_body(200, "1");
        app.perform("user_id=42").await.assert_success();
        origin.reply_with(Reply::status(503, "{}"));
        let stale = app.get(&path).await;
        stale.assert_body(200, "1");
        let status = stale.header("cache-status").unwrap();
        assert!(status.ends_with("detail=stale-if-error"), "{status}");
        assert!(app.redis.ms_left(ENTRY).await <= 2_592_000_000);
    }
}

#[tokio::test]
async fn a_lifetime_of_30_days_ends_with_them() {
    let (app, origin) = before(Reply::json("1").header("cache-control", "max-age=31536000")).await;
    app.get(USER).await.assert_body(200, "1");
    age(&app, Duration::from_secs(2_592_000 - 1)).await;
    origin.stop().await;
    until("it is gone", || async { !app.redis.exists(ENTRY).await }).await;
    app.get(USER).await.assert_problem(502, "origin-failed");
}
