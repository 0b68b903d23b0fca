//! The release at the end meets a service or a network that fails.

use std::time::{Duration, Instant};

use edgelatch_tests::{App, Proxy, until};

use crate::canned::{NOTHING, Scripted, json};
use crate::program::Locked;

/// Prints a line, and exits with 7 when its input ends.
const WAITING: &str = "echo begun; cat; exit 7";

/// Gives the lock to everybody. `released` is the answer to each try of a release.
fn giving(released: impl Fn(usize) -> String + Send + 'static) -> Scripted {
    Scripted::start(move |method, before| match method {
        "POST" => json("201 Created", r#"{"fencing_token":1}"#),
        "PUT" => json("200 OK", r#"{"fencing_token":1}"#),
        _ => released(before),
    })
}

fn failure(status: &str) -> String {
    format!("{status}\r\nContent-Length: 0\r\n\r\n")
}

/// A command that ends under a lock of this service.
fn ending(service: &Scripted, arguments: &str) -> Locked {
    let mut command = Locked::start_at(&service.url(), &format!("-u 42 {arguments}"), WAITING);
    assert_eq!(command.line(), "begun");
    command.end();
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_is_released_when_the_network_is_back() {
    let app = App::patient().await;
    let (_, port) = app.address().rsplit_once(':').unwrap();
    let port = port.parse().unwrap();
    let proxy = Proxy::start(port).await;
    let url = format!("http://127.0.0.1:{}", proxy.port());
    let mut command = Locked::start_at(&url, "--user 42 --expire 600", WAITING);
    assert_eq!(command.line(), "begun");
    let before = proxy.accepted();
    // Nobody listens there.
    proxy.set_upstream(1);
    command.end();
    until("two tries fail", async || proxy.accepted() >= before + 2).await;
    proxy.set_upstream(port);
    assert_eq!(command.wait(), (Some(7), String::new()));
    assert!(!app.redis.exists("user:42:lock").await);
}

#[test]
fn what_may_pass_is_tried_again() {
    let service = giving(|before| match before {
        0 => json(
            "503 Service Unavailable",
            r#"{"type":"urn:edgelatch:redis-timeout"}"#,
        ),
        1 => failure("502 Bad Gateway"),
        2 => failure("429 Too Many Requests"),
        _ => NOTHING.to_owned(),
    });
    let command = ending(&service, "--expire 600");
    assert_eq!(command.wait(), (Some(7), String::new()));
    assert_eq!(service.asked("DELETE"), 4);
}

#[test]
fn what_edgelatch_refuses_is_not_tried_again() {
    let refused = r#"{"type":"urn:edgelatch:unauthorized"}"#;
    let service = giving(|_| json("401 Unauthorized", refused));
    let (code, said) = ending(&service, "--expire 600").wait();
    assert_eq!((code, service.asked("DELETE")), (Some(7), 1), "{said}");
    assert!(said.contains("could not be released"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_ends_the_tries() {
    let service = giving(|_| failure("503 Service Unavailable"));
    let command = ending(&service, "--expire 600");
    let began = Instant::now();
    until("it tries again", async || service.asked("DELETE") >= 3).await;
    command.signal("INT");
    let (code, said) = command.wait();
    assert_eq!(code, Some(7), "{said}");
    assert!(said.contains("could not be released"), "{said}");
    assert!(began.elapsed() < Duration::from_secs(8));
}

#[test]
fn the_tries_end_with_the_lease() {
    let service = giving(|_| failure("503 Service Unavailable"));
    let command = ending(&service, "--expire 4");
    let began = Instant::now();
    let (code, said) = command.wait();
    assert_eq!(code, Some(7), "{said}");
    assert!(said.contains("could not be released"), "{said}");
    assert!(service.asked("DELETE") > 2 && began.elapsed() < Duration::from_secs(8));
}
