//! A lock is renewed while its action runs, for `max_hold` at most.

use std::time::{Duration, Instant};

use edgelatch_tests::{App, Origin, Pace, Reply, until};

const LOCK: &str = "user:1:lock";
const LAST_ACTION: &str = "{user:1:lock}:cache:last-action";

#[tokio::test]
async fn an_action_outlives_its_expire_by_renewal() {
    let origin = Origin::start(Reply::json("1").after(Duration::from_secs(3))).await;
    let app = App::builder().origin(&origin).start().await;
    let action = app.perform("user_id=1&expire=1").spawn();
    origin.until_seen(1).await;
    let token = app.redis.get(LOCK).await;
    while app.redis.get(LOCK).await == token {
        let left = left(&app).await;
        assert!(left <= 1_000, "{left} ms");
    }
    // It was given back, in the step that writes last-action, and not lost.
    assert!(app.redis.exists(LAST_ACTION).await, "the lock was lost");
    let answer = action.await.unwrap();
    answer.assert_body(200, r#"{"status":"success","result":1}"#);
    assert!(answer.timing("action") >= 2_999.0);
}

#[tokio::test]
async fn it_is_renewed_at_a_third_of_expire() {
    let origin = Origin::start(Reply::nothing().gated()).await;
    let app = App::builder().origin(&origin).start().await;
    let action = app.perform("user_id=1&expire=3").spawn();
    origin.until_seen(1).await;
    let (mut looked, mut most) = (Instant::now(), left(&app).await);
    let least = loop {
        let asked = Instant::now();
        let now = left(&app).await;
        if now > most {
            break most - looked.elapsed().as_millis() as i64;
        }
        (looked, most) = (asked, now);
    };
    // Between two looks. A second late, on a machine that is busy.
    assert!(
        most >= 1_000 && least <= 2_010,
        "renewed with {least} to {most} ms left"
    );
    origin.release_one();
    assert_eq!(action.await.unwrap().status, 200);
}

/// What the lock has left, in milliseconds.
async fn left(app: &App) -> i64 {
    app.redis.run(&["PTTL", LOCK]).await
}

#[tokio::test]
async fn max_hold_ends_an_action_with_409_and_its_lock_is_free() {
    let origin = Origin::start(Reply::json(r#""earlier""#)).await;
    let app = App::builder()
        .origin(&origin)
        .var("max_hold", "1.2")
        .start()
        .await;
    app.perform("user_id=1&expire=1")
        .await
        .assert_body(200, r#"{"status":"success","result":"earlier"}"#);
    let earlier = app.redis.get(LAST_ACTION).await;
    origin.reply_with(Reply::json(r#""late""#).gated());
    let pace = Pace::watch(&app);
    let answer = app.perform("user_id=1&expire=1").await;
    answer.assert_problem(409, "lock-lost");
    assert_eq!(app.redis.get(LAST_ACTION).await, earlier);
    origin.reply_with(Reply::nothing());
    let free = app.attempt("user_id=1").await;
    free.assert_body(200, r#"{"status":"success"}"#);
    // Counted from the acquisition, and longer than `expire`: it was renewed until then.
    assert!(answer.timing("action") >= 1_150.0, "{answer:?}");
    let most = Duration::from_millis(1_450) + pace.slowest().await;
    assert!(answer.took <= most, "{:?}", answer.took);
}

#[tokio::test]
async fn an_expire_above_max_hold_is_not_renewed() {
    let origin = Origin::start(Reply::nothing().after(Duration::from_millis(1_000))).await;
    let app = App::builder()
        .origin(&origin)
        .var("max_hold", "0.3")
        .start()
        .await;
    let action = app.perform("user_id=1&expire=2.4").spawn();
    origin.until_seen(1).await;
    let mut last = left(&app).await;
    assert!((301..=2_400).contains(&last), "{last} ms");
    // It outlasts max_hold and a third of its expire.
    while !action.is_finished() {
        let now = left(&app).await;
        assert!(now <= last, "renewed from {last} to {now} ms");
        last = now;
    }
    action
        .await
        .unwrap()
        .assert_body(200, r#"{"status":"success"}"#);
}

#[tokio::test]
async fn an_action_longer_than_its_unrenewed_lock_is_409() {
    let origin = Origin::start(Reply::nothing().gated()).await;
    let app = App::builder()
        .origin(&origin)
        .var("max_hold", "0.3")
        .start()
        .await;
    let answer = app.perform("user_id=1&expire=0.9").await;
    answer.assert_problem(409, "lock-lost");
    assert!(answer.timing("action") >= 800.0, "{answer:?}");
    assert!(!app.redis.exists(LAST_ACTION).await);
    until("the lock is free", || async {
        !app.redis.exists(LOCK).await
    })
    .await;
}
