//! Clients that hang up while the component works for them.

use std::time::Duration;

use edgelatch_tests::{App, on_spin, raw, until};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

const QUEUE: &str = "{user:7:lock}:queue";

/// How many requests may run at once.
const PLACES: usize = 5;

const WAIT: &[u8] = b"POST /api/v1/users/perform-action?user_id=7&timeout=60 HTTP/1.1\r\n\
    Host: x\r\nContent-Length: 0\r\n\r\n";
const ALIVE: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

async fn status(app: &App) -> Option<u16> {
    raw(app.address(), ALIVE).await.status
}

#[tokio::test]
async fn their_requests_count_until_the_component_is_done() {
    // Spin has no such limit.
    if on_spin() {
        return;
    }
    let app = App::builder()
        .argument("--max-concurrent-requests")
        .argument(&PLACES.to_string())
        .start()
        .await;
    app.post("/api/v1/users/7/lock?expire=60").await;
    // Nothing else may take a place meanwhile. One that comes too early is refused.
    let mut waiters = Vec::new();
    while app.redis.run::<usize>(&["ZCARD", QUEUE]).await < PLACES {
        let mut waiter = TcpStream::connect(app.address()).await.unwrap();
        waiter.write_all(WAIT).await.unwrap();
        waiters.push(waiter);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(waiters.len() < 100, "they do not wait");
    }
    drop(waiters);
    for _ in 0..50 {
        assert_eq!(status(&app).await, Some(503));
    }
    app.redis.run::<i64>(&["DEL", "user:7:lock"]).await;
    until("the places are free again", || async {
        status(&app).await == Some(200)
    })
    .await;
}
