//! Tokens and passwords: how they get in, and that they do not get out.

use edgelatch_tests::App;

use crate::program::{edgelatch, path, url};

const TOKEN: &str = "a-s3cret-of-the-test";

async fn guarded() -> App {
    App::builder()
        .patient()
        .var("api_token", TOKEN)
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_comes_from_a_file_or_the_environment() {
    let app = guarded().await;
    let url = url(&app);
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        file.display().to_string()
    };
    let right = file("right", &format!("{TOKEN}\n"));
    let wrong = file("wrong", "another-one-0000000\n");
    let status = |arguments: &str, variable: Option<&str>| {
        let mut command = edgelatch(&url, &format!("status --user 42 {arguments}"));
        let output = command
            .envs(variable.map(|value| ("EDGELATCH_TOKEN", value)))
            .output()
            .unwrap();
        output.status.code()
    };
    assert_eq!(status("", None), Some(77));
    assert_eq!(status("", Some(TOKEN)), Some(0));
    assert_eq!(status("", Some("wrong")), Some(77));
    assert_eq!(status("", Some("")), Some(77));
    assert_eq!(status("", Some(&format!(" {TOKEN}\r\n"))), Some(0));
    for bad in ["two words", "t\u{f6}ken-of-the-test", " \n"] {
        let bad = file("bad", bad);
        assert_eq!(status(&format!("--token-file {bad}"), None), Some(77));
    }
    assert_eq!(status(&format!("--token-file {right}"), None), Some(0));
    assert_eq!(status(&format!("--token-file {right}"), Some("x")), Some(0));
    assert_eq!(status(&format!("--token-file {wrong}"), None), Some(77));
    assert_eq!(status("--token-file /nowhere", None), Some(66));
    assert_eq!(status(&format!("--token {TOKEN}"), None), Some(64));
    let mut lock = edgelatch(&url, "lock --user 42 -- sh -c");
    let lock = lock.arg("exit 4").env("EDGELATCH_TOKEN_FILE", &right);
    assert_eq!(lock.status().unwrap().code(), Some(4));
    let lock = edgelatch(&url, "lock --user 42 true").status();
    assert_eq!(lock.unwrap().code(), Some(77));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_does_not_get_the_token() {
    let app = guarded().await;
    let url = format!("http://anna:passw0rd@{}", app.address());
    let mut command = edgelatch(&url, "lock --user 42 -- env");
    let output = command.env("EDGELATCH_TOKEN", TOKEN).output().unwrap();
    let environment = String::from_utf8(output.stdout).unwrap();
    assert!(environment.contains("EDGELATCH_FENCING_TOKEN="));
    for secret in [TOKEN, "passw0rd"] {
        assert!(!environment.contains(secret), "{environment}");
    }
}

#[test]
fn a_password_of_the_address_is_in_no_output() {
    for (url, arguments) in [
        (
            "http://anna:passw0rd@127.0.0.1:1",
            "lock --user 42 -n -- true",
        ),
        ("http://anna:passw0rd@127.0.0.1:1", "get --user 42 key"),
        ("http://anna:passw0rd@127.0.0.1:1", "get --user 42"),
        ("http://anna:passw0rd@127.0.0.1:1", "lock --help"),
        ("htp://anna:passw0rd@127.0.0.1", "lock --user 42 -- true"),
        (
            "http://h",
            "get --user 42 key http://anna:passw0rd@127.0.0.1",
        ),
        (
            "http://h",
            "get --user 42 key --ur=http://anna:passw0rd@127.0.0.1",
        ),
        ("http://h", "get --user 42 key HTTP:anna:passw0rd@127.0.0.1"),
    ] {
        let output = edgelatch(url, arguments).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        assert!(!said.is_empty() && !said.contains("passw0rd"), "{said}");
    }
}

#[test]
fn a_password_of_a_malformed_address_is_in_no_output() {
    for login in [
        "anna:12/passw0rd",
        r"anna:12\passw0rd",
        "anna:12?passw0rd",
        "anna:12#passw0rd",
        "anna:a passw0rd",
        "anna:passw0rd@@",
        "12/passw0rd",
    ] {
        let address = format!("http://{login}@127.0.0.1:1");
        for arguments in ["status -u 42", "lock -u 42 -n true", "put -u 42 k 1"] {
            let output = edgelatch(&address, arguments).output().unwrap();
            let told = String::from_utf8(output.stderr).unwrap();
            assert!(!told.is_empty() && !told.contains("passw0rd"), "{told}");
            assert!(!told.contains("anna"), "{told}");
        }
        let mut misplaced = edgelatch("http://h", "get -u 42 k");
        let output = misplaced.arg(&address).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(!told.is_empty() && !told.contains("passw0rd"), "{told}");
        let mut proxied = edgelatch("http://127.0.0.1:1", "status -u 42");
        let proxied = proxied.env("NO_PROXY", "").env("ALL_PROXY", &address);
        let told = String::from_utf8(proxied.output().unwrap().stderr).unwrap();
        assert!(!told.is_empty() && !told.contains("passw0rd"), "{told}");
    }
}

#[test]
fn a_login_of_the_address_is_sent() {
    let service = crate::canned::Canned::json("200 OK", r#"{"held":false}"#);
    let url = service.url().replace("//", "//anna:p%40ss@");
    let status = edgelatch(&url, "status --user 42").status();
    assert!(status.unwrap().success());
    // `anna:p@ss` in Base64, in lower case.
    let asked = service.asked();
    assert!(
        asked.contains("\nauthorization: basic yw5uytpwqhnz"),
        "{asked}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_may_use_the_token_file_of_its_lock() {
    let app = guarded().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), TOKEN).unwrap();
    let script = "cd / && \"$EDGELATCH\" status && \"$EDGELATCH\" put k 1";
    let mut command = edgelatch(&url(&app), "lock --user 42 --token-file token -- sh -c");
    let command = command.arg(script).env("EDGELATCH", path());
    let output = command.current_dir(folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_of_a_large_value_is_told() {
    let app = guarded().await;
    let url = url(&app);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("large");
    std::fs::write(&file, "1".repeat(8_000_000)).unwrap();
    // It was told by chance.
    for _ in 0..10 {
        for (token, code) in [("wrong", 77), (TOKEN, 64)] {
            let mut put = edgelatch(&url, "put --user 42 k");
            let put = put.arg(format!("@{}", file.display()));
            let output = put.env("EDGELATCH_TOKEN", token).output().unwrap();
            assert_eq!(output.status.code(), Some(code), "{output:?}");
        }
    }
    // One that is not refused is stored.
    let value = format!("\"{}\"", "x".repeat(500_000));
    std::fs::write(&file, &value).unwrap();
    let mut put = edgelatch(&url, "put --user 42 k");
    let put = put.arg(format!("@{}", file.display()));
    let output = put.env("EDGELATCH_TOKEN", TOKEN).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn a_file_without_certificates_is_refused() {
    let output = edgelatch("https://127.0.0.1:1", "get --user 42 k --cacert /dev/null").output();
    assert_eq!(output.unwrap().status.code(), Some(66));
}
