//! What the program makes of answers, and of what only looks like one.

use edgelatch_tests::App;

use crate::canned::Canned;
use crate::program::{Run, edgelatch};

/// A page of a proxy, which says 200 whatever it is asked.
fn login_page() -> Canned {
    let page = "<html>Log in</html>";
    let length = page.len();
    Canned::start(&format!(
        "200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\n\r\n{page}"
    ))
}

#[test]
fn a_login_page_is_no_success() {
    for arguments in [
        "break --user 42",
        "status --user 42",
        "get --user 42 profile",
        "put --user 42 profile 1",
        "patch --user 42 profile {}",
        "delete --user 42 profile",
    ] {
        let service = login_page();
        let output = edgelatch(&service.url(), arguments).output();
        let run = Run::from(output.unwrap());
        assert_eq!(run.code, Some(69), "{arguments}: {run:?}");
        assert_eq!(run.stdout, "", "{arguments}");
        assert!(run.stderr.contains("not an answer of edgelatch"), "{run:?}");
    }
}

#[test]
fn not_every_204_is_of_edgelatch() {
    for arguments in ["break --user 42", "delete --user 42 profile"] {
        let elsewhere = Canned::start("204 No Content\r\n\r\n");
        let run = Run::from(edgelatch(&elsewhere.url(), arguments).output().unwrap());
        assert_eq!(run.code, Some(69), "{arguments}: {run:?}");
        assert!(run.stderr.contains("not an answer of edgelatch"), "{run:?}");
        let done = edgelatch(&Canned::nothing().url(), arguments).status();
        assert_eq!(done.unwrap().code(), Some(0), "{arguments}");
    }
}

#[test]
fn not_every_json_is_an_entry() {
    let page = r#"{"login":"here"}"#;
    for arguments in ["get -u 42 k", "patch -u 42 k {}"] {
        for (marks, code, printed) in [
            ("", 69, ""),
            ("\r\nX-Request-Id: 7f3a", 69, ""),
            ("\r\nETag: \"5f3a\"", 69, ""),
            ("\r\nETag: \"5f3a\"\r\nX-Request-Id: 7f3a", 0, page),
        ] {
            let elsewhere = Canned::json(&format!("200 OK{marks}"), page);
            let run = Run::from(edgelatch(&elsewhere.url(), arguments).output().unwrap());
            let told = (run.code, run.stdout.as_str());
            assert_eq!(told, (Some(code), printed), "{arguments}: {run:?}");
            let is_told = run.stderr.contains("not an answer of edgelatch");
            assert_eq!(is_told, code == 69, "{run:?}");
        }
    }
    let elsewhere = Canned::start("200 OK\r\nContent-Length: 0\r\n\r\n");
    let put = edgelatch(&elsewhere.url(), "put -u 42 k 1").status();
    assert_eq!(put.unwrap().code(), Some(69));
}

#[test]
fn a_value_that_looks_like_an_option_is_joined_with_an_equals_sign() {
    let ask = |arguments: &str| {
        let output = edgelatch("http://127.0.0.1:1", arguments).output();
        Run::from(output.unwrap())
    };
    for arguments in [
        "status -u -ada",
        "status --user --ada",
        "break -u 42 --name -x",
        "lock -u 42 --owner -x true",
        "put -u 42 k 1 --if-match -x",
    ] {
        let run = ask(arguments);
        assert_eq!(run.code, Some(64), "{arguments}: {run:?}");
        let tip = "a value that begins with '-' is joined to its option with '='";
        assert!(run.stderr.contains(tip), "{arguments}: {run:?}");
    }
    assert!(!ask("status --colour").stderr.contains("joined"));
    for arguments in [
        "status -u=-ada --name=-x",
        "status --user=--ada",
        "status -u -7",
    ] {
        let run = ask(arguments);
        assert_eq!(run.code, Some(69), "{arguments}: {run:?}");
        assert!(run.stderr.contains("/api/v1/users/-"), "{run:?}");
    }
}

#[test]
fn a_break_without_an_answer_is_sent_once() {
    let failing = "503 \r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n";
    // Closed without an answer, answered with half of one, or with a failure.
    for answer in ["", "HTTP/1.1 204", &format!("HTTP/1.1 {failing}")] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut command = edgelatch(&url, "break --user 42")
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut asked = 0;
        listener.set_nonblocking(true).unwrap();
        while command.try_wait().unwrap().is_none() {
            let Ok((mut stream, _)) = listener.accept() else {
                std::thread::sleep(std::time::Duration::from_millis(5));
                continue;
            };
            asked += 1;
            stream.set_nonblocking(false).unwrap();
            let _ = std::io::Read::read(&mut stream, &mut [0; 4096]).unwrap();
            std::io::Write::write_all(&mut stream, answer.as_bytes()).unwrap();
        }
        let run = Run::from(command.wait_with_output().unwrap());
        assert_eq!((run.code, asked), (Some(69), 1), "{run:?}");
        assert!(run.stderr.contains("may have been broken"), "{run:?}");
    }
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let ask = |url: &str, arguments: &str| {
        let mut command = edgelatch(url, arguments);
        for name in ["USER_ID", "TOKEN_FILE", "CACERT", "OWNER"] {
            command.env(format!("EDGELATCH_{name}"), "");
        }
        Run::from(command.output().unwrap())
    };
    let broken = ask(&Canned::nothing().url(), "break --user 42");
    assert_eq!(broken.code, Some(0), "{broken:?}");
    let nobody = ask("http://127.0.0.1:1", "status");
    assert_eq!(nobody.code, Some(64));
    assert!(nobody.stderr.contains("--user"), "{nobody:?}");
    // The file is read before anything is sent.
    let nowhere = ask("", "put --user 42 k @/nowhere");
    assert_eq!(nowhere.code, Some(66), "{nowhere:?}");
}

#[test]
fn an_empty_name_is_wrong_usage() {
    let empty = |arguments: &[&str]| {
        let output = edgelatch("http://127.0.0.1:1", "").args(arguments).output();
        let run = Run::from(output.unwrap());
        assert_eq!(run.code, Some(64), "{arguments:?}: {run:?}");
        assert!(run.stderr.contains("must not be empty"), "{run:?}");
    };
    empty(&["status", "--user", "42", "--name", ""]);
    empty(&["break", "--user", "42", "--name", ""]);
    empty(&["lock", "--user", "42", "--name", "", "true"]);
    empty(&["lock", "--user", "", "true"]);
    empty(&["get", "--user", "42", ""]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_address_is_wrong_usage() {
    let app = App::start().await;
    let elsewhere = format!("http://{}/elsewhere", app.address());
    for arguments in [
        "status -u 42",
        "break -u 42",
        "lock -u 42 -n -E 9 true",
        "get -u 42 k",
        "patch -u 42 k {}",
    ] {
        let output = edgelatch(&elsewhere, arguments).output();
        let run = Run::from(output.unwrap());
        assert_eq!(run.code, Some(64), "{arguments}: {run:?}");
    }
}

#[test]
fn a_text_of_the_service_controls_no_terminal() {
    let evil = "a\u{1b}]0;x\u{7}b\u{9b}2J\nc\u{202e}d";
    let escaped = r"a\u{1b}]0;x\u{7}b\u{9b}2J\u{a}c\u{202e}d";
    let state = serde_json::json!({"held": true, "fencing_token": 17, "expires_in": 7.5,
        "owner": evil, "waiting": 0});
    let ask = |service: Canned, arguments: &str| {
        let output = edgelatch(&service.url(), arguments).output();
        Run::from(output.unwrap())
    };
    let held = || Canned::json("200 OK", &state.to_string());
    let run = ask(held(), "status --user 42");
    assert!(run.stdout.contains(escaped), "{run:?}");
    let run = ask(held(), "status --user 42 --json");
    assert!(!run.stdout.trim_end().contains(char::is_control), "{run:?}");
    let json: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(json, state);
    let problem = serde_json::json!({"type": "urn:edgelatch:lock-held", "detail": evil,
        "owner": evil, "errors": [{"loc": ["query", evil], "msg": evil}, {"msg": "x"}]});
    for (status, code) in [("423 Locked", 1), ("503 Down", 69)] {
        for arguments in [
            "lock --user 42 -n true",
            "put --user 42 k 1",
            "status -u 42",
        ] {
            let run = ask(Canned::json(status, &problem.to_string()), arguments);
            assert_eq!(run.code, Some(code), "{run:?}");
            assert!(run.stderr.contains(escaped), "{run:?}");
            let line = run.stderr.trim_end();
            assert!(!line.contains(char::is_control), "{run:?}");
        }
    }
    // What is data is printed as it is.
    let marks = "200 OK\r\nETag: \"5f3a\"\r\nX-Request-Id: 7f3a";
    let entry = Canned::json(marks, "\"\u{9b}2J\"\n");
    assert_eq!(ask(entry, "get --user 42 k").stdout, "\"\u{9b}2J\"\n");
}

#[test]
fn a_redirect_is_not_tried_again() {
    let began = std::time::Instant::now();
    let service = Canned::start("301 Moved\r\nLocation: /\r\nContent-Length: 0\r\n\r\n");
    let output = edgelatch(&service.url(), "lock --user 42 true").output();
    assert_eq!(output.unwrap().status.code(), Some(69));
    assert!(began.elapsed() < std::time::Duration::from_secs(10));
}
