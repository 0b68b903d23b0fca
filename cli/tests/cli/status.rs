//! `edgelatch status` and `edgelatch break`.

use edgelatch_tests::App;

use crate::canned::Canned;
use crate::program::{Run, edgelatch, run, url};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_state_of_a_lock_is_printed() {
    let app = App::start().await;
    let free = run(&app, "status --user 42");
    assert_eq!(free.code, Some(0));
    assert!(free.stdout.starts_with("state:         free\n"), "{free:?}");
    let taken = app.post("/api/v1/users/42/locks/nightly?expire=600").await;
    let token = taken.json()["fencing_token"].to_string();
    let held = run(&app, "status --user 42 --name nightly");
    assert_eq!(held.code, Some(0));
    for line in [
        "state:         held\n",
        &format!("fencing token: {token}\n"),
    ] {
        assert!(held.stdout.contains(line), "{held:?}");
    }
    let json = run(&app, "status --user 42 --name nightly --json");
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["held"], true);
    assert!(run(&app, "status --user 42").stdout.contains("free"));
}

#[test]
fn the_owner_and_those_who_wait_are_printed() {
    let body = r#"{"held":true,"fencing_token":17,"expires_in":7.3,"owner":"me","waiting":2}"#;
    let service = Canned::json("200 OK", body);
    let output = edgelatch(&service.url(), "status --user 42").output();
    let run = Run::from(output.unwrap());
    assert!(run.stdout.contains("owner:         me\n"), "{run:?}");
    assert!(run.stdout.contains("waiting:       2\n"), "{run:?}");
}

#[test]
fn what_is_no_answer_of_edgelatch_is_told() {
    for service in [
        Canned::json("200 OK", "{}"),
        Canned::json("404 Not Found", r#"{"error":"x"}"#),
    ] {
        let status = edgelatch(&service.url(), "status --user 42").status();
        assert_eq!(status.unwrap().code(), Some(69));
    }
}

#[test]
fn a_lock_is_broken_with_the_admin_token() {
    let problem = r#"{"type":"urn:edgelatch:admin-only","detail":"No"}"#;
    for (service, code) in [
        (Canned::nothing(), 0),
        (Canned::json("403 Forbidden", problem), 77),
    ] {
        let mut command = edgelatch(&service.url(), "break --user 42 --name nightly");
        let command = command.env("EDGELATCH_TOKEN", "an-admin-token-0001");
        assert_eq!(command.status().unwrap().code(), Some(code));
        let asked = service.asked();
        let request = "delete /api/v1/users/42/locks/nightly?force=true http/1.1\n";
        assert!(asked.starts_with(request), "{asked}");
        assert!(
            asked.contains("\nauthorization: bearer an-admin-token-0001"),
            "{asked}"
        );
    }
}

#[test]
fn who_breaks_a_lock_is_told_to_the_service() {
    for (arguments, told) in [
        (vec!["--owner", "ada, on call"], Some("ada, on call")),
        (vec![], Some("of the variable")),
    ] {
        let service = Canned::nothing();
        let mut command = edgelatch(&service.url(), "break --user 42");
        let command = command.args(arguments);
        let command = command.env("EDGELATCH_OWNER", "of the variable");
        assert_eq!(command.status().unwrap().code(), Some(0));
        let asked = service.asked();
        let owner = asked
            .lines()
            .find_map(|line| line.strip_prefix("lock-owner: "));
        assert_eq!(owner, told, "{asked}");
    }
    let service = Canned::nothing();
    let break_it = edgelatch(&service.url(), "break --user 42").status();
    assert_eq!(break_it.unwrap().code(), Some(0));
    assert!(!service.asked().contains("lock-owner"));
    let wrong = edgelatch("http://127.0.0.1:1", "break --user 42 --owner \u{fc}").status();
    assert_eq!(wrong.unwrap().code(), Some(64));
}

/// What is said of a break that failed.
fn said_of(url: &str) -> String {
    let run = Run::from(edgelatch(url, "break --user 42").output().unwrap());
    assert_eq!(run.code, Some(69), "{run:?}");
    run.stderr
}

#[test]
fn a_break_that_was_not_sent_broke_nothing() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let refusing = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let no_tls = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("https://{}", no_tls.local_addr().unwrap());
    std::thread::spawn(move || drop(no_tls.accept()));
    for url in [refusing, "http://nowhere.invalid".to_owned(), silent] {
        let said = said_of(&url);
        assert!(said.contains("nothing was sent"), "{said}");
        assert!(!said.contains("may have been broken"), "{said}");
    }
    let proxy = Canned::start("403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    let mut refused = edgelatch("http://h.example", "break --user 42");
    let refused = refused.env("NO_PROXY", "").env("ALL_PROXY", proxy.url());
    let run = Run::from(refused.output().unwrap());
    assert_eq!(run.code, Some(69), "{run:?}");
    assert!(run.stderr.contains("nothing was sent"), "{run:?}");
}

#[test]
fn what_edgelatch_says_of_a_failed_break_is_not_contradicted() {
    let problem = r#"{"type":"urn:edgelatch:redis-unavailable","detail":"It was not broken"}"#;
    let said = said_of(&Canned::json("503 Service Unavailable", problem).url());
    assert!(said.contains("503, It was not broken\n"), "{said}");
    // A proxy does not know, and neither does a service that fails unforeseen.
    let internal = r#"{"type":"urn:edgelatch:internal","detail":"x"}"#;
    for body in ["{}", internal] {
        let said = said_of(&Canned::json("500 Internal Server Error", body).url());
        assert!(said.contains("may have been broken"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_break_that_redis_could_not_be_asked_for_broke_nothing() {
    let app = App::builder().patient();
    let app = app.var("api_token", "the-token-of-everybody");
    let mut app = app.var("admin_token", "an-admin-token-0001").start().await;
    app.redis.kill();
    let mut command = edgelatch(&url(&app), "break --user 42");
    let command = command.env("EDGELATCH_TOKEN", "an-admin-token-0001");
    let run = Run::from(command.output().unwrap());
    assert_eq!(run.code, Some(69), "{run:?}");
    assert!(run.stderr.contains("the lock was not broken"), "{run:?}");
    assert!(!run.stderr.contains("may have been"), "{run:?}");
}
