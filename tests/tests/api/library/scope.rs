//! A lock as a scope always gives the lock back.

use edgelatch_tests::{App, until};
use tokio::task::JoinHandle;

use super::{post, start, told};

const LOCK: &str = "user:42:lock";
const QUEUE: &str = "{user:42:lock}:queue";

/// No test waits for the expiry of a lock with these times: no waiting, ten minutes.
const LONG: &str = "0/600000/600000";

async fn library() -> App {
    start("tests/library").await
}

/// A call in the background, once it holds the lock.
async fn holding(app: &App, path: &str) -> JoinHandle<(u16, String)> {
    let (address, path) = (app.address().to_owned(), path.to_owned());
    let call = tokio::spawn(async move { post(&address, &path).await });
    until("the lock is held", || app.redis.exists(LOCK)).await;
    call
}

async fn is_free(app: &App) -> bool {
    !app.redis.exists(LOCK).await
}

async fn take(app: &App) {
    let take = ["SET", LOCK, "another", "XX", "PX", "600000"];
    let taken: Option<String> = app.redis.run(&take).await;
    assert_eq!(taken.as_deref(), Some("OK"));
}

#[tokio::test]
async fn a_scope_that_succeeds_releases() {
    let app = library().await;
    let first = told(&app, &format!("/with-lock/succeed/{LONG}")).await;
    assert!(is_free(&app).await);
    let second = told(&app, &format!("/with-lock/succeed/{LONG}")).await;
    let token = |text: &str| text.strip_prefix("succeeded ").unwrap().parse::<i64>();
    assert!(token(&second).unwrap() > token(&first).unwrap());
}

#[tokio::test]
async fn a_scope_whose_work_fails_releases() {
    let app = library().await;
    let text = told(&app, &format!("/with-lock/fail/{LONG}")).await;
    assert_eq!(text, "failed");
    assert!(is_free(&app).await);
}

#[tokio::test]
async fn a_scope_that_is_dropped_releases() {
    let app = library().await;
    let call = holding(&app, &format!("/with-lock/drop/{LONG}")).await;
    assert_eq!(call.await.unwrap().1, "dropped");
    until("it is released in the background", || is_free(&app)).await;
}

/// Not released, the lock would live for more than a second longer: it was renewed just before.
#[tokio::test]
async fn a_scope_that_has_used_up_max_hold_releases() {
    let app = library().await;
    let text = told(&app, "/with-lock/hang/0/1500/1600").await;
    assert_eq!(text, "lost");
    assert!(is_free(&app).await);
}

#[tokio::test]
async fn a_scope_that_lost_its_lock_leaves_it_to_the_new_holder() {
    let app = library().await;
    let call = holding(&app, "/with-lock/hang/0/600/600000").await;
    take(&app).await;
    assert_eq!(call.await.unwrap().1, "lost");
    assert_eq!(app.redis.get(LOCK).await.as_deref(), Some("another"));
}

#[tokio::test]
async fn a_scope_whose_lock_is_gone_stops_its_work() {
    let app = library().await;
    let call = holding(&app, "/with-lock/hang/0/600/600000").await;
    app.redis.run::<i64>(&["DEL", LOCK]).await;
    assert_eq!(call.await.unwrap().1, "lost");
    assert!(is_free(&app).await);
}

#[tokio::test]
async fn a_scope_that_waited_in_vain_leaves_no_trace() {
    let app = library().await;
    let call = holding(&app, &format!("/with-lock/hang/{LONG}")).await;
    let text = told(&app, "/with-lock/succeed/200/600000/600000").await;
    assert_eq!(text, "held");
    assert!(!app.redis.exists(QUEUE).await);
    app.redis.run::<i64>(&["DEL", LOCK]).await;
    drop(call);
}

#[tokio::test]
async fn a_lease_ends_with_its_release_or_its_drop() {
    let app = library().await;
    for end in ["release", "renew", "work", "drop"] {
        let text = told(&app, &format!("/try-acquire/{end}")).await;
        assert!(text.starts_with("ended "), "{end}: {text}");
        until("it is released", || is_free(&app)).await;
    }
}

#[tokio::test]
async fn a_lock_that_is_held_is_not_acquired() {
    let app = library().await;
    app.redis
        .run::<String>(&["SET", LOCK, "another", "PX", "600000"])
        .await;
    assert_eq!(told(&app, "/try-acquire/release").await, "held");
    assert_eq!(told(&app, "/acquire/100").await, "held");
    assert_eq!(app.redis.get(LOCK).await.as_deref(), Some("another"));
}

#[tokio::test]
async fn a_waiter_gets_the_lock_when_it_expires() {
    let app = library().await;
    app.redis
        .run::<String>(&["SET", LOCK, "another", "PX", "400"])
        .await;
    let text = told(&app, "/acquire/20000").await;
    let waited: u64 = text.strip_prefix("waited ").unwrap().parse().unwrap();
    assert!((200..20_000).contains(&waited), "{waited} ms");
    assert!(is_free(&app).await);
}

#[tokio::test]
async fn a_commit_writes_and_removes_and_releases() {
    let app = library().await;
    let draft = ["SET", "{user:42:lock}:draft", "hell"];
    app.redis.run::<String>(&draft).await;
    let committed = told(&app, "/commit/hello").await;
    assert!(committed.starts_with("hello "), "{committed}");
    let written = app.redis.get("{user:42:lock}:text").await;
    assert_eq!(written, Some(committed));
    assert!(!app.redis.exists("{user:42:lock}:draft").await);
    assert!(is_free(&app).await);
}

#[tokio::test]
async fn a_commit_that_comes_too_late_changes_nothing() {
    let app = library().await;
    let draft = ["SET", "{user:42:lock}:draft", "hell"];
    app.redis.run::<String>(&draft).await;
    assert_eq!(told(&app, "/commit-late/hello").await, "lost");
    assert!(!app.redis.exists("{user:42:lock}:text").await);
    assert!(app.redis.exists("{user:42:lock}:draft").await);
    assert_eq!(app.redis.get(LOCK).await.as_deref(), Some("another"));
}
