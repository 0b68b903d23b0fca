//! Input that is not even HTTP, or hardly: it never makes a 5xx, a hang or a trap, and the service
//! goes on.

use std::time::Duration;

use edgelatch_tests::{App, RawAnswer, raw, raw_then_hang_up};

/// How long an answer to something that may be no whole request is waited for.
const PATIENCE: Duration = Duration::from_millis(300);

/// Sends what may be no whole request, and checks that the service is none the worse.
async fn survives(app: &App, request: &[u8]) {
    let answer = raw_then_hang_up(app.address(), request, PATIENCE).await;
    check(app, request, &answer).await;
}

/// The status that a whole request is answered with; the service is none the worse.
async fn status(app: &App, request: &[u8]) -> Option<u16> {
    let answer = raw(app.address(), request).await;
    check(app, request, &answer).await;
    answer.status
}

async fn check(app: &App, request: &[u8], answer: &RawAnswer) {
    let shown = String::from_utf8_lossy(&request[..request.len().min(80)]);
    assert!(
        answer.status.is_none_or(|status| status < 500),
        "{shown:?} was answered {answer:?}"
    );
    assert_eq!(app.get("/healthz").await.status, 200, "after {shown:?}");
}

fn no_instance_ended(app: &App) {
    let logs = app.logs();
    for trace in [
        "panicked",
        "wasm trap",
        "wasm backtrace",
        "ended with an error",
    ] {
        assert!(!logs.contains(trace), "{trace:?} in the log: {logs}");
    }
}

/// A GET of `path`, with more header lines.
fn get(path: &str, lines: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n").into_bytes()
}

#[tokio::test]
async fn bad_percent_encodings_are_told_as_faults() {
    let app = App::start().await;
    for bad in [
        "%",
        "%4",
        "%zz",
        "%ff",
        "%c3%28",
        "%ed%a0%80",
        "%f8%88%80%80%80",
        "%00",
        "7%",
    ] {
        for path in [
            format!("/api/v1/users/{bad}/lock"),
            format!("/api/v1/users/7/locks/{bad}"),
            format!("/api/v1/users/7/cache/{bad}"),
            format!("/api/v1/users/7/lock?{bad}={bad}"),
        ] {
            let status = status(&app, &get(&path, "")).await;
            assert_eq!(status, Some(422), "{path}");
        }
        let path = format!("/{bad}");
        let status = status(&app, &get(&path, "")).await;
        assert_eq!(status, Some(404), "{path}");
    }
    no_instance_ended(&app);
}

/// A target of a proxy's form whose path is empty, which is `/`. Spin closes such connections.
#[tokio::test]
async fn an_empty_path_with_a_query_is_the_root() {
    let app = App::start().await;
    for target in ["http://x?a=1", "http://x/?a=1", "http://x"] {
        let status = status(&app, &get(target, "")).await;
        assert!(matches!(status, None | Some(404)), "{target}: {status:?}");
    }
    no_instance_ended(&app);
}

/// Bytes that are no UTF-8, and some that are.
const NO_ASCII: [&[u8]; 4] = [b"\xff", b"\xc3\xa4", b"\x80\x81", b"\x7f"];

#[tokio::test]
async fn bytes_that_are_no_ascii_are_no_5xx() {
    let app = App::start().await;
    let end = " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    for bad in NO_ASCII {
        for (before, after) in [
            ("GET /", end),
            ("GET /api/v1/users/7/lock?", end),
            ("GET /api/v1/users/7/lock?timeout=", end),
            (
                "",
                " /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            ),
            (
                "GET /healthz HTTP/1.1\r\nHost: ",
                "\r\nConnection: close\r\n\r\n",
            ),
            ("GET /healthz HTTP/1.1\r\nHost: x\r\nX", ": 1\r\n\r\n"),
        ] {
            survives(&app, &[before.as_bytes(), bad, after.as_bytes()].concat()).await;
        }
    }
    no_instance_ended(&app);
}

/// Spin itself answers a header that is not UTF-8 with a 500, before any component sees the
/// request.
#[tokio::test]
async fn a_header_that_is_no_ascii_is_no_trap() {
    let app = App::start().await;
    for bad in NO_ASCII {
        for header in [
            "X-Request-Id",
            "Authorization",
            "Lock-Token",
            "Idempotency-Key",
            "If-Match",
            "If-None-Match",
            "Content-Type",
        ] {
            let start = format!(
                "PUT /api/v1/users/7/cache/k HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n{header}: "
            );
            let request = [start.as_bytes(), bad, b"\r\n\r\n{}"].concat();
            let answer = raw(app.address(), &request).await;
            if answer.status == Some(500) {
                assert_eq!(answer.body, "", "the component made this");
            }
            assert_eq!(app.get("/healthz").await.status, 200, "after {header}");
        }
    }
    no_instance_ended(&app);
}

#[tokio::test]
async fn huge_and_many_headers_are_no_5xx() {
    let app = App::start().await;
    let long = |length: usize| format!("X-Long: {}\r\n", "x".repeat(length));
    assert_eq!(
        status(&app, &get("/healthz", &long(8_000))).await,
        Some(200)
    );
    survives(&app, &get("/healthz", &long(1 << 20))).await;
    let many = |count: usize| "X-Many: 1\r\n".repeat(count);
    assert_eq!(status(&app, &get("/healthz", &many(50))).await, Some(200));
    survives(&app, &get("/healthz", &many(10_000))).await;
    for header in [
        "X-Request-Id",
        "Authorization",
        "Lock-Token",
        "If-Match",
        "Idempotency-Key",
    ] {
        let line = format!("{header}: {}\r\n", "x".repeat(30_000));
        survives(&app, &get("/api/v1/users/7/cache/k", &line)).await;
    }
    for length in [8_000, 60_000, 1 << 20] {
        survives(&app, &get(&format!("/{}", "x".repeat(length)), "")).await;
        let query = format!("/api/v1/users/7/lock?{}", "a=1&".repeat(length / 4));
        survives(&app, &get(&query, "")).await;
    }
    no_instance_ended(&app);
}

#[tokio::test]
async fn nul_bytes_are_no_5xx() {
    let app = App::start().await;
    for request in [
        &b"\0\0\0\0"[..],
        b"GET /health\0z HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Request-Id: a\0b\r\nConnection: close\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX\0: a\r\nConnection: close\r\n\r\n",
        b"POST /api/v1/users/perform-action?user_id=7 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\n\0\0\0",
    ] {
        survives(&app, request).await;
    }
    no_instance_ended(&app);
}

#[tokio::test]
async fn unusual_request_lines_are_no_5xx() {
    let app = App::start().await;
    let host = "Host: x\r\nConnection: close\r\n\r\n";
    for line in [
        "GET /healthz HTTP/1.0",
        "GET /healthz HTTP/9.9",
        "GET /healthz",
        "GET  HTTP/1.1",
        "GET healthz HTTP/1.1",
        "GET ?user_id=7 HTTP/1.1",
        "GET http://other/healthz HTTP/1.1",
        "GET ftp://x/healthz HTTP/1.1",
        "GET http:///healthz HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "CONNECT x:443 HTTP/1.1",
        "GET //x/healthz HTTP/1.1",
        "GET /../../etc/passwd HTTP/1.1",
        "GET /healthz#fragment HTTP/1.1",
        "PRI * HTTP/2.0",
        "G\tT /healthz HTTP/1.1",
        "",
    ] {
        survives(&app, format!("{line}\r\n{host}").as_bytes()).await;
    }
    let absolute = format!("GET http://x/healthz HTTP/1.1\r\n{host}");
    assert_eq!(status(&app, absolute.as_bytes()).await, Some(200));
    no_instance_ended(&app);
}

#[tokio::test]
async fn broken_framing_is_no_5xx() {
    let app = App::start().await;
    let start =
        "POST /api/v1/users/perform-action?user_id=7 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
    for rest in [
        "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n-1\r\n{}\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}\r\n",
        "Transfer-Encoding: chunked\r\n\r\n2\r\n{}}}\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n2\r\n{}",
        "Transfer-Encoding: nonsense\r\n\r\n{}",
        "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        "Content-Length: -1\r\n\r\n{}",
        "Content-Length: x\r\n\r\n{}",
        "Content-Length: 99999999999999999999999\r\n\r\n{}",
        "Content-Length: 5\r\n\r\n{}",
        "Content-Length: 1\r\n\r\n{}",
        "Upgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        "Expect: nonsense\r\nContent-Length: 2\r\n\r\n{}",
        "Trailer: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nx: y\r\n\r\n",
    ] {
        survives(&app, format!("{start}{rest}").as_bytes()).await;
    }
    no_instance_ended(&app);
}

#[tokio::test]
async fn what_is_not_http_is_no_5xx() {
    let app = App::start().await;
    // The beginning of a TLS handshake, another protocol's greeting, noise.
    let noise: Vec<u8> = (0..5_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\r\n\r\n\r\n",
        &noise,
    ] {
        survives(&app, bytes).await;
    }
    no_instance_ended(&app);
}

#[tokio::test]
async fn a_request_without_a_host_is_no_5xx() {
    let app = App::start().await;
    for head in [
        "",
        "Host:\r\n",
        "Host: a\r\nHost: b\r\n",
        "Host: a b\r\n",
        "Host: x:99999\r\n",
    ] {
        let request = format!("GET /healthz HTTP/1.1\r\n{head}Connection: close\r\n\r\n");
        survives(&app, request.as_bytes()).await;
    }
    no_instance_ended(&app);
}
