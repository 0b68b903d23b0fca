//! Clients that ask for a file on many streams and take in nothing.

use std::time::Duration;

use edgelatch_tests::App;
use futures::future::join_all;
use http::{Request, header};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// Connections of HTTP/1, as many as a process with 256 file descriptors serves.
const CONNECTIONS: u64 = 120;

/// As many as a connection may have.
const STREAMS: usize = 100;

/// The memory that the streams of a connection may cost, in bytes.
const MEMORY: u64 = 50 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_cost_little_memory() {
    for coding in ["identity", "gzip"] {
        let app = app_that_keeps_no_memory().await;
        for path in ["/docs/swagger-ui.js", "/healthz"] {
            assert_eq!(app.get(path).await.status, 200);
        }
        let before = app.resident_bytes();
        let client = Client::builder(TokioExecutor::new())
            .http2_only(true)
            .http2_initial_stream_window_size(0)
            .build_http::<String>();
        let uri = format!("http://{}/docs/swagger-ui.js", app.address());
        let asked = (0..STREAMS).map(|_| {
            let request = Request::get(&uri).header(header::ACCEPT_ENCODING, coding);
            client.request(request.body(String::new()).unwrap())
        });
        let answers = join_all(asked).await;
        assert!(
            answers
                .iter()
                .all(|answer| answer.as_ref().is_ok_and(|answer| answer.status() == 200))
        );
        let growth = growth(&app, before).await;
        assert!(growth < MEMORY, "{coding}: {} MiB", growth >> 20);
        assert_eq!(app.get("/healthz").await.status, 200);
        drop(answers);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_cost_little_memory_over_http_1() {
    let app = app_that_keeps_no_memory().await;
    for path in ["/docs/swagger-ui.js", "/healthz"] {
        assert_eq!(app.get(path).await.status, 200);
    }
    let before = app.resident_bytes();
    let requests = "GET /docs/swagger-ui.js HTTP/1.1\r\nHost: x\r\n\r\n".repeat(20);
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut connection = TcpStream::connect(app.address()).await.unwrap();
        connection.write_all(requests.as_bytes()).await.unwrap();
        connections.push(connection);
    }
    let growth = growth(&app, before).await;
    // How many instances the host makes for them is its choice, up to one each.
    assert!(growth < CONNECTIONS << 20, "{} MiB", growth >> 20);
    assert_eq!(app.get("/healthz").await.status, 200);
    drop(connections);
}

/// As the files in deploy/ have it: Spin keeps up to 2 MiB for each instance that has ever run, and a
/// burst starts one for each request.
async fn app_that_keeps_no_memory() -> App {
    let app = App::builder().environment("SPIN_WASMTIME_LINEAR_MEMORY_KEEP_RESIDENT", "0");
    app.start().await
}

/// How many bytes more the service takes at most, within some seconds: what it does with bodies
/// goes on after their heads were sent, until the buffers of the connections are full.
async fn growth(app: &App, before: u64) -> u64 {
    let mut most = 0;
    for _ in 0..60 {
        most = most.max(app.resident_bytes().saturating_sub(before));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    most
}
