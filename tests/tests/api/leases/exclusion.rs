//! Who excludes whom.

use edgelatch_tests::{App, Origin, Reply};
use futures::future::join_all;

use super::{Lease, PLACES};

#[tokio::test]
async fn a_lease_on_the_users_lock_excludes_actions() {
    let app = App::patient().await;
    let lease = PLACES[0].acquire(&app).await;
    let answer = app.perform("user_id=42&timeout=0").await;
    answer.assert_problem(423, "lock-held");
    assert!(answer.number("retry-after") > 30);
    let answer = app.attempt("user_id=42").await;
    answer.assert_body(
        200,
        r#"{"status":"failed","detail":"Could not acquire lock"}"#,
    );
    assert!(answer.number("retry-after") > 30);
    app.delete(PLACES[0].path)
        .header("lock-token", &lease.token)
        .await
        .assert_body(204, "");
    let answer = app.attempt("user_id=42").await;
    answer.assert_body(200, r#"{"status":"success"}"#);
    // Leases and actions count on together.
    assert!(answer.number("fencing-token") > lease.fencing_token);
}

#[tokio::test]
async fn an_action_excludes_leases_on_the_users_lock() {
    let origin = Origin::start(Reply::Gated(Box::new(Reply::nothing()))).await;
    let app = App::builder().patient().origin(&origin).start().await;
    let action = app.perform("user_id=42&expire=60").spawn();
    origin.until_seen(1).await;
    let held = app.post(PLACES[0].path).await;
    held.assert_problem(423, "lock-held");
    assert!(held.number("retry-after") > 30);
    let waiter = app.post(&format!("{}?timeout=30", PLACES[0].path)).spawn();
    // Its other locks are free meanwhile.
    PLACES[1].acquire(&app).await;
    origin.release_one();
    let done = action.await.unwrap();
    assert_eq!(done.status, 200);
    let lease = Lease::of(&waiter.await.unwrap(), 201);
    assert!(lease.fencing_token > done.number("fencing-token"));
}

#[tokio::test]
async fn named_locks_are_independent() {
    let app = App::patient().await;
    PLACES[1].acquire(&app).await;
    for free in [
        "/api/v1/users/42/lock",
        "/api/v1/users/42/locks/Build",
        "/api/v1/users/42/locks/build:2",
        "/api/v1/users/42/locks/lock",
        "/api/v1/users/7/locks/build",
        "/api/v1/users/-42/locks/build",
    ] {
        Lease::of(&app.post(free).await, 201);
    }
    // Neither do they hinder actions of a user whose own lock is free.
    app.attempt("user_id=7")
        .await
        .assert_body(200, r#"{"status":"success"}"#);
    app.post(PLACES[1].path)
        .await
        .assert_problem(423, "lock-held");
}

#[tokio::test]
async fn users_locks_are_independent_of_each_other() {
    let app = App::patient().await;
    PLACES[0].acquire(&app).await;
    for user in ["7", "-42", "4", "420", "0"] {
        let path = format!("/api/v1/users/{user}/lock");
        Lease::of(&app.post(&path).await, 201);
    }
}

#[tokio::test]
async fn names_may_hold_every_allowed_character() {
    let app = App::patient().await;
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~:-";
    let path = format!("/api/v1/users/42/locks/{alphabet}");
    Lease::of(&app.post(&path).await, 201);
    assert!(app.redis.exists(&format!("user:42:lock:{alphabet}")).await);
    let longest = format!("/api/v1/users/42/locks/{}", "n".repeat(128));
    Lease::of(&app.post(&longest).await, 201);
    // `%62uild` is `build`.
    PLACES[1].acquire(&app).await;
    app.post("/api/v1/users/42/locks/%62uild")
        .await
        .assert_problem(423, "lock-held");
    for bad in ["a%2Fb", "a%20b", "a%00", "%C3%A9", "%FF", "a%7Bb", "a+b"] {
        let answer = app.post(&format!("/api/v1/users/42/locks/{bad}")).await;
        assert_eq!(answer.faults(), ["path.name"], "{bad}");
    }
    let longer = format!("/api/v1/users/42/locks/{}", "n".repeat(129));
    assert_eq!(app.post(&longer).await.faults(), ["path.name"]);
}

#[tokio::test]
async fn a_foreign_clients_key_excludes() {
    let app = App::patient().await;
    for place in PLACES {
        app.redis
            .run::<String>(&["SET", place.key, "locked", "NX", "EX", "60"])
            .await;
        let answer = app.post(place.path).await;
        answer.assert_problem(423, "lock-held");
        assert!(answer.number("retry-after") > 30);
        assert_eq!(app.redis.get(place.key).await.as_deref(), Some("locked"));
        // Without expiry, there is no telling when to try again.
        app.redis.run::<i64>(&["PERSIST", place.key]).await;
        let answer = app.post(place.path).await;
        answer.assert_problem(423, "lock-held");
        assert_eq!(answer.header("retry-after"), Some("1"));
        // Whatever its type.
        app.redis.run::<i64>(&["DEL", place.key]).await;
        app.redis.run::<i64>(&["SADD", place.key, "x"]).await;
        let answer = app.post(&format!("{}?timeout=0.05", place.path)).await;
        answer.assert_problem(423, "lock-held");
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert_eq!(app.redis.ms_left(place.key).await, -1);
    }
}

#[tokio::test]
async fn a_lease_is_a_key_that_excludes_foreign_clients() {
    let app = App::patient().await;
    for place in PLACES {
        let lease = place.acquire(&app).await;
        let set = ["SET", place.key, "locked", "NX", "EX", "60"];
        assert_eq!(app.redis.run::<Option<String>>(&set).await, None);
        app.delete(place.path)
            .header("lock-token", &lease.token)
            .await;
        let set = app.redis.run::<Option<String>>(&set).await;
        assert_eq!(set.as_deref(), Some("OK"));
    }
}

#[tokio::test]
async fn one_of_many_at_once_gets_the_lock() {
    let app = App::patient().await;
    for place in PLACES {
        let all = (0..24).map(|_| app.post(&format!("{}?expire=60", place.path)).spawn());
        let answers = join_all(all).await;
        let mut granted = 0;
        for answer in answers {
            let answer = answer.unwrap();
            if answer.status == 201 {
                granted += 1;
            } else {
                answer.assert_problem(423, "lock-held");
            }
        }
        assert_eq!(granted, 1);
    }
}

#[tokio::test]
async fn waiters_get_the_lock_one_after_the_other() {
    let app = App::patient().await;
    for place in PLACES {
        let turn = async || {
            let answer = app
                .post(&format!("{}?expire=60&timeout=60", place.path))
                .await;
            let lease = Lease::of(&answer, 201);
            // If two were in here, one would not be the holder.
            let held = app.get(place.path).await.json();
            assert_eq!(held["fencing_token"], lease.fencing_token);
            app.delete(place.path)
                .header("lock-token", &lease.token)
                .await
                .assert_body(204, "");
            lease.fencing_token
        };
        let mut tokens = join_all((0..8).map(|_| turn())).await;
        tokens.sort_unstable();
        tokens.dedup();
        assert_eq!(tokens.len(), 8);
    }
}
