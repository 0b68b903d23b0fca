//! `DELETE ...?force=true`: an administrator takes the lock from whoever holds it.

use edgelatch_tests::{App, AppBuilder, Call, Origin, Reply, until};
use serde_json::json;

use super::{Lease, OTHER_TOKEN, PLACES, Place, TOKEN};

pub(super) const API: &str = "the-token-of-everybody";
pub(super) const ADMIN: &str = "the-token-of-the-administrator";
const FREE: &str = r#"{"held":false,"waiting":0}"#;

pub(super) fn guarded() -> AppBuilder {
    let app = App::builder().patient();
    app.var("api_token", API).var("admin_token", ADMIN)
}

pub(super) fn by(call: Call, token: &str) -> Call {
    call.header("authorization", &format!("Bearer {token}"))
}

impl Place {
    pub(super) fn force(self, app: &App) -> Call {
        by(app.delete(&format!("{}?force=true", self.path)), ADMIN)
    }

    pub(super) fn post(self, app: &App, query: &str, token: &str) -> Call {
        let call = by(app.post(&format!("{}?{query}", self.path)), API);
        call.header("lock-token", token)
    }
}

#[tokio::test]
async fn a_broken_holder_finds_out() {
    let app = guarded().start().await;
    for place in PLACES {
        let held = Lease::of(&place.post(&app, "expire=60", TOKEN).await, 201);
        place.force(&app).await.assert_body(204, "");
        by(app.get(place.path), ADMIN).await.assert_body(200, FREE);
        let own = |call: Call| by(call, API).header("lock-token", TOKEN);
        own(app.put(place.path))
            .await
            .assert_problem(409, "not-lock-owner");
        own(app.delete(place.path))
            .await
            .assert_problem(409, "not-lock-owner");
        // Where it is free: nothing to do.
        place.force(&app).await.assert_body(204, "");
        let next = Lease::of(&place.post(&app, "", OTHER_TOKEN).await, 201);
        assert!(next.fencing_token > held.fencing_token);
        own(app.put(place.path))
            .await
            .assert_problem(409, "not-lock-owner");
        own(app.delete(place.path))
            .await
            .assert_problem(409, "not-lock-owner");
        assert_eq!(app.redis.get(place.key).await.as_deref(), Some(OTHER_TOKEN));
    }
    assert_eq!(app.redis.keys_without_expiry().await, Vec::<String>::new());
}

#[tokio::test]
async fn who_breaks_is_1_to_128_visible_ascii_and_spaces() {
    let app = guarded().start().await;
    let longest = "x".repeat(128);
    for place in PLACES {
        place.post(&app, "expire=60", TOKEN).await.assert_success();
        for bad in ["", "   ", "Jürgen", "a\tb", &format!("{longest}!")] {
            let refused = place.force(&app).header("lock-owner", bad).await;
            assert_eq!(refused.faults(), ["header.Lock-Owner"], "{bad:?}");
        }
        let twice = place.force(&app).header("lock-owner", "a");
        let twice = twice.header("lock-owner", "b").await;
        assert_eq!(twice.faults(), ["header.Lock-Owner"]);
        // Nothing was done, and who may not ask is told nothing else.
        assert_eq!(app.redis.get(place.key).await.as_deref(), Some(TOKEN));
        let not_allowed = by(app.delete(&format!("{}?force=true", place.path)), API);
        let not_allowed = not_allowed.header("lock-owner", "").await;
        not_allowed.assert_problem(403, "admin-only");
        let good = place.force(&app).header("lock-owner", &longest).await;
        good.assert_body(204, "");
        assert!(!app.redis.exists(place.key).await);
    }
}

#[tokio::test]
async fn a_release_has_no_use_for_an_owner() {
    let app = guarded().start().await;
    for place in PLACES {
        for query in ["", "?force=false"] {
            place.post(&app, "", TOKEN).await.assert_success();
            let release = by(app.delete(&format!("{}{query}", place.path)), API);
            let release = release.header("lock-token", TOKEN);
            release.header("lock-owner", "").await.assert_body(204, "");
        }
    }
}

#[tokio::test]
async fn a_broken_action_can_not_commit() {
    let origin = Origin::start(Reply::json("1").gated()).await;
    let app = guarded().origin(&origin).start().await;
    let place = PLACES[0];
    let action = by(app.perform("user_id=42&expire=60"), API).spawn();
    origin.until_seen(1).await;
    place.force(&app).await.assert_body(204, "");
    origin.release_one();
    action.await.unwrap().assert_problem(409, "lock-lost");
    let last = "/api/v1/users/42/cache/last-action";
    by(app.get(last), API)
        .await
        .assert_problem(404, "not-found");
    // Its next renewal ends it early.
    let action = by(app.perform("user_id=42&expire=0.5"), API).spawn();
    origin.until_seen(2).await;
    place.force(&app).await.assert_body(204, "");
    action.await.unwrap().assert_problem(409, "lock-lost");
}

#[tokio::test]
async fn the_longest_living_waiter_gets_it_at_once() {
    let app = guarded().start().await;
    let mut other = guarded().beside(&app.redis);
    for place in PLACES {
        let held = Lease::of(&place.post(&app, "expire=60", TOKEN).await, 201);
        let query = "timeout=30&expire=60";
        let dead = by(other.post(&format!("{}?{query}", place.path)), API).spawn();
        place.until_queued(&app, 1).await;
        other.kill();
        let first = place.post(&app, query, OTHER_TOKEN);
        let first = first.header("lock-owner", "the first").spawn();
        place.until_queued(&app, 2).await;
        let second = by(app.post(&format!("{}?{query}", place.path)), API).spawn();
        place.until_queued(&app, 3).await;
        let living = async || by(app.get(place.path), API).await.json()["waiting"] == 2;
        until("the dead one is known to be dead", living).await;
        place.force(&app).await.assert_body(204, "");
        let state = by(app.get(place.path), API).await.json();
        assert_eq!(state["owner"], "the first", "{state}");
        let next = Lease::of(&first.await.unwrap(), 201);
        assert!(next.fencing_token > held.fencing_token);
        assert_eq!(next.token, OTHER_TOKEN);
        place.force(&app).await.assert_body(204, "");
        let last = Lease::of(&second.await.unwrap(), 201);
        assert!(last.fencing_token > next.fencing_token);
        place.force(&app).await.assert_body(204, "");
        assert!(dead.await.is_err());
        other.restart();
    }
}

#[tokio::test]
async fn a_strangers_lock_is_broken_whatever_it_is() {
    let app = guarded().start().await;
    for place in PLACES {
        let before = Lease::of(&place.post(&app, "expire=60", TOKEN).await, 201);
        let release = by(app.delete(place.path), API).header("lock-token", TOKEN);
        release.await.assert_body(204, "");
        for stranger in [
            ["SET", place.key, "locked"].as_slice(),
            &["RPUSH", place.key, "locked"],
            &["HSET", place.key, "locked", "1"],
        ] {
            app.redis.run::<redis::Value>(stranger).await;
            place.force(&app).await.assert_body(204, "");
            assert!(!app.redis.exists(place.key).await);
        }
        app.redis.run::<()>(&["SET", place.key, "locked"]).await;
        let waiter = place.post(&app, "timeout=30", OTHER_TOKEN).spawn();
        place.until_queued(&app, 1).await;
        place.force(&app).await.assert_body(204, "");
        let next = Lease::of(&waiter.await.unwrap(), 201);
        assert!(next.fencing_token > before.fencing_token);
    }
}

#[tokio::test]
async fn nothing_is_fresh_after_a_break() {
    let origin = Origin::start(Reply::json("1")).await;
    let app = guarded().origin(&origin).start().await;
    let place = PLACES[0];
    let user = async || {
        let answer = by(app.get("/api/v1/users/42"), API).await;
        answer.assert_success();
    };
    for stranger in [false, true] {
        app.redis.run::<()>(&["FLUSHALL"]).await;
        user().await;
        let fetched = origin.seen().len();
        user().await;
        assert_eq!(origin.seen().len(), fetched);
        if stranger {
            app.redis.run::<()>(&["SET", place.key, "locked"]).await;
        } else {
            place.post(&app, "expire=60", TOKEN).await.assert_success();
        }
        place.force(&app).await.assert_body(204, "");
        // The broken holder may still be at work: everybody reads for themselves.
        for more in 1..=2 {
            user().await;
            assert_eq!(origin.seen().len(), fetched + more, "{stranger}");
        }
    }
}

#[tokio::test]
async fn nobody_but_the_administrator_breaks_a_lock() {
    let app = guarded().start().await;
    let open = App::builder().patient().beside(&app.redis);
    let tokens = App::builder().patient().var("api_token", API);
    let without = tokens.beside(&app.redis);
    let place = PLACES[1];
    place.post(&app, "expire=60", TOKEN).await.assert_success();
    let path = format!("{}?force=true", place.path);
    by(app.delete(&path), API)
        .await
        .assert_problem(403, "admin-only");
    by(without.delete(&path), API)
        .await
        .assert_problem(403, "admin-only");
    by(without.delete(&path), ADMIN)
        .await
        .assert_problem(401, "unauthorized");
    open.delete(&path).await.assert_problem(403, "admin-only");
    by(open.delete(&path), ADMIN)
        .await
        .assert_problem(403, "admin-only");
    app.delete(&path).await.assert_problem(401, "unauthorized");
    // Not with the holder's token either.
    let own = by(app.delete(&path), API).header("lock-token", TOKEN).await;
    own.assert_problem(403, "admin-only");
    // Before anything else is looked at; what is not there is 404.
    let faulty = "/api/v1/users/x/lock?force=true&colour=red";
    by(app.delete(faulty), API)
        .await
        .assert_problem(403, "admin-only");
    let nowhere = "/api/v1/nothing?force=true";
    by(app.delete(nowhere), API)
        .await
        .assert_problem(404, "not-found");
    assert_eq!(app.redis.get(place.key).await.as_deref(), Some(TOKEN));
    // With a token that has nothing to do with it, malformed too.
    place
        .force(&app)
        .header("lock-token", "short")
        .await
        .assert_body(204, "");
    assert!(!app.redis.exists(place.key).await);
}

#[tokio::test]
async fn force_is_true_or_false() {
    let app = guarded().start().await;
    let place = PLACES[0];
    place.post(&app, "expire=60", TOKEN).await.assert_success();
    for bad in [
        "force",
        "force=",
        "force=1",
        "force=TRUE",
        "force=yes",
        "force=true&force=true",
    ] {
        let path = format!("{}?{bad}", place.path);
        let call = by(app.delete(&path), ADMIN).header("lock-token", TOKEN);
        assert_eq!(call.await.faults(), ["query.force"], "{bad}");
    }
    for method in ["GET", "POST", "PUT"] {
        let call = app.call(method, &format!("{}?force=false", place.path));
        let call = by(call, ADMIN).header("lock-token", TOKEN).await;
        assert_eq!(call.faults(), ["query.force"], "{method}");
    }
    let plain = format!("{}?force=false", place.path);
    let missing = by(app.delete(&plain), ADMIN).await;
    missing.assert_problem(428, "lock-token-required");
    let own = by(app.delete(&plain), API).header("lock-token", TOKEN);
    own.await.assert_body(204, "");
}

#[tokio::test]
async fn what_a_stranger_sets_after_a_break_is_a_strangers() {
    let app = guarded().start().await;
    for place in PLACES {
        for value in ["-", "", " ", "nobody", "broken:"] {
            place.post(&app, "expire=60", TOKEN).await.assert_success();
            place.force(&app).await.assert_body(204, "");
            app.redis.run::<()>(&["SET", place.key, value]).await;
            let state = by(app.get(place.path), API).await.json();
            assert_eq!(state["held"], true, "{value:?}");
            assert_eq!(state["fencing_token"], json!(null), "{value:?}");
            app.redis.run::<()>(&["DEL", place.key]).await;
        }
    }
}
