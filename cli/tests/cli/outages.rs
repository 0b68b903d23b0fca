//! Redis or the network fails for a while, and is there again.

use std::cell::Cell;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use edgelatch_tests::{App, Loss, Proxy, until};

use crate::canned::{NOTHING, Scripted, json};
use crate::program::{Locked, edgelatch, run_locked};

/// Prints a line, and exits with 7 when its input ends.
const WAITING: &str = "echo begun; cat; exit 7";

/// The default expiry would bound how long it takes to take a lock back.
const NONBLOCK: &str = "lock -u 42 -n --expire 600 true";

/// An answer of a service that fails.
const NOT_NOW: &str = "503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";

/// How many requests were told that Redis did not answer.
fn timeouts(app: &App) -> usize {
    app.logs().matches("redis-timeout").count()
}

/// A service whose Redis was used, so that it knows the scripts, and has stopped.
async fn stalled() -> App {
    let app = App::builder().var("redis_timeout", "0.5").start().await;
    assert_eq!(run_locked(&app, "--user 42", "true").0, Some(0));
    app.redis.pause();
    app
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_an_outage_acquired_is_given_back() {
    let app = stalled().await;
    let refused = Locked::start(&app, "--user 42 --nonblock --expire 600", "echo never");
    until("its release fails, too", async || timeouts(&app) >= 2).await;
    // Redis carries out the acquisition now.
    app.redis.resume();
    assert_eq!(refused.wait().0, Some(69));
    assert!(!app.redis.exists("user:42:lock").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_an_outage_acquired_is_given_back_after_a_signal() {
    let app = stalled().await;
    let waiting = Locked::start(&app, "--user 42 --expire 600", "echo never");
    until("it was told 503", async || timeouts(&app) >= 1).await;
    waiting.signal("TERM");
    until("its release fails, too", async || timeouts(&app) >= 3).await;
    app.redis.resume();
    assert_eq!(waiting.wait().0, Some(143));
    assert!(!app.redis.exists("user:42:lock").await);
}

/// A service behind a proxy. Its answer to the first request for the lock is this one. From then on
/// the proxy refuses connections, until `is_back` says otherwise.
fn cut_off_after(answer: &'static str, is_back: impl Fn() -> bool + Send + 'static) -> Scripted {
    Scripted::start(move |method, before| match method {
        "CONNECT" if before == 0 || is_back() => "200 OK\r\n\r\n".to_owned(),
        "CONNECT" => "403 Forbidden\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "POST" => answer.to_owned(),
        _ => NOTHING.to_owned(),
    })
}

/// Waits for the lock of a service that is reached by this proxy.
fn waiting_behind(proxy: &Scripted, arguments: &str) -> Locked {
    let arguments = format!("lock -u 42 --expire 600 {arguments} true");
    let mut command = edgelatch("http://h.example", &arguments);
    Locked::of(command.env("NO_PROXY", "").env("ALL_PROXY", proxy.url()))
}

#[test]
fn what_came_before_a_request_that_was_never_sent_is_taken_back() {
    // The connection is cut, or the service says that it fails.
    for answer in ["", NOT_NOW] {
        let began = Instant::now();
        let is_over = move || began.elapsed() > Duration::from_secs(3);
        let proxy = cut_off_after(answer, is_over);
        let waiting = waiting_behind(&proxy, "--wait 1.5");
        let (code, said) = waiting.wait();
        assert_eq!(code, Some(69), "{said}");
        assert_eq!(proxy.asked("POST"), 1, "{answer}");
        assert!(proxy.asked("DELETE") > 0, "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_before_a_request_that_was_never_sent_is_taken_back_after_a_signal() {
    let is_back = Arc::new(AtomicBool::new(false));
    let is_open = Arc::clone(&is_back);
    let proxy = cut_off_after("", move || is_open.load(Ordering::Relaxed));
    let waiting = waiting_behind(&proxy, "");
    until("it is refused", async || proxy.asked("CONNECT") >= 3).await;
    waiting.signal("TERM");
    let before = proxy.asked("CONNECT");
    until("it is refused again", async || {
        proxy.asked("CONNECT") > before + 1
    })
    .await;
    is_back.store(true, Ordering::Relaxed);
    assert_eq!(waiting.wait().0, Some(143));
    assert_eq!(proxy.asked("POST"), 1);
    assert!(proxy.asked("DELETE") > 0);
}

#[test]
fn what_came_before_a_refusal_is_taken_back() {
    for (status, problem, code) in [
        ("423 Locked", "lock-held", 1),
        ("401 Unauthorized", "unauthorized", 77),
    ] {
        let problem = format!(r#"{{"type":"urn:edgelatch:{problem}"}}"#);
        let service = Scripted::start(move |method, before| match (method, before) {
            ("POST", 0) => NOT_NOW.to_owned(),
            ("POST", _) => json(status, &problem),
            _ => NOTHING.to_owned(),
        });
        let waiting = Locked::start_at(&service.url(), "-u 42 --wait 1 --expire 600", "true");
        let (ended, said) = waiting.wait();
        assert_eq!(ended, Some(code), "{said}");
        assert!(service.asked("DELETE") > 0, "{status}");
    }
}

#[test]
fn what_was_never_sent_is_not_taken_back() {
    let closing = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closing.local_addr().unwrap();
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    std::thread::spawn(move || {
        // It speaks no TLS, and is no proxy.
        for stream in closing.incoming() {
            count.fetch_add(1, Ordering::Relaxed);
            drop(stream);
        }
    });
    let no_tls = edgelatch(&format!("https://{address}"), NONBLOCK).status();
    assert_eq!(no_tls.unwrap().code(), Some(69));
    // A second one would take back the lock.
    assert_eq!(accepted.load(Ordering::Relaxed), 1);
    let mut refusing = edgelatch("http://h.example", NONBLOCK);
    let refusing = refusing.env("NO_PROXY", "");
    let refusing = refusing.env("ALL_PROXY", format!("http://{address}"));
    assert_eq!(refusing.status().unwrap().code(), Some(69));
    assert_eq!(accepted.load(Ordering::Relaxed), 2);
    let proxy = Scripted::start(|_, _| "403 Forbidden\r\nContent-Length: 0\r\n\r\n".to_owned());
    let mut refusing = edgelatch("http://h.example", NONBLOCK);
    let refusing = refusing.env("NO_PROXY", "");
    let refusing = refusing.env("ALL_PROXY", proxy.url());
    assert_eq!(refusing.status().unwrap().code(), Some(69));
    assert_eq!(proxy.asked("CONNECT"), 1);
    let began = Instant::now();
    let nowhere = edgelatch("http://nowhere.invalid", NONBLOCK).status();
    assert_eq!(nowhere.unwrap().code(), Some(69));
    assert!(began.elapsed() < Duration::from_secs(8));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewal_that_hangs_does_not_lose_the_lock() {
    let app = App::patient().await;
    let (_, port) = app.address().rsplit_once(':').unwrap();
    let proxy = Proxy::start(port.parse().unwrap()).await;
    proxy.lose_answer_to("PUT ", Loss::Hold);
    let url = format!("http://127.0.0.1:{}", proxy.port());
    let mut command = Locked::start_at(&url, "--user 42 --expire 6", WAITING);
    assert_eq!(command.line(), "begun");
    until("the first renewal hangs", async || proxy.is_spent()).await;
    let left = Cell::new(i64::MAX);
    until("it is renewed", async || {
        let now = app.redis.ms_left("user:42:lock").await;
        left.replace(now) < now
    })
    .await;
    command.end();
    let (code, said) = command.wait();
    assert_eq!(code, Some(7), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loss_is_told_with_its_reason() {
    let app = App::patient().await;
    let mut command = Locked::start(&app, "--user 42 --expire 600", WAITING);
    assert_eq!(command.line(), "begun");
    app.redis.run::<()>(&["DEL", "user:42:lock"]).await;
    command.end();
    let (code, said) = command.wait();
    assert_eq!(code, Some(74));
    assert!(said.contains("before the command ended: http://"), "{said}");
    assert!(said.contains("409"), "{said}");
}
