//! A request is sent again only where nothing of it was sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use edgelatch_tests::{App, Origin, Reply};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

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
async fn a_request_that_was_sent_is_not_sent_again() {
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
    assert_eq!(heads.load(Ordering::SeqCst), 2);
    server.abort();
}
