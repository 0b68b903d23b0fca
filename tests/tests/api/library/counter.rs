//! `examples/counter`.

use edgelatch_tests::{App, raw};

use super::{post, start};

async fn counter() -> App {
    start("examples/counter").await
}

#[tokio::test]
async fn visits_are_counted_for_each_user() {
    let app = counter().await;
    for (path, count) in [("/42", "1\n"), ("/42", "2\n"), ("/7", "1\n")] {
        assert_eq!(post(app.address(), path).await, (200, count.to_owned()));
    }
    let stored = app.redis.entry("{counter:user:42:lock}:cache:visits").await;
    assert_eq!(stored.as_deref(), Some("2"));
    assert_eq!(post(app.address(), "/nobody").await.0, 404);
}

#[tokio::test]
async fn only_a_post_is_counted() {
    let app = counter().await;
    for method in ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let head = format!("{method} /42 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        let refused = raw(app.address(), head.as_bytes()).await;
        assert_eq!(refused.status, Some(405), "{method}");
        assert_eq!(refused.header("allow"), Some("POST"), "{method}");
    }
    assert_eq!(post(app.address(), "/42").await, (200, "1\n".to_owned()));
}

#[tokio::test]
async fn no_visit_is_lost_when_many_come_at_once() {
    let app = counter().await;
    let visits = (0..30).map(|_| post(app.address(), "/42"));
    let mut counts: Vec<u32> = futures::future::join_all(visits)
        .await
        .into_iter()
        .map(|(_, count)| count.trim().parse().unwrap())
        .collect();
    counts.sort_unstable();
    assert!(counts.into_iter().eq(1..=30));
}

#[tokio::test]
async fn a_visit_without_redis_is_refused() {
    let mut app = counter().await;
    app.redis.kill();
    let refused = "503 Service Unavailable\n".to_owned();
    assert_eq!(post(app.address(), "/42").await, (503, refused));
}
