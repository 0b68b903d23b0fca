//! Slow clients over real sockets, with short limits.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use http_body_util::StreamBody;
use hyper::body::Frame;
use hyper::client::conn::http2;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::oneshot;

use super::*;
use crate::config::manifest::Trigger;
use crate::net::http_client::HttpClient;

const SHORT: Duration = Duration::from_millis(200);
const HEALTH: &str = "http://x/.well-known/spin/health";
/// The preface of HTTP/2, and empty SETTINGS.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// A PING.
const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0\x01\x02\x03\x04\x05\x06\x07\x08";
/// HEADERS of `GET /`, which ask for a large file, with and without their last bytes.
const GET: &[u8] = b"\0\0\x06\x01\x05\0\0\0\x01\x82\x84\x86\x41\x01x";
/// HEADERS of `POST /` that no DATA ends.
const POST: &[u8] = b"\0\0\x06\x01\x04\0\0\0\x01\x83\x84\x86\x41\x01x";

/// Serves a large file at `/` and the host's own paths with short limits, until what is returned
/// is dropped.
async fn serve(change: impl FnOnce(&mut Limits)) -> (SocketAddr, oneshot::Sender<()>) {
    let client = HttpClient::new(true);
    let file: StaticResponse =
        toml::from_str(&format!("body = \"{}\"", "a".repeat(1 << 20))).unwrap();
    let routes = [Trigger {
        route: Some("/...".into()),
        target: Target::Static(file),
    }];
    let mut limits = Limits::new(2000, 1000);
    limits.head = SHORT;
    limits.body = SHORT;
    limits.write = SHORT;
    limits.idle = 2 * SHORT;
    change(&mut limits);
    let server = Server {
        routes: Routes::new(&routes).unwrap(),
        handlers: BTreeMap::new(),
        telemetry: Telemetry::from_environment(client).unwrap(),
        http1_max_buf_size: None,
        limits,
    };
    let listener = listen("127.0.0.1:0".parse().unwrap(), false).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (running, stop) = oneshot::channel();
    tokio::spawn(Arc::new(server).serve(listener, async {
        let _ = stop.await;
    }));
    (address, running)
}

/// Sends these bytes, and waits for the end of the connection. Returns what came back.
async fn until_closed(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut received = Vec::new();
    let limit = Duration::from_secs(10);
    let ended = tokio::time::timeout(limit, stream.read_to_end(&mut received)).await;
    let _ = ended.unwrap();
    received
}

/// Sends `first`, then one of `drips` every so often until the connection ends. Returns whether
/// it ended before they did.
async fn closed_while_it_drips(address: SocketAddr, first: &[u8], drips: &[&[u8]]) -> bool {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(first).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let ended = tokio::spawn(async move {
        let _ = tokio::io::copy(&mut read, &mut tokio::io::sink()).await;
    });
    for drip in drips {
        tokio::time::sleep(SHORT / 2).await;
        if ended.is_finished() || write.write_all(drip).await.is_err() {
            return true;
        }
    }
    false
}

type Sender = http2::SendRequest<Empty<Bytes>>;

/// A client of HTTP/2 whose streams take in no more than `window` bytes, unless it reads.
async fn http2_client(address: SocketAddr, window: u32) -> Sender {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(window)
        .handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

async fn get(sender: &mut Sender, uri: &str) -> hyper::Result<Response<Incoming>> {
    sender.ready().await?;
    sender
        .send_request(Request::get(uri).body(Empty::new()).unwrap())
        .await
}

#[tokio::test]
async fn connections_that_send_no_whole_head_are_closed() {
    let (address, _running) = serve(|_| {}).await;
    for bytes in [
        &b""[..],
        b"P",
        b"PRI * HTTP/2.0\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n",
    ] {
        let began = Instant::now();
        until_closed(address, bytes).await;
        assert!(began.elapsed() >= SHORT / 2, "{:?}", began.elapsed());
    }
}

#[tokio::test]
async fn idle_connections_are_closed() {
    let (address, _running) = serve(|_| {}).await;
    let request = b"GET /.well-known/spin/health HTTP/1.1\r\nHost: x\r\n\r\n";
    let response = until_closed(address, request).await;
    assert!(response.starts_with(b"HTTP/1.1 200 OK"));
    until_closed(address, PREFACE).await;
}

#[tokio::test]
async fn bytes_that_make_no_request_keep_no_connection_open() {
    let (address, _running) = serve(|_| {}).await;
    let bytes = |bytes: &'static [u8]| bytes.chunks(1).collect::<Vec<_>>();
    let head = b"GET / HTTP/1.1\r\nHost: x\r\nAccept: a/b";
    assert!(closed_while_it_drips(address, b"", &bytes(head)).await);
    assert!(closed_while_it_drips(address, b"", &bytes(PREFACE)).await);
    assert!(closed_while_it_drips(address, PREFACE, &bytes(GET)).await);
    assert!(closed_while_it_drips(address, PREFACE, &[PING; 20]).await);
}

#[tokio::test]
async fn the_body_of_an_answered_request_keeps_no_connection_open() {
    let (address, _running) = serve(|_| {}).await;
    let data = b"\0\0\x01\0\0\0\0\0\x01a";
    let first = [PREFACE, POST].concat();
    assert!(closed_while_it_drips(address, &first, &[&data[..]; 20]).await);
}

#[tokio::test]
async fn silent_connections_do_not_keep_others_out() {
    let (address, _running) = serve(|limits| limits.connections = 4).await;
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let request = b"GET /.well-known/spin/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let response = until_closed(address, request).await;
    assert!(response.starts_with(b"HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn silent_clients_have_less_time_while_others_wait_for_a_connection() {
    // Longer than this test may take.
    let long = Duration::from_secs(100);
    let request = b"GET /.well-known/spin/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let unread = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(9);
    for silent in [&b""[..], b"GET / HTTP/1.1\r\n", PREFACE, &unread] {
        let (address, _running) = serve(|limits| {
            limits.connections = 4;
            limits.head = long;
            limits.write = 8 * SHORT;
            limits.idle = 8 * SHORT;
        })
        .await;
        let began = Instant::now();
        let mut others = Vec::new();
        for _ in 0..4 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(silent).await.unwrap();
            others.push(stream);
        }
        let response = until_closed(address, request).await;
        assert!(response.starts_with(b"HTTP/1.1 200 OK"));
        assert!(began.elapsed() < 8 * SHORT, "{:?}", began.elapsed());
    }
}

#[tokio::test]
async fn clients_that_keep_sending_requests_do_not_keep_others_out() {
    const REQUEST: &[u8] = b"HEAD /.well-known/spin/health HTTP/1.1\r\nHost: x\r\n\r\n";
    const LAST: &[u8] =
        b"GET /.well-known/spin/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let four_places = |limits: &mut Limits| limits.connections = 4;

    let (address, _running) = serve(four_places).await;
    for _ in 0..4 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        tokio::spawn(async move {
            let mut received = [0; 1024];
            while stream.write_all(REQUEST).await.is_ok() {
                if !matches!(stream.read(&mut received).await, Ok(1..)) {
                    break;
                }
                tokio::time::sleep(SHORT / 20).await;
            }
        });
    }
    let response = until_closed(address, LAST).await;
    assert!(response.starts_with(b"HTTP/1.1 200 OK"));

    let (address, _running) = serve(four_places).await;
    for _ in 0..4 {
        let mut client = http2_client(address, 1 << 10).await;
        tokio::spawn(async move {
            while get(&mut client, HEALTH).await.is_ok() {
                tokio::time::sleep(SHORT / 20).await;
            }
        });
    }
    let response = until_closed(address, LAST).await;
    assert!(response.starts_with(b"HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn answers_that_nobody_reads_are_given_up() {
    let (address, _running) = serve(|_| {}).await;
    // A window of 1 lets the first piece of an answer begin.
    for window in [0, 1] {
        let mut client = http2_client(address, window).await;
        let mut answer = get(&mut client, "http://x/").await.unwrap().into_body();
        // Requests that are answered keep the connection, but not that answer.
        let limit = Instant::now() + Duration::from_secs(10);
        while get(&mut client, HEALTH).await.is_ok() {
            assert!(Instant::now() < limit);
            tokio::time::sleep(SHORT / 8).await;
        }
        let end = async { while let Some(Ok(_)) = answer.frame().await {} };
        tokio::time::timeout(Duration::from_secs(10), end)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn readers_that_are_slow_get_the_whole_answer() {
    let (address, _running) = serve(|limits| limits.write = 5 * SHORT).await;
    let mut client = http2_client(address, 32 << 10).await;
    let mut answer = get(&mut client, "http://x/").await.unwrap().into_body();
    let mut size = 0;
    while let Some(frame) = answer.frame().await {
        size += frame.unwrap().into_data().unwrap().len();
        tokio::time::sleep(SHORT / 10).await;
    }
    assert_eq!(size, 1 << 20);
}

#[tokio::test]
async fn requests_beyond_the_limit_are_told_to_come_back() {
    let (address, _running) = serve(|limits| limits.requests = 3).await;
    // The answers that wait for their readers count, on whatever connection.
    let mut unread = Vec::new();
    for _ in 0..3 {
        let mut client = http2_client(address, 0).await;
        let answer = get(&mut client, "http://x/").await.unwrap();
        assert_eq!(answer.status(), 200);
        unread.push((client, answer));
    }
    let mut client = http2_client(address, 0).await;
    let answer = get(&mut client, HEALTH).await.unwrap();
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()[header::RETRY_AFTER], "1");
    // They are given up, or their readers hang up.
    drop(unread);
    let served = async {
        loop {
            let mut client = http2_client(address, 0).await;
            if get(&mut client, HEALTH).await.unwrap().status() == 200 {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), served)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_body_that_does_not_come_or_drips_ends_with_an_error() {
    let drip = |()| async {
        tokio::time::sleep(SHORT / 20).await;
        Some((Ok(Frame::data(Bytes::from_static(b"a"))), ()))
    };
    let drips = StreamBody::new(futures::stream::unfold((), drip)).boxed_unsync();
    let silence = StreamBody::new(futures::stream::pending()).boxed_unsync();
    for body in [drips, silence] {
        let whole = LimitedBody::new(body, SHORT).collect();
        let outcome = tokio::time::timeout(Duration::from_secs(10), whole).await;
        let error = outcome.unwrap().unwrap_err();
        assert!(matches!(error, ErrorCode::ConnectionReadTimeout));
    }
}
