//! A service that takes connections and never answers, and a program that is replaced.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use edgelatch_tests::{App, until};

use crate::program::{Locked, edgelatch, path, url};

/// The kernel accepts for it.
fn hanging() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

#[test]
fn a_limited_wait_ends_soon_where_nobody_answers() {
    let (_listener, url) = hanging();
    for (arguments, most) in [("-u 42 -n", 4), ("-u 42 -w 1", 5)] {
        let began = Instant::now();
        let command = Locked::start_at(&url, arguments, "echo never");
        assert_eq!(command.wait().0, Some(69));
        assert!(began.elapsed() < Duration::from_secs(most), "{arguments}");
    }
}

#[test]
fn a_signal_ends_the_wait_soon_where_nobody_answers() {
    let (listener, url) = hanging();
    let waiting = Locked::start_at(&url, "-u 42", "echo never");
    let _connection = listener.accept().unwrap();
    let began = Instant::now();
    waiting.signal("INT");
    assert_eq!(waiting.wait().0, Some(130));
    assert!(began.elapsed() < Duration::from_secs(4));
}

/// Gives the lock to the first who asks, and then answers nobody.
fn giving_once() -> (std::thread::JoinHandle<TcpListener>, String) {
    let (listener, url) = hanging();
    let giving = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]).unwrap();
        let head = "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\n";
        let answer = format!("{head}Content-Length: 19\r\n\r\n{{\"fencing_token\":1}}");
        stream.write_all(answer.as_bytes()).unwrap();
        listener
    });
    (giving, url)
}

#[test]
fn a_signal_ends_a_release_that_nobody_answers() {
    let (giving, url) = giving_once();
    let mut command = Locked::start_at(&url, "-u 42 --expire 600", "echo begun; read line");
    assert_eq!(command.line(), "begun");
    let listener = giving.join().unwrap();
    command.end();
    let _release = listener.accept().unwrap();
    let began = Instant::now();
    command.signal("INT");
    let (_, said) = command.wait();
    assert!(said.contains("could not be released"), "{said}");
    assert!(began.elapsed() < Duration::from_secs(4));
}

#[test]
fn a_loss_is_told_soon_where_nobody_answers() {
    let (giving, url) = giving_once();
    let mut command = Locked::start_at(&url, "-u 42 --expire 1", "echo begun; read line");
    assert_eq!(command.line(), "begun");
    let _listener = giving.join().unwrap();
    let began = Instant::now();
    assert_eq!(command.wait().0, Some(74));
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_is_replaced_while_it_waits_goes_on() {
    let app = App::patient().await;
    let taken = ["SET", "user:42:lock", "another", "EX", "600"];
    app.redis.run::<()>(&taken).await;
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("edgelatch");
    std::fs::copy(path(), &copy).unwrap();
    let program = edgelatch(&url(&app), "lock --user 42 -- sh -c");
    let mut renamed = std::process::Command::new(&copy);
    renamed.args(program.get_args()).arg("exit 5");
    renamed.env("EDGELATCH_URL", url(&app)).env("NO_PROXY", "*");
    let waiting = Locked::of(&mut renamed);
    until("it waits", async || app.redis.calls("evalsha").await > 3).await;
    std::fs::remove_file(&copy).unwrap();
    app.redis.run::<()>(&["DEL", "user:42:lock"]).await;
    assert_eq!(waiting.wait().0, Some(5));
}
