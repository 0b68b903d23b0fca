//! A service that takes connections and never answers, and a program that is replaced.

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
