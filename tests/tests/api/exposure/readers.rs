//! Clients that ask for a file on many streams and take in nothing.

use edgelatch_tests::App;
use futures::future::join_all;
use http::{Request, header};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

/// As many as a connection may have.
const STREAMS: usize = 100;

/// The memory that they may cost, in bytes.
const MEMORY: u64 = 50 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_cost_little_memory() {
    for coding in ["identity", "gzip"] {
        let app = App::start().await;
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
        // What the service does with the bodies goes on after their heads were sent.
        let mut most = 0;
        for _ in 0..20 {
            most = most.max(app.resident_bytes().saturating_sub(before));
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        assert!(most < MEMORY, "{coding}: {} MiB", most >> 20);
        assert_eq!(app.get("/healthz").await.status, 200);
        drop(answers);
    }
}
