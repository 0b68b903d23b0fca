//! `GET`: who holds the lock, as far as anybody may know.

use edgelatch_tests::{App, Origin, Reply};

use super::{Lease, PLACES, TOKEN};

#[tokio::test]
async fn a_free_lock_is_not_held() {
    let app = App::patient().await;
    for place in PLACES {
        let free = r#"{"held":false,"waiting":0}"#;
        app.get(place.path).await.assert_body(200, free);
        app.get(&format!("{}/", place.path))
            .await
            .assert_body(200, free);
        let lease = place.acquire(&app).await;
        app.delete(place.path)
            .header("lock-token", &lease.token)
            .await
            .assert_body(204, "");
        app.get(place.path).await.assert_body(200, free);
    }
}

#[tokio::test]
async fn a_held_lock_never_shows_its_token() {
    let app = App::patient().await;
    for place in PLACES {
        let acquired = app
            .post(&format!("{}?expire=60", place.path))
            .header("lock-token", TOKEN)
            .await;
        let lease = Lease::of(&acquired, 201);
        let before = app.redis.ms_left(place.key).await as f64;
        let answer = app.get(place.path).await;
        let after = app.redis.ms_left(place.key).await as f64;
        assert_eq!(answer.status, 200);
        let seen = answer.json();
        assert_eq!(seen.as_object().unwrap().len(), 5, "{seen}");
        assert_eq!(seen["held"], true);
        assert_eq!(seen["fencing_token"], lease.fencing_token);
        let ms = seen["expires_in"].as_f64().unwrap() * 1000.0;
        assert!(ms <= before + 0.5 && ms >= after - 0.5, "{ms}");
        // To look is not to touch, and the holder's token shows as little as anybody's.
        let with_token = app.get(place.path).header("lock-token", TOKEN).await;
        for shown in [&answer, &with_token] {
            assert!(!format!("{shown:?}").contains(TOKEN));
        }
        assert!(!app.logs().contains(TOKEN));
        let head = app.call("HEAD", place.path).await;
        assert_eq!((head.status, head.body.len()), (200, 0));
        assert_eq!(head.header("content-type"), Some("application/json"));
    }
}

#[tokio::test]
async fn the_time_left_is_in_whole_milliseconds() {
    let app = App::patient().await;
    for place in PLACES {
        for _ in 0..40 {
            let lock = app.post(&format!("{}?expire=1.999", place.path));
            lock.header("lock-token", TOKEN).await.assert_success();
            let text = app.get(place.path).await.text();
            let (_, rest) = text.split_once(r#""expires_in":"#).unwrap();
            let (seconds, _) = rest.split_once(',').unwrap();
            let decimals = seconds.split_once('.').unwrap().1;
            assert!(decimals.len() <= 3, "{seconds}");
        }
    }
}

#[tokio::test]
async fn a_renewed_lock_keeps_its_fencing_token_in_sight() {
    let app = App::patient().await;
    for place in PLACES {
        let lease = place.acquire(&app).await;
        app.put(&format!("{}?expire=600", place.path))
            .header("lock-token", &lease.token)
            .await;
        let seen = app.get(place.path).await.json();
        assert_eq!(seen["fencing_token"], lease.fencing_token);
        assert!(seen["expires_in"].as_f64().unwrap() > 500.0);
    }
}

#[tokio::test]
async fn a_foreign_lock_has_no_fencing_token() {
    let app = App::patient().await;
    for place in PLACES {
        // A fence of earlier times says nothing about a stranger.
        let lease = place.acquire(&app).await;
        app.delete(place.path)
            .header("lock-token", &lease.token)
            .await;
        app.redis
            .run::<String>(&["SET", place.key, "locked", "EX", "60"])
            .await;
        let seen = app.get(place.path).await.json();
        assert_eq!(seen.as_object().unwrap().len(), 5, "{seen}");
        assert_eq!(seen["held"], true);
        assert!(seen["fencing_token"].is_null(), "{seen}");
        let expires_in = seen["expires_in"].as_f64().unwrap();
        assert!(expires_in > 30.0 && expires_in <= 60.0, "{expires_in}");
        let lasting =
            r#"{"held":true,"fencing_token":null,"expires_in":null,"owner":null,"waiting":0}"#;
        app.redis.run::<i64>(&["PERSIST", place.key]).await;
        app.get(place.path).await.assert_body(200, lasting);
        // Whatever its type.
        app.redis.run::<i64>(&["DEL", place.key]).await;
        app.redis
            .run::<i64>(&["HSET", place.key, "owner", "x"])
            .await;
        app.get(place.path).await.assert_body(200, lasting);
    }
}

#[tokio::test]
async fn the_lock_of_an_action_shows_the_actions_fencing_token() {
    let origin = Origin::start(Reply::Gated(Box::new(Reply::nothing()))).await;
    let app = App::builder().patient().origin(&origin).start().await;
    let action = app.perform("user_id=42&expire=60").spawn();
    let seen = origin.until_seen(1).await;
    let answer = app.get(PLACES[0].path).await.json();
    assert_eq!(answer["held"], true);
    assert_eq!(answer["fencing_token"], seen[0].fencing_token());
    origin.release_one();
    assert_eq!(action.await.unwrap().status, 200);
    app.get(PLACES[0].path)
        .await
        .assert_body(200, r#"{"held":false,"waiting":0}"#);
}
