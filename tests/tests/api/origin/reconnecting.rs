//! A request is sent again only where nothing of it was sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use edgelatch_tests::{App, Origin, Reply};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

#[tokio::test]
async fn a_restarted_origin_is_reached() {
    let origin = Origin::start(Reply::json("1")).await;
    let app = App::builder().origin(&origin).start().await;
    // The first request opens the connection that is cut.
    app.perform("user_id=1").await.assert_success();
    origin.stop().await;
    let (action, read) = (
        app.perform("user_id=1").spawn(),
        app.get("/api/v1/users/7").spawn(),
    );
    // Tried at once, and then after 50, 150, 350 and 750 ms.
    tokio::time::sleep(Duration::from_millis(200)).await;
    origin.restart().await;
    action
        .await
        .unwrap()
        .assert_body(200, r#"{"status":"success","result":1}"#);
    read.await.unwrap().assert_body(200, "1");
    assert_eq!(origin.seen().len(), 3);
}

#[tokio::test]
async fn an_unreachable_origin_is_502_within_a_second() {
    let origin = Origin::start(Reply::json("1")).await;
    let app = App::builder().origin(&origin).start().await;
    origin.stop().await;
    let answer = app.perform("user_id=1").await;
    answer.assert_problem(502, "origin-failed");
    assert!(
        answer.took >= Duration::from_millis(750),
        "{:?}",
        answer.took
    );
    assert!(
        answer.took < Duration::from_millis(1500),
        "{:?}",
        answer.took
    );
}

#[tokio::test]
async fn an_action_that_was_sent_is_not_sent_again_and_a_read_is_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let heads = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&heads);
    let server = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4096];
            if stream.read(&mut head).await.unwrap() > 0 {
                counted.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    let app = App::builder().var("origin", &url).start().await;
    app.perform("user_id=1")
        .await
        .assert_problem(502, "origin-failed");
    assert_eq!(heads.load(Ordering::SeqCst), 1);
    app.get("/api/v1/users/1")
        .await
        .assert_problem(502, "origin-failed");
    assert_eq!(heads.load(Ordering::SeqCst), 3);
    server.abort();
}

/// A server that answers the first request of each connection, and closes the connection when the
/// second one comes. Counts the requests that it has seen.
async fn closing_kept_alive() -> (String, Arc<AtomicUsize>, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let heads = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&heads);
    let server = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let counted = Arc::clone(&counted);
            tokio::spawn(async move {
                let answer = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n1";
                for is_first in [true, false] {
                    let mut head = [0; 4096];
                    if stream.read(&mut head).await.unwrap_or_default() > 0 {
                        counted.fetch_add(1, Ordering::SeqCst);
                    }
                    if is_first {
                        stream.write_all(answer.as_bytes()).await.unwrap();
                    }
                }
            });
        }
    });
    (url, heads, server)
}

#[tokio::test]
async fn a_read_over_a_connection_that_was_closed_just_then_is_repeated() {
    let (url, heads, server) = closing_kept_alive().await;
    let app = App::builder().var("origin", &url).start().await;
    for user in 0..6 {
        let read = app.get(&format!("/api/v1/users/{user}")).await;
        read.assert_body(200, "1");
    }
    assert!(heads.load(Ordering::SeqCst) > 6);
    // An action is not: it may have been carried out.
    let before = heads.load(Ordering::SeqCst);
    for _ in 0..2 {
        app.perform("user_id=1").await;
    }
    assert_eq!(heads.load(Ordering::SeqCst), before + 2);
    server.abort();
}
