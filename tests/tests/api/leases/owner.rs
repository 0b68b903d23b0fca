//! `Lock-Owner`: who holds the lock and why, and how many wait for it.

use edgelatch_tests::{App, Origin, Reply, until};
use serde_json::{Value, json};

use super::{OTHER_TOKEN, PLACES, Place, TOKEN};

const OWNER: &str = "billing run 17 on host-a";

impl Place {
    /// What is told of the holder.
    async fn told(self, app: &App) -> (Value, Value) {
        let state = app.get(self.path).await.json();
        assert_eq!(state["held"], true, "{state}");
        (state["owner"].clone(), state["waiting"].clone())
    }

    /// Takes the lock as this owner.
    async fn own(self, app: &App, query: &str, token: &str, owner: &str) -> u16 {
        let call = app.post(&format!("{}?{query}", self.path));
        let call = call.header("lock-token", token);
        call.header("lock-owner", owner).await.status
    }
}

#[tokio::test]
async fn the_owner_is_told_while_the_lock_is_held() {
    let app = App::patient().await;
    for place in PLACES {
        assert_eq!(place.own(&app, "expire=60", TOKEN, OWNER).await, 201);
        assert_eq!(place.told(&app).await, (json!(OWNER), json!(0)));
        // A renewal leaves it, whichever it is.
        app.put(place.path).header("lock-token", TOKEN).await;
        assert_eq!(place.told(&app).await.0, OWNER);
        let again = app.post(place.path).header("lock-token", TOKEN).await;
        assert_eq!(again.status, 200);
        assert_eq!(place.told(&app).await.0, OWNER);
        // One that tells another replaces it.
        assert_eq!(place.own(&app, "expire=60", TOKEN, "step 2").await, 200);
        assert_eq!(place.told(&app).await.0, "step 2");
        let released = app.delete(place.path).header("lock-token", TOKEN).await;
        assert_eq!(released.status, 204);
        let free = r#"{"held":false,"waiting":0}"#;
        app.get(place.path).await.assert_body(200, free);
        // The next holder has the same token, and is another one.
        app.post(place.path).header("lock-token", TOKEN).await;
        assert_eq!(place.told(&app).await.0, Value::Null);
    }
}

#[tokio::test]
async fn an_owner_is_told_of_its_own_hold_only() {
    let app = App::patient().await;
    for place in PLACES {
        place.own(&app, "expire=0.05", TOKEN, OWNER).await;
        until("it has expired", async || {
            !app.redis.exists(place.key).await
        })
        .await;
        app.redis
            .run::<()>(&["SET", place.key, "locked", "EX", "60"])
            .await;
        assert_eq!(place.told(&app).await, (Value::Null, json!(0)));
        let held = app.post(place.path).await;
        assert_eq!(
            held.assert_problem(423, "lock-held").json()["owner"],
            Value::Null
        );
        app.redis.run::<()>(&["DEL", place.key]).await;
        app.post(place.path).header("lock-token", OTHER_TOKEN).await;
        assert_eq!(place.told(&app).await.0, Value::Null);
    }
}

#[tokio::test]
async fn a_waiters_owner_is_told_once_it_has_the_lock() {
    let app = App::patient().await;
    for place in PLACES {
        place.own(&app, "expire=60", TOKEN, OWNER).await;
        let next = app.post(&format!("{}?timeout=30&expire=60", place.path));
        let next = next.header("lock-owner", "the next one");
        let next = next.header("lock-token", OTHER_TOKEN).spawn();
        place.until_queued(&app, 1).await;
        assert_eq!(place.told(&app).await, (json!(OWNER), json!(1)));
        app.delete(place.path).header("lock-token", TOKEN).await;
        // Before the waiter has claimed it, and after.
        assert_eq!(place.told(&app).await, (json!("the next one"), json!(0)));
        assert_eq!(next.await.unwrap().status, 201);
        assert_eq!(place.told(&app).await, (json!("the next one"), json!(0)));
    }
}

#[tokio::test]
async fn who_is_refused_is_told_the_owner_and_how_many_wait() {
    let app = App::patient().await;
    for place in PLACES {
        place.own(&app, "expire=60", TOKEN, OWNER).await;
        let waiter = app.post(&format!("{}?timeout=5", place.path)).spawn();
        place.until_queued(&app, 1).await;
        for query in ["timeout=0", "timeout=0.05"] {
            let refused = app.post(&format!("{}?{query}", place.path)).await;
            let problem = refused.assert_problem(423, "lock-held").json();
            assert_eq!(problem["owner"], OWNER);
            assert_eq!(problem["waiting"], 1, "{problem}");
            assert_eq!(problem["detail"], "Could not acquire lock");
        }
        app.delete(place.path).header("lock-token", TOKEN).await;
        waiter.await.unwrap().assert_success();
    }
    assert_eq!(
        PLACES[0].own(&app, "timeout=5", OTHER_TOKEN, OWNER).await,
        423
    );
}

#[tokio::test]
async fn an_action_is_told_the_owner_and_has_none() {
    let origin = Origin::start(Reply::nothing().gated()).await;
    let app = App::builder().patient().origin(&origin).start().await;
    let place = PLACES[0];
    place.own(&app, "expire=60", TOKEN, OWNER).await;
    let refused = app.perform("user_id=42&timeout=0").await;
    let problem = refused.assert_problem(423, "lock-held").json();
    assert_eq!(
        (&problem["owner"], &problem["waiting"]),
        (&json!(OWNER), &json!(0))
    );
    app.attempt("user_id=42").await.assert_body(
        200,
        r#"{"status":"failed","detail":"Could not acquire lock"}"#,
    );
    app.delete(place.path).header("lock-token", TOKEN).await;
    // What it sends is not its to say.
    let action = app
        .perform("user_id=42&expire=60")
        .header("lock-owner", OWNER);
    let action = action.spawn();
    origin.until_seen(1).await;
    assert_eq!(place.told(&app).await, (Value::Null, json!(0)));
    let refused = app.perform("user_id=42&timeout=0").await;
    let problem = refused.assert_problem(423, "lock-held").json();
    assert_eq!(
        (&problem["owner"], &problem["waiting"]),
        (&Value::Null, &json!(0))
    );
    origin.release_one();
    action.await.unwrap().assert_success();
}

#[tokio::test]
async fn waiters_that_died_are_not_counted() {
    let app = App::patient().await;
    let mut other = App::builder().patient().beside(&app.redis);
    let place = PLACES[0];
    place.own(&app, "expire=60", TOKEN, OWNER).await;
    let _dead = other.post(&format!("{}?timeout=60", place.path)).spawn();
    place.until_queued(&app, 1).await;
    let living = app.post(&format!("{}?timeout=60", place.path)).spawn();
    place.until_queued(&app, 2).await;
    assert_eq!(place.told(&app).await.1, 2);
    other.kill();
    until("the dead one is not counted", async || {
        place.told(&app).await.1 == 1
    })
    .await;
    let refused = app.post(place.path).await.json();
    assert_eq!(refused["waiting"], 1);
    app.delete(place.path).header("lock-token", TOKEN).await;
    living.await.unwrap().assert_success();
}

#[tokio::test]
async fn an_owner_is_1_to_128_visible_ascii_and_spaces() {
    let app = App::patient().await;
    let place = PLACES[1];
    let longest = format!("a{}z", " ~!".repeat(42));
    for good in ["x", "a b", "\"quoted\" \\ back", &longest] {
        assert_eq!(place.own(&app, "expire=60", TOKEN, good).await / 100, 2);
        assert_eq!(place.told(&app).await.0, good);
    }
    let too_long = format!("{longest}!");
    for bad in ["", "   ", "Jürgen", "a\tb", &too_long] {
        let call = app.post(place.path).header("lock-owner", bad);
        assert_eq!(call.await.faults(), ["header.Lock-Owner"], "{bad:?}");
    }
    let twice = app.post(place.path).header("lock-owner", "a");
    let twice = twice.header("lock-owner", "b").await;
    assert_eq!(twice.faults(), ["header.Lock-Owner"]);
    // All faults at once, and before those of the body and of the token.
    let all = app
        .post("/api/v1/users/x/lock?expire=0&colour=red")
        .header("lock-owner", "");
    let all = all.header("lock-token", "short").json("{").await;
    let expected = [
        "query.expire",
        "path.user_id",
        "header.Lock-Owner",
        "query.colour",
    ];
    assert_eq!(all.faults(), expected);
    // It is a header of POST.
    let renewed = app.put(place.path).header("lock-token", TOKEN);
    assert_eq!(renewed.header("lock-owner", "").await.status, 200);
    assert_eq!(place.told(&app).await.0, longest);
}

#[tokio::test]
async fn owner_and_waiting_cost_no_round_trip() {
    let app = App::patient().await;
    let place = PLACES[0];
    place.own(&app, "expire=60", TOKEN, OWNER).await;
    let waiter = app.post(&format!("{}?timeout=30", place.path)).spawn();
    place.until_queued(&app, 1).await;
    app.get("/api/v1/users/7/lock").await;
    let mut monitor = app.redis.monitor().await;
    place.own(&app, "expire=60", TOKEN, OWNER).await;
    app.get(place.path).await;
    app.post(place.path).await;
    let commands = monitor.commands().await;
    let sent = |command: &&String| command.starts_with("\"EVALSHA\"");
    // The waiter looks now and then, with its place in the queue.
    let own = commands
        .iter()
        .filter(sent)
        .filter(|text| !text.contains("\"wait\""));
    assert!(own.count() <= 4, "{commands:?}");
    app.delete(place.path).header("lock-token", TOKEN).await;
    waiter.await.unwrap().assert_success();
}
