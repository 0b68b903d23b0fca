//! A lock that is held from one call to the next.

use edgelatch_tests::{App, until};
use tokio::task::JoinHandle;

use super::{post, start, told};

const LOCK: &str = "user:42:lock";

async fn library() -> App {
    start("tests/library").await
}

/// Takes the lock with a token of the library's. Returns the token and the number of the
/// acquisition.
async fn taken(app: &App, owner: &str) -> (String, i64) {
    let text = told(app, &format!("/lease/grant/random/{owner}")).await;
    let (token, rest) = text.split_once(' ').unwrap();
    let number = rest.strip_suffix(" new").unwrap();
    (token.to_owned(), number.parse().unwrap())
}

/// A watcher in the background.
fn watching(app: &App, after: &str, timeout_ms: u32) -> JoinHandle<(u16, String)> {
    let address = app.address().to_owned();
    let path = format!("/lock/watch/{after}/{timeout_ms}");
    tokio::spawn(async move { post(&address, &path).await })
}

async fn set_by_a_stranger(app: &App) {
    app.redis.run::<String>(&["SET", LOCK, "another"]).await;
}

#[tokio::test]
async fn a_token_keeps_its_lock_from_call_to_call() {
    let app = library().await;
    let (token, number) = taken(&app, "ada").await;
    let again = told(&app, &format!("/lease/grant/{token}/ada")).await;
    assert_eq!(again, format!("{token} {number} renewed"));

    let other = "/lease/grant/sixteen-letters-/bob";
    let held = "held by ada, for a while, 0 waiting";
    assert_eq!(told(&app, other).await, held);

    app.redis.run::<i64>(&["PEXPIRE", LOCK, "60000"]).await;
    let renewed = told(&app, &format!("/lease/renew/{token}")).await;
    assert_eq!(renewed, format!("renewed {number}"));
    let left: i64 = app.redis.run(&["PTTL", LOCK]).await;
    assert!(left > 60_000, "{left} ms");

    let release = format!("/lease/release/{token}");
    assert_eq!(told(&app, &release).await, "released");
    assert!(!app.redis.exists(LOCK).await);
    assert_eq!(told(&app, &release).await, "lost");
    assert_eq!(told(&app, &format!("/lease/renew/{token}")).await, "lost");
    assert!(told(&app, other).await.starts_with("sixteen-letters- "));
}

#[tokio::test]
async fn anybody_may_see_who_holds_a_lock() {
    let app = library().await;
    let inspect = "/lock/inspect";
    assert_eq!(told(&app, inspect).await, "free, 0 waiting");
    let (_, number) = taken(&app, "ada").await;
    let held = format!("held under Some({number}) by ada, for a while, 0 waiting");
    assert_eq!(told(&app, inspect).await, held);
    set_by_a_stranger(&app).await;
    let held = "held under None by nobody by name, for ever, 0 waiting";
    assert_eq!(told(&app, inspect).await, held);
}

#[tokio::test]
async fn a_watcher_sees_when_the_holder_changes() {
    let app = library().await;
    let (token, number) = taken(&app, "ada").await;
    let held = told(&app, &format!("/lock/watch/{number}/300")).await;
    assert!(held.starts_with("held under Some("), "{held}");

    let watcher = watching(&app, &number.to_string(), 60_000);
    set_by_a_stranger(&app).await;
    let seen = watcher.await.unwrap().1;
    assert!(seen.starts_with("held under None"), "{seen}");

    let watcher = watching(&app, "none", 60_000);
    app.redis.run::<i64>(&["DEL", LOCK]).await;
    assert_eq!(watcher.await.unwrap().1, "free, 0 waiting");
    assert_eq!(told(&app, &format!("/lease/renew/{token}")).await, "lost");
}

#[tokio::test]
async fn a_lock_that_is_broken_is_lost_and_goes_to_the_longest_waiter() {
    let app = library().await;
    let (token, number) = taken(&app, "ada").await;
    let address = app.address().to_owned();
    let waiter = tokio::spawn(async move { post(&address, "/acquire/60000").await });
    until("somebody waits", || async {
        told(&app, "/lock/inspect").await.ends_with("1 waiting")
    })
    .await;

    let broken = told(&app, "/lock/break").await;
    assert_eq!(broken, format!("broke Some({number}) of ada"));
    let waited = waiter.await.unwrap().1;
    assert!(waited.starts_with("waited "), "{waited}");
    assert_eq!(told(&app, &format!("/lease/renew/{token}")).await, "lost");
    assert_eq!(told(&app, "/lock/break").await, "nobody held it");
}

#[tokio::test]
async fn a_lock_of_the_library_is_that_of_the_api() {
    for (ids, kind, user, in_api) in [
        ("integer", "number", "-7", "-7"),
        (
            "uuid",
            "uuid",
            "0190a5b87c3d7e4f8a9b0c1d2e3f4a5b",
            "0190a5b8-7c3d-7e4f-8a9b-0c1d2e3f4a5b",
        ),
        ("name", "name", "ada", "ada"),
    ] {
        let manifest = edgelatch_tests::root().join("tests/library/spin.toml");
        let app = App::builder().manifest(&manifest).var("user_ids", ids);
        let app = app.start().await;
        let key = told(&app, &format!("/lock-of/{kind}/{user}/nightly")).await;
        assert!(!app.redis.exists(&key).await);
        let lock = format!("/api/v1/users/{in_api}/locks/nightly");
        assert_eq!(app.post(&lock).await.status, 201);
        assert!(app.redis.exists(&key).await, "{key}");
    }
}
