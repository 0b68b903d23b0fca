//! When the answer of Redis is lost.

use edgelatch_tests::{App, until};

use super::{Lease, PLACES, TOKEN};

/// The service with one instance for the whole test, and so one connection.
async fn start() -> App {
    App::builder()
        .var("redis_timeout", "2")
        .reusing_instances()
        .argument("--idle-instance-timeout")
        .argument("60s")
        .start()
        .await
}

/// Opens the connection and makes the scripts known to Redis, so that a request needs one command.
async fn warm_up(app: &App) {
    let path = "/api/v1/users/42/locks/warm-up";
    let lease = Lease::of(&app.post(path).await, 201);
    app.delete(path)
        .header("lock-token", &lease.token)
        .await
        .assert_body(204, "");
}

#[tokio::test]
async fn an_unanswered_acquisition_keeps_a_client_token() {
    let app = start().await;
    warm_up(&app).await;
    for place in PLACES {
        let acquire = || {
            app.post(&format!("{}?expire=60", place.path))
                .header("lock-token", TOKEN)
        };
        app.redis.pause();
        let lost = acquire().await;
        app.redis.resume();
        lost.assert_problem(503, "redis-timeout");
        assert_eq!(lost.header("retry-after"), Some("1"));
        until("Redis has done what it was asked", || async {
            app.redis.exists(place.key).await
        })
        .await;
        // What was taken without an answer is the client's, and asking again says so.
        let again = Lease::of(&acquire().await, 200);
        assert_eq!(again.token, TOKEN);
        assert_eq!(app.redis.get(place.key).await.as_deref(), Some(TOKEN));
    }
}

#[tokio::test]
async fn an_unanswered_lease_without_client_token_is_released() {
    let app = start().await;
    for place in PLACES {
        // A connection that has not answered is not used again.
        warm_up(&app).await;
        app.redis.pause();
        let lost = app.post(&format!("{}?expire=60", place.path)).await;
        app.redis.resume();
        lost.assert_problem(503, "redis-timeout");
        // The fence is the trace of the acquisition.
        until("it was taken and given back", || async {
            app.redis.exists(place.fence).await && !app.redis.exists(place.key).await
        })
        .await;
    }
}

#[tokio::test]
async fn a_connection_that_breaks_does_not_show() {
    let app = start().await;
    warm_up(&app).await;
    for place in PLACES {
        let cut = || app.redis.kill_clients();
        assert!(cut().await > 0);
        let lease = place.acquire(&app).await;
        cut().await;
        let renewed = app.put(place.path).header("lock-token", &lease.token).await;
        let renewed = Lease::of(&renewed, 200);
        assert_eq!(renewed.fencing_token, lease.fencing_token);
        cut().await;
        assert_eq!(app.get(place.path).await.json()["held"], true);
        cut().await;
        app.delete(place.path)
            .header("lock-token", &lease.token)
            .await
            .assert_body(204, "");
        // With a token of the client's own, the first acquisition is a 201 too.
        cut().await;
        let acquired = app.post(place.path).header("lock-token", TOKEN).await;
        Lease::of(&acquired, 201);
    }
}
