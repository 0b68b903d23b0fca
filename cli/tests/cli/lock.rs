//! `edgelatch lock`: what holds the lock when, and how it ends.

use std::time::{Duration, Instant};

use edgelatch_tests::{App, until};

use crate::canned::{Canned, NOTHING, Scripted, json};
use crate::program::{Locked, edgelatch, run, run_locked, url};

/// Prints its fencing token, and exits with 7 when its input ends.
const WAITING: &str = "echo $EDGELATCH_FENCING_TOKEN; cat; exit 7";

/// The lock of user 42.
const LOCK: &str = "/api/v1/users/42/lock";

async fn is_held(app: &App) -> bool {
    app.get(LOCK).await.json()["held"] == true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_runs_under_the_lock() {
    let app = App::patient().await;
    let mut first = Locked::start(&app, "--user 42", WAITING);
    let token = first.line();
    let lock = app.get(LOCK).await.json();
    assert_eq!(lock["fencing_token"].to_string(), token);
    first.end();
    assert_eq!(first.wait().0, Some(7));
    assert!(!is_held(&app).await);
    let (code, said) = run_locked(&app, "--user 42", "kill -s KILL $$");
    assert_eq!((code, said.as_str()), (Some(137), ""));
    let named = "test \"$EDGELATCH_USER_ID $EDGELATCH_LOCK_NAME\" = '-7 nightly'";
    assert_eq!(
        run_locked(&app, "--user -7 --name nightly", named).0,
        Some(0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_finds_the_service_at_its_url() {
    let app = App::patient().await;
    let url = url(&app);
    for given in [url.clone(), format!("{url}/")] {
        // As `$EDGELATCH_URL/api`: the service does not know `//api`.
        let script = format!("test \"$EDGELATCH_URL\" = {url}");
        let command = Locked::start_at(&given, "--user 42", &script);
        assert_eq!(command.wait().0, Some(0), "{given}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_commands_exclude_each_other() {
    let app = App::patient().await;
    let mut first = Locked::start(&app, "--user 42", WAITING);
    let token: u64 = first.line().parse().unwrap();
    let (code, said) = run_locked(&app, "--user 42 --nonblock", "echo never");
    assert_eq!(code, Some(1));
    assert!(said.contains("Could not acquire lock"), "{said}");
    let other_lock = run_locked(&app, "--user 42 --name other", "exit 3");
    assert_eq!(other_lock.0, Some(3));
    let mut second = Locked::start(&app, "--user 42", WAITING);
    until("the second one waits", async || {
        app.redis.calls("evalsha").await > 10
    })
    .await;
    first.end();
    assert_eq!(first.wait().0, Some(7));
    assert!(second.line().parse::<u64>().unwrap() > token);
    second.end();
    assert_eq!(second.wait().0, Some(7));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lock_is_renewed_while_the_command_runs() {
    let app = App::patient().await;
    let mut command = Locked::start(&app, "--user 42 --expire 1.5", WAITING);
    let token = command.line();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(4) {
        let lock = app.get(LOCK).await.json();
        assert_eq!(lock["fencing_token"].to_string(), token);
    }
    command.end();
    let (code, said) = command.wait();
    assert_eq!((code, said.as_str()), (Some(7), ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_wait_and_its_exit_code_are_those_of_flock() {
    let app = App::patient().await;
    let taken = ["SET", "user:42:lock", "another", "EX", "600"];
    app.redis.run::<()>(&taken).await;
    for (arguments, code) in [
        ("-n", 1),
        ("-w 0.1", 1),
        ("-n -E 0", 0),
        ("-w 0 -E 200", 200),
    ] {
        let began = Instant::now();
        let (ended, said) = run_locked(&app, &format!("-u 42 {arguments}"), "echo never");
        assert_eq!(ended, Some(code), "{arguments}: {said}");
        assert!(began.elapsed() < Duration::from_secs(10), "{arguments}");
    }
    assert_eq!(run(&app, "lock -u 42 -n -w 1 true").code, Some(64));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_longer_than_the_lease_does_not_lose_it() {
    let app = App::patient().await;
    let mut first = Locked::start(&app, "--user 42", WAITING);
    first.line();
    let mut second = Locked::start(&app, "--user 42 --expire 1.5", WAITING);
    let began = Instant::now();
    until("the second one has waited for longer", async || {
        began.elapsed() > Duration::from_secs(2)
    })
    .await;
    first.end();
    second.line();
    second.end();
    let (code, said) = second.wait();
    assert_eq!((code, said.as_str()), (Some(7), ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stops_waiting_does_not_get_the_lock() {
    let app = App::patient().await;
    let mut first = Locked::start(&app, "--user 42", WAITING);
    first.line();
    let second = Locked::start(&app, "--user 42 --expire 600", "echo never");
    let before = app.redis.calls("evalsha").await;
    until("it waits", async || {
        app.redis.calls("evalsha").await > before + 3
    })
    .await;
    second.signal("TERM");
    assert_eq!(second.wait().0, Some(143));
    first.end();
    assert_eq!(first.wait().0, Some(7));
    assert!(!is_held(&app).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_before_the_command_have_exit_codes() {
    let app = App::patient().await;
    let url = url(&app);
    let code = |arguments: &str| {
        let output = edgelatch(&url, &format!("lock {arguments}"))
            .output()
            .unwrap();
        assert!(!output.stderr.is_empty(), "{arguments}");
        output.status.code()
    };
    assert_eq!(code("-- true"), Some(64));
    assert_eq!(code("--user 42"), Some(64));
    assert_eq!(code("--user 42 --expire 0 -- true"), Some(64));
    assert_eq!(code("--user 42 --name a/b -- true"), Some(64));
    assert_eq!(code("--user 42 -- /nowhere/to/be/found"), Some(127));
    assert_eq!(code("--user 42 -- /etc/passwd"), Some(126));
    assert!(!is_held(&app).await);
    let nobody = Locked::start_at("http://127.0.0.1:1", "--user 42 -n", "echo never");
    assert_eq!(nobody.wait().0, Some(69));
}

#[test]
fn a_service_that_is_not_there_is_tried_until_the_wait_is_over() {
    let began = Instant::now();
    let nobody = Locked::start_at("http://127.0.0.1:1", "--user 42 -w 1", "echo never");
    assert_eq!(nobody.wait().0, Some(69));
    assert!(began.elapsed() >= Duration::from_secs(1));
}

/// Gives the lock, but tells it so late that it is lost by then: this many times.
fn late(times: usize) -> Scripted {
    let lost = r#"{"type":"urn:edgelatch:not-lock-owner","detail":"Not yours"}"#;
    let mut lost_until = 0;
    Scripted::start(move |method, before| match method {
        "POST" => {
            if before < times {
                lost_until = before + 1;
                // More than a tenth of the lease: the program looks whether it is still good.
                std::thread::sleep(Duration::from_secs(1));
            }
            json("201 Created", r#"{"fencing_token":1}"#)
        }
        "PUT" if before < lost_until => json("409 Conflict", lost),
        "PUT" => json("200 OK", r#"{"fencing_token":1}"#),
        _ => NOTHING.to_owned(),
    })
}

#[test]
fn a_lock_that_is_lost_before_the_command_begins_is_tried_again() {
    let service = late(1);
    let arguments = "-u 42 --expire 8 -w 50 -E 9";
    let command = Locked::start_at(&service.url(), arguments, "exit 7");
    let (code, said) = command.wait();
    assert_eq!((code, said.as_str()), (Some(7), ""));
    assert!(service.asked("POST") > 1);
}

#[test]
fn nobody_holds_a_lock_that_is_lost_before_the_command_begins() {
    let service = late(usize::MAX);
    let arguments = "-u 42 --expire 8 -n -E 9";
    let command = Locked::start_at(&service.url(), arguments, "echo never");
    let (code, said) = command.wait();
    assert_eq!(code, Some(69), "{said}");
    let told = "the lock was lost before the command began";
    assert!(said.contains(told), "{said}");
}

#[test]
fn a_renewal_that_is_late_itself_does_not_begin_the_command() {
    let late = || {
        Scripted::start(|method, before| {
            match (method, before) {
                // The program looks whether it is still good.
                ("POST", 0) => std::thread::sleep(Duration::from_millis(200)),
                ("PUT", 0) => std::thread::sleep(Duration::from_millis(1300)),
                _ => {}
            }
            match method {
                "POST" => json("201 Created", r#"{"fencing_token":1}"#),
                "PUT" => json("200 OK", r#"{"fencing_token":1}"#),
                _ => NOTHING.to_owned(),
            }
        })
    };
    let arguments = "-u 42 --expire 1 -n -E 9";
    let mut command = Locked::start_at(&late().url(), arguments, "echo begun");
    assert_eq!(command.line(), "");
    let (code, said) = command.wait();
    assert_eq!(code, Some(69), "{said}");
    let told = "the lock was lost before the command began";
    assert!(said.contains(told), "{said}");
    let service = late();
    let arguments = "-u 42 --expire 1 -w 50 -E 9";
    let (code, said) = Locked::start_at(&service.url(), arguments, "exit 7").wait();
    assert_eq!((code, said.as_str()), (Some(7), ""));
    assert_eq!(service.asked("POST"), 2);
}

#[test]
fn the_help_lists_the_exit_codes() {
    let help = edgelatch("http://127.0.0.1:1", "lock --help")
        .output()
        .unwrap();
    assert!(help.status.success());
    let help = String::from_utf8(help.stdout).unwrap();
    for code in ["1", "64", "66", "69", "74", "77", "126", "127"] {
        assert!(help.contains(&format!(" {code}  ")), "{code} in {help}");
    }
}

#[test]
fn the_owner_is_told_and_the_path_is_encoded() {
    let service = Canned::start("400 Bad Request\r\n\r\n");
    let mut command = edgelatch(&service.url(), "lock --user Zo\u{eb} --name a/b -n");
    let command = command.args(["--owner", "billing run 17 on host-a", "true"]);
    assert_eq!(command.status().unwrap().code(), Some(69));
    let asked = service.asked();
    let request = "post /api/v1/users/zo%c3%ab/locks/a%2fb?timeout=0&expire=10 http/1.1\n";
    assert!(asked.starts_with(request), "{asked}");
    assert!(
        asked.contains("\nlock-owner: billing run 17 on host-a"),
        "{asked}"
    );
}

#[test]
fn a_request_without_a_body_has_its_length() {
    // It is renewed at once, since its answer took more than a tenth of the lease.
    let service = Scripted::start(|method, _| match method {
        "POST" => json("201 Created", r#"{"fencing_token":1}"#),
        _ => "400 Bad Request\r\nContent-Length: 0\r\n\r\n".to_owned(),
    });
    let command = Locked::start_at(&service.url(), "-u 42 --expire 0.001 -n", "true");
    command.wait();
    for method in ["POST", "PUT"] {
        let head = service.head(method);
        assert!(head.contains("\ncontent-length: 0"), "{head}");
        assert!(!head.contains("transfer-encoding"), "{head}");
    }
}
