//! `PUT` renews and `DELETE` gives back, with the token and only with it.

use edgelatch_tests::{App, until};

use super::{Lease, OTHER_TOKEN, PLACES};

#[tokio::test]
async fn put_renews_and_answers_as_the_acquisition_did() {
    let app = App::builder()
        .patient()
        .var("lock_expire", "40")
        .start()
        .await;
    for place in PLACES {
        let lease = place.acquire(&app).await;
        let renew = |query: &str| {
            app.put(&format!("{}{query}", place.path))
                .header("lock-token", &lease.token)
        };
        let (token, number) = (&lease.token, lease.fencing_token);
        for (query, seconds) in [
            ("?expire=300", "300.0"),
            ("/?expire=20.5", "20.5"),
            ("", "40.0"),
        ] {
            let body =
                format!(r#"{{"token":"{token}","fencing_token":{number},"expires_in":{seconds}}}"#);
            let answer = renew(query).await;
            answer.assert_body(200, &body);
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            let most = seconds.parse::<f64>().unwrap() * 1000.0;
            let left = app.redis.ms_left(place.key).await as f64;
            assert!(left <= most && left > most - 20_000.0, "{query}: {left}");
        }
    }
}

#[tokio::test]
async fn delete_gives_the_lock_back() {
    let app = App::patient().await;
    for place in PLACES {
        for slash in ["", "/"] {
            let lease = place.acquire(&app).await;
            let release = || {
                app.delete(&format!("{}{slash}", place.path))
                    .header("lock-token", &lease.token)
            };
            release().await.assert_body(204, "");
            assert!(!app.redis.exists(place.key).await);
            // It is no longer ours.
            release().await.assert_problem(409, "not-lock-owner");
        }
    }
}

#[tokio::test]
async fn renewing_and_releasing_need_a_token() {
    let app = App::patient().await;
    for place in PLACES {
        for method in ["PUT", "DELETE"] {
            app.call(method, place.path)
                .await
                .assert_problem(428, "lock-token-required");
        }
        let lease = place.acquire(&app).await;
        for method in ["PUT", "DELETE"] {
            app.call(method, place.path)
                .await
                .assert_problem(428, "lock-token-required");
        }
        assert_eq!(app.redis.get(place.key).await, Some(lease.token));
    }
}

#[tokio::test]
async fn a_wrong_token_is_409_and_touches_nothing() {
    let app = App::patient().await;
    for place in PLACES {
        let wrong = async |method| {
            let answer = app
                .call(method, place.path)
                .header("lock-token", OTHER_TOKEN)
                .await;
            answer.assert_problem(409, "not-lock-owner");
            assert!(!answer.text().contains(OTHER_TOKEN));
        };
        // Nobody holds it: it is not created.
        wrong("PUT").await;
        wrong("DELETE").await;
        assert!(!app.redis.exists(place.key).await);
        // Somebody holds it.
        let lease = place.acquire(&app).await;
        let fence = app.redis.get(place.fence).await;
        wrong("PUT").await;
        wrong("DELETE").await;
        assert_eq!(app.redis.get(place.key).await, Some(lease.token));
        assert!(app.redis.ms_left(place.key).await > 30_000);
        assert_eq!(app.redis.get(place.fence).await, fence);
    }
}

#[tokio::test]
async fn a_foreign_lock_is_neither_renewed_nor_released() {
    let app = App::patient().await;
    for place in PLACES {
        app.redis
            .run::<i64>(&["RPUSH", place.key, OTHER_TOKEN])
            .await;
        for method in ["PUT", "DELETE"] {
            app.call(method, place.path)
                .header("lock-token", OTHER_TOKEN)
                .await
                .assert_problem(409, "not-lock-owner");
        }
        assert_eq!(app.redis.ms_left(place.key).await, -1);
    }
}

#[tokio::test]
async fn an_expired_token_is_409() {
    let app = App::patient().await;
    for place in PLACES {
        let first = app.post(&format!("{}?expire=0.05", place.path)).await;
        let first = Lease::of(&first, 201);
        until("the lease has expired", || async {
            !app.redis.exists(place.key).await
        })
        .await;
        let late = |method| {
            app.call(method, place.path)
                .header("lock-token", &first.token)
        };
        late("PUT").await.assert_problem(409, "not-lock-owner");
        late("DELETE").await.assert_problem(409, "not-lock-owner");
        assert!(!app.redis.exists(place.key).await);
        let next = place.acquire(&app).await;
        late("PUT").await.assert_problem(409, "not-lock-owner");
        late("DELETE").await.assert_problem(409, "not-lock-owner");
        assert_eq!(app.redis.get(place.key).await, Some(next.token));
        assert!(app.redis.ms_left(place.key).await > 30_000);
    }
}

#[tokio::test]
async fn a_renewal_keeps_the_lock_beyond_its_first_expiry() {
    let app = App::patient().await;
    for place in PLACES {
        let first = app.post(&format!("{}?expire=5", place.path)).await;
        let first = Lease::of(&first, 201);
        let renewed = app
            .put(&format!("{}?expire=60", place.path))
            .header("lock-token", &first.token)
            .await;
        Lease::of(&renewed, 200);
        // More than the first expiry would ever leave.
        assert!(app.redis.ms_left(place.key).await > 5_000);
    }
}
