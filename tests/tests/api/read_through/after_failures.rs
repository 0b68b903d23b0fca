//! What was read, or failed, before an action stands in for nothing after it.

use std::time::Duration;

use edgelatch_tests::{App, Origin, Reply, until};
use futures::future::join_all;

use super::{USER, before};

const LOCK: &str = "/api/v1/users/42/lock";

/// Removes the user's lock and its fence, as a Redis that loses its data does.
async fn lose_the_lock(app: &App) {
    let keys = ["DEL", "user:42:lock", "{user:42:lock}:fence"];
    let removed: i64 = app.redis.run(&keys).await;
    assert_eq!(removed, 2);
}

async fn assert_hit(app: &App, body: &str) {
    let answer = app.get(USER).await;
    answer.assert_body(200, body);
    let status = answer.header("cache-status").unwrap();
    assert!(status.starts_with("edgelatch; hit; ttl=3"), "{status}");
}

#[tokio::test]
async fn an_origin_that_failed_before_an_action_is_asked_after_it() {
    let (app, origin) = before(Reply::json("1")).await;
    app.get(USER).await.assert_body(200, "1");
    app.perform("user_id=42").await.assert_success();
    origin.reply_with(Reply::status(500, "{}"));
    app.get(USER).await.assert_body(200, "1");
    origin.reply_with(Reply::json("2"));
    app.perform("user_id=42").await.assert_success();
    let commands = app.redis.calls("evalsha").await;
    app.get(USER).await.assert_body(200, "2");
    assert_eq!(app.redis.calls("evalsha").await, commands + 2);
}

#[tokio::test]
async fn a_failure_that_no_cache_found_spares_nobody_after_an_action() {
    let (app, origin) = before(Reply::json("1")).await;
    app.get(USER).await.assert_body(200, "1");
    origin.reply_with(Reply::status(503, "{}"));
    let anew = app.get(USER).header("cache-control", "no-cache").await;
    anew.assert_problem(502, "origin-failed");
    origin.reply_with(Reply::json("2"));
    assert_eq!(app.post(LOCK).await.status, 201);
    app.get(USER).await.assert_body(200, "2");
}

#[tokio::test]
async fn the_failure_of_a_fetch_from_before_an_action_is_not_shared_after_it() {
    for failure in [500, 409, 410] {
        let (app, origin) = before(Reply::status(failure, "{}").gated()).await;
        let first = app.get(USER).spawn();
        origin.until_seen(1).await;
        origin.reply_with(Reply::json("2"));
        app.perform("user_id=42").await.assert_success();
        let later = app.get(USER).spawn();
        let commands = app.redis.calls("evalsha").await;
        until("it waits", || async {
            app.redis.calls("evalsha").await >= commands + 5
        })
        .await;
        origin.release_one();
        first.await.unwrap().assert_problem(502, "origin-failed");
        later.await.unwrap().assert_body(200, "2");
    }
}

/// Asserts that five reads answer the stale value, and how often the origin was asked meanwhile.
async fn assert_stale(app: &App, origin: &Origin, asked: usize) {
    let before = origin.seen().len();
    for _ in 0..5 {
        app.get(USER).await.assert_body(200, "1");
    }
    assert_eq!(origin.seen().len() - before, asked);
}

#[tokio::test]
async fn a_failing_origin_is_spared_while_one_holder_has_the_lock() {
    let (app, origin) = before(Reply::json("1")).await;
    app.get(USER).await.assert_body(200, "1");
    origin.reply_with(Reply::status(500, "{}"));
    for _ in 0..2 {
        // Asked for each holder, and after it.
        let lease = app.post(&format!("{LOCK}?expire=60")).await.json();
        assert_stale(&app, &origin, 1).await;
        let token = lease["token"].as_str().unwrap();
        let given_back = app.delete(LOCK).header("lock-token", token).await;
        given_back.assert_body(204, "");
        assert_stale(&app, &origin, 1).await;
    }
    assert_eq!(app.post(LOCK).await.status, 201);
    origin.reply_with(Reply::json("2"));
    app.get(USER).await.assert_body(200, "2");
}

#[tokio::test]
async fn a_failing_origin_is_spared_after_an_action_that_may_go_on() {
    let origin = Origin::start(Reply::json("1")).await;
    let app = App::builder().origin(&origin).var("origin_timeout", "0.5");
    let app = app.start().await;
    app.get(USER).await.assert_body(200, "1");
    origin.reply_with(Reply::json("2").gated());
    let action = app.perform("user_id=42").spawn();
    origin.until_seen(2).await;
    origin.reply_with(Reply::status(500, "{}"));
    assert_stale(&app, &origin, 1).await;
    action.await.unwrap().assert_problem(504, "origin-timeout");
    // What failed during the action may be over after it.
    assert_stale(&app, &origin, 1).await;
    origin.reply_with(Reply::json("2"));
    app.perform("user_id=42").await.assert_success();
    app.get(USER).await.assert_body(200, "2");
}

#[tokio::test]
async fn a_failure_during_an_action_spares_nobody_after_it() {
    let (app, origin) = before(Reply::json("1")).await;
    app.get(USER).await.assert_body(200, "1");
    origin.reply_with(Reply::json("2").gated());
    let action = app.perform("user_id=42").spawn();
    origin.until_seen(2).await;
    origin.reply_with(Reply::status(500, "{}"));
    assert_stale(&app, &origin, 1).await;
    origin.reply_with(Reply::json("2"));
    origin.release_one();
    action.await.unwrap().assert_success();
    app.get(USER).await.assert_body(200, "2");
}

#[tokio::test]
async fn strangers_are_not_told_apart_so_none_of_them_spares_the_origin() {
    let (app, origin) = before(Reply::json("1")).await;
    app.get(USER).await.assert_body(200, "1");
    origin.reply_with(Reply::status(500, "{}"));
    for stranger in [["SET", "user:42:lock", "1"], ["RPUSH", "user:42:lock", "1"]] {
        let _: i64 = app.redis.run(&["DEL", "user:42:lock"]).await;
        let _: redis::Value = app.redis.run(&stranger).await;
        assert_stale(&app, &origin, 5).await;
    }
}

#[tokio::test]
async fn a_failure_is_shared_while_one_holder_has_the_lock() {
    let (app, origin) = before(Reply::status(500, "{}").gated()).await;
    assert_eq!(app.post(&format!("{LOCK}?expire=60")).await.status, 201);
    let first = app.get(USER).spawn();
    origin.until_seen(1).await;
    let commands = app.redis.calls("evalsha").await;
    let others: Vec<_> = (0..5).map(|_| app.get(USER).spawn()).collect();
    until("they wait", || async {
        app.redis.calls("evalsha").await >= commands + 50
    })
    .await;
    origin.reply_with(Reply::json("2"));
    origin.release_one();
    for read in others.into_iter().chain([first]) {
        read.await.unwrap().assert_problem(502, "origin-failed");
    }
    assert_eq!(origin.seen().len(), 1);
}

#[tokio::test]
async fn a_409_makes_stale_what_was_read_since_the_lock_was_lost() {
    let (app, origin) = before(Reply::json("1").gated()).await;
    let action = app.perform("user_id=42&expire=60").spawn();
    origin.until_seen(1).await;
    origin.reply_with(Reply::json("1"));
    lose_the_lock(&app).await;
    app.get(USER).await.assert_body(200, "1");
    assert_hit(&app, "1").await;
    origin.reply_with(Reply::json("2"));
    origin.release_one();
    action.await.unwrap().assert_problem(409, "lock-lost");
    app.get(USER).await.assert_body(200, "2");
    assert_hit(&app, "2").await;
}

#[tokio::test]
async fn a_lease_that_is_refused_makes_it_stale_too() {
    for method in ["PUT", "DELETE"] {
        let origin = Origin::start(Reply::json("1")).await;
        let app = App::builder().origin(&origin).var("origin_timeout", "2");
        let app = app.var("max_hold", "0.5").patient().start().await;
        let lease = app.post(&format!("{LOCK}?expire=60")).await.json();
        let removed: i64 = app.redis.run(&["DEL", "user:42:lock"]).await;
        assert_eq!(removed, 1);
        until("what the holder has begun is over", async || {
            let answer = app.get(USER).await;
            answer
                .header("cache-status")
                .unwrap()
                .contains("hit; ttl=3")
        })
        .await;
        origin.reply_with(Reply::json("2"));
        let request = if method == "PUT" {
            app.put(LOCK)
        } else {
            app.delete(LOCK)
        };
        let refused = request.header("lock-token", lease["token"].as_str().unwrap());
        refused.await.assert_problem(409, "not-lock-owner");
        app.get(USER).await.assert_body(200, "2");
    }
}

#[tokio::test]
async fn a_refused_token_that_never_held_the_lock_makes_nothing_stale() {
    let (app, origin) = before(Reply::json("1")).await;
    for acts in [false, true] {
        if acts {
            app.perform("user_id=42").await.assert_success();
        }
        app.get(USER).await.assert_body(200, "1");
        let asked = origin.seen().len();
        for request in [app.put(LOCK), app.delete(LOCK)] {
            let refused = request.header("lock-token", "0123456789abcdef").await;
            refused.assert_problem(409, "not-lock-owner");
            assert_hit(&app, "1").await;
        }
        assert_eq!(origin.seen().len(), asked);
    }
}

#[tokio::test]
async fn a_token_that_gave_the_lock_back_makes_nothing_stale() {
    let (app, _origin) = before(Reply::json("1")).await;
    let lease = app.post(LOCK).await.json();
    let token = lease["token"].as_str().unwrap();
    let given_back = app.delete(LOCK).header("lock-token", token).await;
    given_back.assert_body(204, "");
    app.get(USER).await.assert_body(200, "1");
    for request in [app.put(LOCK), app.delete(LOCK)] {
        let refused = request.header("lock-token", token).await;
        refused.assert_problem(409, "not-lock-owner");
        assert_hit(&app, "1").await;
    }
}

#[tokio::test]
async fn a_refused_token_leaves_nothing_for_a_lock_that_nobody_used() {
    let app = App::start().await;
    for request in [app.put(LOCK), app.delete(LOCK)] {
        let refused = request.header("lock-token", "0123456789abcdef");
        refused.await.assert_problem(409, "not-lock-owner");
    }
    assert!(!app.redis.exists("{user:42:lock}:fence").await);
}

#[tokio::test]
async fn where_nothing_may_be_served_stale_an_action_changes_nothing_about_it() {
    for (control, window) in [
        ("max-age=600, must-revalidate", "300"),
        ("max-age=600, stale-if-error=0", "300"),
        ("s-maxage=600", "300"),
        ("max-age=600", "0"),
    ] {
        let origin = Origin::start(Reply::json("1").header("cache-control", control)).await;
        let app = App::builder()
            .origin(&origin)
            .var("stale_if_error", window)
            .start()
            .await;
        app.get(USER).await.assert_body(200, "1");
        app.perform("user_id=42").await.assert_success();
        origin.reply_with(Reply::status(500, "{}"));
        app.get(USER).await.assert_problem(502, "origin-failed");
    }
}

#[tokio::test]
async fn a_kept_404_does_not_stand_in_for_a_failure() {
    let (app, origin) = before(Reply::status(404, "{}")).await;
    app.get(USER).await.assert_problem(502, "origin-failed");
    assert_eq!(app.post(LOCK).await.status, 201);
    origin.reply_with(Reply::status(500, "{}"));
    assert_eq!(app.get(USER).await.json()["origin_status"], 500);
}

#[tokio::test]
async fn readers_whose_own_headers_are_refused_do_not_queue() {
    let origin = Origin::start(Reply::status(431, "{}").after(Duration::from_millis(300))).await;
    let app = App::builder()
        .origin(&origin)
        .var("origin_timeout", "2")
        .start()
        .await;
    let readers = join_all((0..20).map(|_| app.get(USER).spawn())).await;
    for answer in readers {
        answer.unwrap().assert_problem(502, "origin-failed");
    }
}

#[tokio::test]
async fn a_dead_fetcher_delays_others_by_less_than_origin_timeout() {
    let origin = Origin::start(Reply::json("1").gated()).await;
    let build = || App::builder().origin(&origin).var("origin_timeout", "2");
    let app = build().start().await;
    let mut other = build().beside(&app.redis);
    let _lost = other.get(USER).spawn();
    origin.until_seen(1).await;
    other.kill();
    origin.reply_with(Reply::json("2"));
    app.get(USER).await.assert_body(200, "2");
}

#[tokio::test]
async fn cache_status_tells_the_origins_own_status() {
    let reply = Reply::Plain(203, "application/json", "1".into());
    let (app, _origin) = before(reply).await;
    let answer = app.get(USER).await;
    answer.assert_body(200, "1");
    let status = answer.header("cache-status").unwrap();
    assert!(status.contains("fwd-status=203; stored"), "{status}");
}

#[tokio::test]
async fn behind_a_gateway_that_gave_up_the_origin_may_still_be_at_work() {
    let (app, origin) = before(Reply::json("1")).await;
    let statuses = [
        (408, false),
        (499, false),
        (502, false),
        (503, false),
        (504, false),
        (520, false),
        (524, false),
        (598, false),
        (400, true),
        (409, true),
        (500, true),
        (501, true),
    ];
    for (user, (status, is_kept)) in (1..).zip(statuses) {
        origin.reply_with(Reply::status(status, "{}"));
        let action = app.perform(&format!("user_id={user}")).await;
        action.assert_problem(502, "origin-failed");
        origin.reply_with(Reply::json("1"));
        let read = app.get(&format!("/api/v1/users/{user}")).await;
        read.assert_body(200, "1");
        let control = read.header("cache-control").unwrap();
        assert_eq!(control != "no-store", is_kept, "{status}: {control}");
    }
}
