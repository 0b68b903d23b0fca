//! `edgelatch status` and `edgelatch break`.

use edgelatch_tests::App;

use crate::canned::Canned;
use crate::program::{Run, edgelatch, run};

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
