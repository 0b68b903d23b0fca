//! The line of the log that a forced break leaves.

use edgelatch_tests::{App, Loss, Proxy, RedisServer, until};
use serde_json::{Value, json};

use super::force::{ADMIN, API, guarded};
use super::{Lease, PLACES, Place, TOKEN};

#[tokio::test]
async fn a_line_says_who_broke_whose_lock() {
    let app = guarded().var("log_key", "a-key-for-tests").start().await;
    let place = PLACES[1];
    let lines = |id: &str| -> Vec<Value> {
        let logs = app.logs();
        let lines = logs.lines().filter(|line| line.contains(id));
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let take = place.post(&app, "expire=60", TOKEN);
    let held = Lease::of(&take.header("lock-owner", "billing \"17\"").await, 201);
    let force = place.force(&app).header("lock-owner", "ada \"on call\"");
    force.header("x-request-id", "broke-it").await;
    until("it is logged", async || !lines("broke-it").is_empty()).await;
    app.redis.run::<()>(&["SET", place.key, "locked"]).await;
    place
        .force(&app)
        .header("x-request-id", "broke-a-stranger")
        .await;
    until("it is logged", async || {
        !lines("broke-a-stranger").is_empty()
    })
    .await;
    place
        .force(&app)
        .header("x-request-id", "found-it-free")
        .await;
    let broke = lines("broke-it");
    assert_eq!(broke.len(), 1, "{}", app.logs());
    let line = &broke[0];
    assert_eq!(line["event"], "lock-broken");
    assert_eq!(line["outcome"], "broken");
    assert_eq!(line["owner"], "billing \"17\"");
    assert_eq!(line["fencing_token"], held.fencing_token);
    assert_eq!(line["by"], "ada \"on call\"");
    let user = line["user"].as_str().unwrap_or_default();
    assert_eq!(user.len(), 16, "{line}");
    humantime::parse_rfc3339(line["time"].as_str().unwrap()).unwrap();
    let stranger = &lines("broke-a-stranger")[0];
    for of_nobody in ["owner", "fencing_token", "by"] {
        assert_eq!(stranger.get(of_nobody), Some(&json!(null)), "{of_nobody}");
    }
    assert_eq!(lines("found-it-free"), Vec::<Value>::new());
    for secret in [TOKEN, API, ADMIN, "user:42"] {
        assert!(!app.logs().contains(secret), "{secret}");
    }
}

/// The line of the break that this request made.
async fn broken(app: &App, place: Place, id: &str) -> Value {
    place.post(app, "expire=60", TOKEN).await.assert_success();
    place.force(app).header("x-request-id", id).await;
    the_line(app, id).await
}

async fn the_line(app: &App, id: &str) -> Value {
    let line = || {
        let logs = app.logs();
        let mut lines = logs.lines().filter(|line| line.contains(id));
        let line = lines.find(|line| line.contains("lock-broken"));
        line.map(|line| serde_json::from_str::<Value>(line).unwrap())
    };
    until("it is logged", async || line().is_some()).await;
    line().unwrap()
}

#[tokio::test]
async fn a_line_says_which_lock_was_broken() {
    let app = guarded().var("log_key", "a-key-for-tests").start().await;
    let named = |path, key| Place {
        path,
        key,
        fence: "",
    };
    let own = named("/api/v1/users/802/lock", "user:802:lock");
    let deploy = named(
        "/api/v1/users/802/locks/zq-deploy",
        "user:802:lock:zq-deploy",
    );
    let again = named(
        "/api/v1/users/803/locks/zq%2Ddeploy",
        "user:803:lock:zq-deploy",
    );
    let other = named("/api/v1/users/802/locks/zq-other", "user:802:lock:zq-other");
    let own = broken(&app, own, "broke-own").await;
    let deploy = broken(&app, deploy, "broke-deploy").await;
    let again = broken(&app, again, "broke-again").await;
    let other = broken(&app, other, "broke-other").await;
    assert_eq!(own["route"], "/api/v1/users/{user_id}/lock");
    assert_eq!(own.get("name"), None);
    assert_eq!(deploy["route"], "/api/v1/users/{user_id}/locks/{name}");
    assert_eq!(deploy["name"].as_str().map(str::len), Some(16), "{deploy}");
    // One name has one hash, whoever's lock it is.
    assert_eq!(deploy["name"], again["name"]);
    assert_ne!(deploy["name"], other["name"]);
    assert_ne!(deploy["user"], again["user"]);
    assert!(!app.logs().contains("zq-"), "{}", app.logs());
    // Without a key nothing is hashed.
    let plain = guarded().start().await;
    let line = broken(&plain, PLACES[1], "broke-plainly").await;
    assert_eq!((line.get("user"), line.get("name")), (None, None));
    assert_eq!(line["route"], "/api/v1/users/{user_id}/locks/{name}");
}

#[tokio::test]
async fn a_break_that_is_not_answered_has_a_line_too() {
    let redis = RedisServer::start().await;
    let link = Proxy::start(redis.port()).await;
    let app = guarded().redis(redis);
    let app = app.var("redis_timeout", "0.5");
    let app = app
        .var("redis_port", &link.port().to_string())
        .start()
        .await;
    for place in PLACES {
        // The script is known to Redis then.
        broken(&app, place, "before").await;
        place.post(&app, "expire=60", TOKEN).await.assert_success();
        link.lose_answer_to(place.key, Loss::Swallow);
        let id = format!("lost-{}", place.key);
        let force = place.force(&app).header("lock-owner", "ada");
        let answer = force.header("x-request-id", &id).await;
        answer.assert_problem(503, "redis-timeout");
        let detail = answer.json()["detail"].to_string();
        assert!(detail.contains("may have been broken or not"), "{detail}");
        assert!(link.is_spent());
        assert!(!app.redis.exists(place.key).await);
        let line = the_line(&app, &id).await;
        assert_eq!(line["outcome"], "unknown");
        let told = (&line["owner"], &line["fencing_token"]);
        assert_eq!(told, (&json!(null), &json!(null)));
        assert_eq!(line["by"], "ada");
    }
}

#[tokio::test]
async fn a_break_that_was_never_sent_has_no_line() {
    let mut app = guarded().start().await;
    app.redis.kill();
    let force = PLACES[0]
        .force(&app)
        .header("x-request-id", "not-sent")
        .await;
    force.assert_problem(503, "redis-unavailable");
    let detail = force.json()["detail"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    assert!(detail.ends_with("the lock was not broken"), "{detail}");
    let of_request = || app.logs().lines().any(|line| line.contains("not-sent"));
    until("the failure is logged", async || of_request()).await;
    assert!(!app.logs().contains("lock-broken"), "{}", app.logs());
}
