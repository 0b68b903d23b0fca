//! How long what was read is kept: the origin's `Cache-Control`, else `expire`.

use std::time::Duration;

use edgelatch_tests::{App, Origin, Reply};

use super::{ENTRY, USER, age, before, max_age};

/// What an answer with this `Cache-Control` is kept for, in seconds.
async fn kept_for(app: &App, origin: &Origin, control: &str, query: &str) -> u64 {
    origin.reply_with(Reply::json("{}").header("cache-control", control));
    let answer = app
        .get(&format!("{USER}{query}"))
        .header("cache-control", "no-cache")
        .await;
    answer.assert_body(200, "{}");
    // Rounded down, after a moment.
    max_age(&answer) + 1
}

#[tokio::test]
async fn expire_caps_the_origins_max_age() {
    let (app, origin) = before(Reply::json("{}")).await;
    assert!((3599..=3601).contains(&kept_for(&app, &origin, "public", "").await));
    assert!((59..=61).contains(&kept_for(&app, &origin, "public", "?expire=60").await));
    assert!((599..=601).contains(&kept_for(&app, &origin, "max-age=600", "").await));
    assert!((19..=21).contains(&kept_for(&app, &origin, "max-age=600, s-maxage=20", "").await));
    assert!((59..=61).contains(&kept_for(&app, &origin, "max-age=600", "?expire=60").await));
    assert!((29..=31).contains(&kept_for(&app, &origin, "max-age=30", "?expire=60").await));
}

#[tokio::test]
async fn cache_expire_is_the_default() {
    let origin = Origin::start(Reply::json("{}")).await;
    let app = App::builder().origin(&origin).var("cache_expire", "50");
    let answer = app.start().await.get(USER).await;
    assert!((48..=50).contains(&max_age(&answer)));
}

#[tokio::test]
async fn what_the_origin_forbids_to_keep_is_not_kept() {
    let (app, origin) = before(Reply::json("{}")).await;
    for control in [
        "no-store",
        "no-cache",
        "private",
        "max-age=0",
        "max-age=9, no-store",
    ] {
        app.get(USER).await;
        let before = origin.seen().len();
        origin.reply_with(Reply::json("1").header("cache-control", control));
        let anew = app.get(USER).header("cache-control", "no-cache").await;
        anew.assert_body(200, "1");
        assert_eq!(anew.header("cache-control"), Some("no-store"), "{control}");
        // Nor is what was kept before.
        assert!(!app.redis.exists(ENTRY).await, "{control}");
        app.get(USER).await.assert_body(200, "1");
        assert_eq!(origin.seen().len(), before + 2, "{control}");
        let _: i64 = app
            .redis
            .run(&["DEL", "{user:42:lock}:origin:outcome"])
            .await;
        origin.reply_with(Reply::json("{}"));
    }
}

#[tokio::test]
async fn age_is_counted_from_when_the_origin_made_it() {
    let aged = Reply::json("{}").header("cache-control", "max-age=100");
    let (app, _origin) = before(aged.header("age", "30")).await;
    let first = app.get(USER).await;
    assert_eq!(first.header("age"), Some("30"));
    assert!((68..=70).contains(&max_age(&first)));
    age(&app, Duration::from_secs(20)).await;
    let next = app.get(USER).await;
    assert!(
        (50..=52).contains(&next.number("age")),
        "{:?}",
        next.header("age")
    );
    assert!((47..=50).contains(&max_age(&next)));
}

#[tokio::test]
async fn the_time_that_the_origin_took_is_age_too() {
    let took = Duration::from_secs(2);
    let aged = Reply::json("1").header("cache-control", "max-age=60");
    let (app, origin) = before(aged.header("age", "1").after(took)).await;
    let first = app.get(USER).await;
    assert!((3..10).contains(&first.number("age")), "{first:?}");
    assert!((50..=57).contains(&max_age(&first)), "{first:?}");
    let hit = app.get(USER).await;
    assert!((3..10).contains(&hit.number("age")), "{hit:?}");
    // All of its lifetime is over when it comes. Those who waited share it all the same.
    let short = Reply::json("2").header("cache-control", "max-age=2, must-revalidate");
    origin.reply_with(short.after(took));
    let anew = || app.get(USER).header("cache-control", "no-cache");
    let first = anew().spawn();
    let asked = origin.until_seen(2).await.len();
    let others: Vec<_> = (0..5).map(|_| anew().spawn()).collect();
    for read in others.into_iter().chain([first]) {
        let read = read.await.unwrap();
        read.assert_body(200, "2");
        assert_eq!(max_age(&read), 0);
    }
    assert_eq!(origin.seen().len(), asked + 1);
    origin.reply_with(Reply::json("3"));
    app.get(USER).await.assert_body(200, "3");
}

#[tokio::test]
async fn a_lifetime_of_the_settings_begins_when_the_answer_is_there() {
    let slow = Reply::json("1").after(Duration::from_millis(1200));
    let (app, _origin) = before(slow).await;
    let path = format!("{USER}?expire=1");
    let read = app.get(&path).await;
    let status = read.header("cache-status").unwrap();
    assert!(status.contains("; stored; ttl="), "{status}");
    let left = app.redis.ms_left(ENTRY).await;
    assert!((290_000..=301_000).contains(&left), "{left}");
}

#[tokio::test]
async fn expires_counts_too() {
    let (app, _origin) = before(Reply::json("{}").header("expires", "0")).await;
    let answer = app.get(USER).await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn no_cache_asks_the_origin_and_keeps_what_it_says() {
    let (app, origin) = before(Reply::json("1")).await;
    app.get(USER).await.assert_body(200, "1");
    origin.reply_with(Reply::json("2"));
    app.get(USER).await.assert_body(200, "1");
    let anew = app
        .get(USER)
        .header("cache-control", "max-age=9, No-Cache")
        .await;
    anew.assert_body(200, "2");
    let status = anew.header("cache-status").unwrap();
    assert!(
        status.starts_with("edgelatch; fwd=request; fwd-status=200; stored"),
        "{status}"
    );
    app.get(USER).await.assert_body(200, "2");
    assert_eq!(origin.seen().len(), 2);
}

#[tokio::test]
async fn a_failure_of_what_no_cache_asked_for_is_told() {
    let (app, origin) = before(Reply::json("1")).await;
    app.get(USER).await.assert_body(200, "1");
    origin.reply_with(Reply::status(503, "{}"));
    let anew = || app.get(USER).header("cache-control", "no-cache");
    anew().await.assert_problem(502, "origin-failed");
    origin.stop().await;
    anew().await.assert_problem(502, "origin-failed");
    // What is kept goes on being served to the others.
    app.get(USER).await.assert_body(200, "1");
}

#[tokio::test]
async fn lifetimes_and_windows_of_any_length_are_bounded_and_not_broken() {
    let origin = Origin::start(Reply::json("{}")).await;
    let long = App::builder()
        .origin(&origin)
        .var("stale_if_error", "2592000");
    let long = long.start().await;
    let usual = App::builder().origin(&origin).start().await;
    for (app, control, query, fresh) in [
        (
            &usual,
            "s-maxage=60, stale-while-revalidate=31535940",
            "",
            60,
        ),
        (&usual, "max-age=31536000", "", 2_592_000),
        (&usual, "public", "?expire=2592000", 2_592_000),
        (&long, "max-age=60", "", 60),
        (&long, "max-age=31536000", "", 2_592_000),
    ] {
        assert!((fresh - 2..=fresh).contains(&(kept_for(app, &origin, control, query).await - 1)));
        let asked = origin.seen().len();
        let hit = app.get(USER).await;
        assert!(hit.number("age") <= 2, "{control}: {hit:?}");
        assert!((fresh - 3..=fresh).contains(&max_age(&hit)), "{control}");
        assert_eq!(origin.seen().len(), asked, "{control}");
    }
}

#[tokio::test]
async fn a_reading_never_outlives_the_fence_it_depends_on() {
    let (app, _origin) = before(Reply::json("{}").header("cache-control", "max-age=9999999")).await;
    app.perform("user_id=42").await.assert_success();
    app.get(USER).await.assert_body(200, "{}");
    let fence = app.redis.ms_left("{user:42:lock}:fence").await;
    let reading = app.redis.ms_left(ENTRY).await;
    // More than a script takes: the reading is kept after its fence was prolonged.
    assert!(fence > reading + 500, "{fence} {reading}");
}

#[tokio::test]
async fn what_may_not_be_kept_without_an_explicit_lifetime_is_not() {
    let (app, origin) = before(Reply::json("{}")).await;
    for (status, control, kept) in [
        (200, "", true),
        (203, "", true),
        (201, "", false),
        (202, "", false),
        (206, "", false),
        (299, "", false),
        (202, "max-age=60", true),
        (206, "max-age=60", false),
    ] {
        let reply = Reply::Plain(status, "application/json", "1".into());
        origin.reply_with(reply.header("cache-control", control));
        let before = origin.seen().len();
        for _ in 0..2 {
            app.get(USER).await.assert_body(200, "1");
        }
        assert_eq!(
            origin.seen().len() - before,
            if kept { 1 } else { 2 },
            "{status} {control}"
        );
        let _: i64 = app
            .redis
            .run(&["DEL", ENTRY, "{user:42:lock}:origin:outcome"])
            .await;
    }
}

#[tokio::test]
async fn what_varies_by_anything_is_not_kept() {
    let (app, origin) = before(Reply::json("{}")).await;
    for vary in ["*", "Accept, *"] {
        let before = origin.seen().len();
        origin.reply_with(Reply::json("{}").header("vary", vary));
        for _ in 0..2 {
            let read = app.get(USER).await;
            assert_eq!(read.header("cache-control"), Some("no-store"), "{vary}");
        }
        assert_eq!(origin.seen().len() - before, 2, "{vary}");
    }
}

#[tokio::test]
async fn the_age_is_told_also_of_what_is_not_kept() {
    let aged = Reply::json("{}").header("age", "7200, 0");
    let (app, _origin) = before(aged.header("cache-control", "max-age=600")).await;
    let read = app.get(USER).await;
    assert_eq!(read.header("age"), Some("7200"));
    assert_eq!(read.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn for_a_caller_who_says_no_store_nothing_is_kept() {
    let (app, origin) = before(Reply::json("1")).await;
    for control in ["no-store", "no-store, no-cache"] {
        let read = app.get(USER).header("cache-control", control).await;
        read.assert_body(200, "1");
        assert_eq!(read.header("cache-control"), Some("no-store"));
        assert!(!app.redis.exists(ENTRY).await, "{control}");
    }
    assert_eq!(origin.seen().len(), 2);
    // What others had kept is served.
    app.get(USER).await.assert_body(200, "1");
    let read = app.get(USER).header("cache-control", "no-store").await;
    read.assert_body(200, "1");
    assert_eq!(origin.seen().len(), 3);
}
