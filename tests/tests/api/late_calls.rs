//! Calls that a broken connection hands over late, after their repetition was answered.

use edgelatch_tests::{App, Origin, Proxy, RedisServer, Reply, until};

const LOCK: &str = "user:1:lock";
const LAST_ACTION: &str = "{user:1:lock}:cache:last-action";

struct Late {
    app: App,
    origin: Origin,
    _proxy: Proxy,
    running: tokio::task::JoinHandle<edgelatch_tests::Answer>,
}

/// An action whose acquisition was repeated over a second connection, then lost its lock to another
/// holder, who has given it back; only then the first connection hands over what was sent over it.
async fn action_with_a_late_acquisition(expire: &str) -> Late {
    let redis = RedisServer::start().await;
    let proxy = Proxy::start(redis.port()).await;
    let origin = Origin::start(Reply::Gated(Box::new(Reply::json("1")))).await;
    let app = App::builder()
        .redis(redis)
        .var("redis_port", &proxy.port().to_string())
        .origin(&origin)
        .start()
        .await;
    let held = proxy.hold_next_command(LOCK);
    let running = app.perform(&format!("user_id=1&expire={expire}")).spawn();
    origin.until_seen(1).await;
    assert!(proxy.is_spent());
    let token = app.redis.get(LOCK).await;

    app.redis.run::<()>(&["DEL", LOCK]).await;
    let other = app.post("/api/v1/users/1/lock").await;
    assert_eq!(other.status, 201);
    let token_of_other = other.json()["token"].as_str().unwrap().to_owned();
    let given_back = app.delete("/api/v1/users/1/lock");
    assert_eq!(
        given_back
            .header("lock-token", &token_of_other)
            .await
            .status,
        204
    );

    held.deliver();
    until("the late acquisition has taken the lock", || async {
        app.redis.get(LOCK).await == token
    })
    .await;
    Late {
        app,
        origin,
        _proxy: proxy,
        running,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_acquisition_revives_no_lost_commit() {
    let late = action_with_a_late_acquisition("60").await;
    late.origin.release_one();
    late.running.await.unwrap().assert_problem(409, "lock-lost");
    assert!(!late.app.redis.exists(LAST_ACTION).await);
    assert!(!late.app.redis.exists(LOCK).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_acquisition_revives_no_lost_lease() {
    let late = action_with_a_late_acquisition("3").await;
    // The origin does not answer: it is the renewal that finds out.
    late.running.await.unwrap().assert_problem(409, "lock-lost");
    assert!(!late.app.redis.exists(LAST_ACTION).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_survives_an_evicted_fence() {
    let origin = Origin::start(Reply::Gated(Box::new(Reply::json("1")))).await;
    let app = App::builder().origin(&origin).start().await;
    let running = app.perform("user_id=1&expire=0.9").spawn();
    let seen = origin.until_seen(1).await;
    let fence = "{user:1:lock}:fence";
    app.redis.run::<()>(&["DEL", fence]).await;
    until("a renewal has written the fence anew", || async {
        app.redis.exists(fence).await
    })
    .await;
    app.redis.run::<()>(&["DEL", fence]).await;
    origin.release_one();
    let answer = running.await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.number("fencing-token"), seen[0].fencing_token());
}
