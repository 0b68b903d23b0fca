//! What anybody may make the host write into its own log, which the component cannot bound.

use edgelatch_tests::{App, on_spin, raw};

/// Requests of one connection after the other.
const REQUESTS: usize = 200;

#[tokio::test]
async fn headers_that_are_no_text_leave_few_short_lines() {
    if on_spin() {
        return;
    }
    let app = App::start().await;
    let began = std::time::Instant::now();
    let before = app.logs().len();
    let name = "a".repeat(60_000);
    let head = format!("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{name}: ");
    let request = [head.as_bytes(), b"\xff\r\n\r\n"].concat();
    for _ in 0..REQUESTS {
        let answer = raw(app.address(), &request).await;
        assert_eq!((answer.status, answer.body.as_str()), (Some(500), ""));
    }
    let seconds = 1 + began.elapsed().as_secs() as usize;
    let logs = app.logs();
    let said = &logs[before..];
    assert!(said.lines().count() <= 3 * (seconds + 1), "{said}");
    assert!(said.len() <= 1000 * said.lines().count(), "{said}");
    // The operator learns of all of them.
    assert!(said.contains("UTF-8"), "{said}");
}
