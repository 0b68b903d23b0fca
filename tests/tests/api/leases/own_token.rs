//! A `Lock-Token` that the client brings.

use edgelatch_tests::App;

use super::{Lease, OTHER_TOKEN, PLACES, TOKEN};

#[tokio::test]
async fn acquiring_again_with_the_same_token_renews() {
    let app = App::patient().await;
    for place in PLACES {
        let acquire = |expire: u32| {
            app.post(&format!("{}?expire={expire}", place.path))
                .header("lock-token", TOKEN)
        };
        let first = Lease::of(&acquire(30).await, 201);
        assert_eq!(first.token, TOKEN);
        assert_eq!(app.redis.get(place.key).await.as_deref(), Some(TOKEN));
        let again = acquire(300).await;
        let number = first.fencing_token;
        let body = format!(r#"{{"token":"{TOKEN}","fencing_token":{number},"expires_in":300.0}}"#);
        again.assert_body(200, &body);
        assert!(app.redis.ms_left(place.key).await > 200_000);
        // Renewing makes it shorter, too.
        let third = Lease::of(&acquire(20).await, 200);
        assert_eq!(third.fencing_token, number);
        let left = app.redis.ms_left(place.key).await;
        assert!((1..=20_000).contains(&left), "{left}");
        // Nobody else gets it.
        app.post(place.path)
            .header("lock-token", OTHER_TOKEN)
            .await
            .assert_problem(423, "lock-held");
        app.post(place.path).await.assert_problem(423, "lock-held");
        assert_eq!(app.redis.get(place.key).await.as_deref(), Some(TOKEN));
    }
}

#[tokio::test]
async fn a_token_that_was_given_back_acquires_anew() {
    let app = App::patient().await;
    for place in PLACES {
        let acquire = || app.post(place.path).header("lock-token", TOKEN);
        let first = Lease::of(&acquire().await, 201);
        app.delete(place.path)
            .header("lock-token", TOKEN)
            .await
            .assert_body(204, "");
        let second = Lease::of(&acquire().await, 201);
        assert!(second.fencing_token > first.fencing_token);
        // As does one whose lease has expired, or was lost with Redis' data.
        app.redis.run::<i64>(&["DEL", place.key]).await;
        let third = Lease::of(&acquire().await, 201);
        assert!(third.fencing_token > second.fencing_token);
    }
}

#[tokio::test]
async fn a_token_that_the_service_made_may_be_brought_again() {
    let app = App::patient().await;
    for place in PLACES {
        let lease = place.acquire(&app).await;
        let again = app
            .post(place.path)
            .header("lock-token", &lease.token)
            .await;
        let again = Lease::of(&again, 200);
        assert_eq!(again.fencing_token, lease.fencing_token);
        assert_eq!(again.token, lease.token);
    }
}

#[tokio::test]
async fn a_token_is_16_to_128_visible_ascii_characters() {
    let app = App::patient().await;
    let visible: String = ('!'..='~').collect();
    for place in PLACES {
        for token in ["t".repeat(16), "t".repeat(128), visible.clone()] {
            let acquired = app.post(place.path).header("lock-token", &token).await;
            assert_eq!(Lease::of(&acquired, 201).token, token);
            let renewed = app.put(place.path).header("lock-token", &token).await;
            assert_eq!(Lease::of(&renewed, 200).token, token);
            app.delete(place.path)
                .header("lock-token", &token)
                .await
                .assert_body(204, "");
        }
    }
}

#[tokio::test]
async fn a_malformed_token_is_400_on_every_verb() {
    let app = App::patient().await;
    let bad = [
        String::new(),
        "t".repeat(15),
        "t".repeat(129),
        "a token with spaces".to_owned(),
        "a-token-with-a\ttab".to_owned(),
        "a-tok\u{e9}n-in-latin".to_owned(),
    ];
    for place in PLACES {
        for token in &bad {
            for method in ["POST", "PUT", "DELETE"] {
                app.call(method, place.path)
                    .header("lock-token", token)
                    .await
                    .assert_problem(400, "lock-token-invalid");
            }
        }
        for method in ["POST", "PUT", "DELETE"] {
            app.call(method, place.path)
                .header("lock-token", TOKEN)
                .header("lock-token", OTHER_TOKEN)
                .await
                .assert_problem(400, "lock-token-invalid");
        }
        // A fault of the parameters comes first.
        let answer = app
            .post(&format!("{}?expire=0", place.path))
            .header("lock-token", "short")
            .await;
        assert_eq!(answer.faults(), ["query.expire"]);
    }
    assert_eq!(app.redis.run::<i64>(&["DBSIZE"]).await, 0);
}

#[tokio::test]
async fn a_token_is_of_one_lock_alone() {
    let app = App::patient().await;
    let [user, named] = PLACES;
    for place in PLACES {
        let acquired = app.post(place.path).header("lock-token", TOKEN).await;
        Lease::of(&acquired, 201);
    }
    app.delete(user.path)
        .header("lock-token", TOKEN)
        .await
        .assert_body(204, "");
    assert_eq!(app.redis.get(named.key).await.as_deref(), Some(TOKEN));
}
