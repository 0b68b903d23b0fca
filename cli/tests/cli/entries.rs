//! `edgelatch get`, `put`, `patch` and `delete`.

use edgelatch_tests::App;

use crate::program::{Run, edgelatch, run, run_with, url};

const ENTRY: &str = "/api/v1/users/42/cache/k";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_is_printed_as_it_was_stored() {
    let app = App::start().await;
    let value = " {\"b\": 1.00,\n\"a\":\"\u{e9}\" } ";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("value.json");
    std::fs::write(&file, value).unwrap();
    let file = format!("@{}", file.display());
    for (argument, input) in [(value, ""), ("-", value), (&file, "")] {
        let put = ["put", "--user", "42", "k", argument, "--expire", "60"];
        let put = run_with(&app, &put, input);
        assert_eq!((put.code, put.stdout.as_str()), (Some(0), ""), "{put:?}");
        let got = run(&app, "get --user 42 k");
        assert_eq!((got.code, got.stdout.as_str()), (Some(0), value), "{got:?}");
        assert_eq!(run(&app, "delete --user 42 k").code, Some(0));
    }
    let put = run_with(&app, &["put", "--user", "42", "k"], "17");
    assert_eq!(put.code, Some(0), "{put:?}");
    app.get(ENTRY).await.assert_body(200, "17");
    // Negative numbers are values and no flags.
    for number in ["-5", "-0.5", "-1e-5", "-1.5E+3"] {
        let put = run(&app, &format!("put --user -7 k {number} --expire 60"));
        assert_eq!(put.code, Some(0), "{put:?}");
        assert_eq!(run(&app, "get --user -7 k").stdout, number);
    }
    assert_eq!(run(&app, "patch --user -7 k -2e-2").stdout, "-2e-2");
}

#[test]
fn a_wrong_option_is_not_sent_as_a_value() {
    for (arguments, named) in [
        ("put -u 42 k --bogus", "--bogus"),
        ("put -u 42 k -x", "-x"),
        ("put -u 42 k --expir 5", "--expir"),
        ("put -u -7 k --bogus", "--bogus"),
        ("put -u 42 k -007", "-007"),
        ("put -u 42 k -1.", "-1."),
        ("put -u 42 k -Infinity", "-I"),
        ("patch -u 42 k --bogus", "--bogus"),
        ("patch -u 42 --bogus k", "--bogus"),
    ] {
        // Nobody is there.
        let output = edgelatch("http://127.0.0.1:1", arguments).output();
        let run = Run::from(output.unwrap());
        assert_eq!(run.code, Some(64), "{arguments}: {run:?}");
        assert!(run.stderr.contains(named), "{arguments}: {run:?}");
    }
    for arguments in ["put -u 42 k -- --bogus", "put -u 42 -- k -007"] {
        let output = edgelatch("http://127.0.0.1:1", arguments).output();
        assert_eq!(output.unwrap().status.code(), Some(69), "{arguments}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_printed_exits_with_74() {
    let app = App::start().await;
    assert_eq!(run(&app, "put --user 42 k 1").code, Some(0));
    for arguments in ["get --user 42 k", "status --user 42", "completions bash"] {
        for (output, code) in [("&-", 74), ("/dev/full", 74), ("/dev/null", 0)] {
            let program = edgelatch(&url(&app), arguments);
            let mut shell = std::process::Command::new("sh");
            shell.args(["-c", &format!("exec \"$0\" \"$@\" >{output}")]);
            shell.arg(program.get_program()).args(program.get_args());
            shell.env("EDGELATCH_URL", url(&app)).env("NO_PROXY", "*");
            let run = Run::from(shell.env_remove("EDGELATCH_TOKEN").output().unwrap());
            assert_eq!(run.code, Some(code), "{arguments} >{output}: {run:?}");
            let is_told = run.stderr.contains("standard output");
            assert_eq!(is_told, code == 74, "{run:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_absent_entry_exits_with_1() {
    let app = App::start().await;
    let got = run(&app, "get --user 42 k");
    assert_eq!((got.code, got.stdout.as_str()), (Some(1), ""));
    assert!(got.stderr.contains("no such entry"), "{got:?}");
    assert_eq!(run(&app, "patch --user 42 k {}").code, Some(1));
    assert_eq!(run(&app, "delete --user 42 k").code, Some(0));
    assert_eq!(run(&app, "delete --user 42 k --if-match *").code, Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conditions_hold_or_exit_with_1() {
    let app = App::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("etag");
    let save = format!("--etag-save {}", file.display());
    let etag = || std::fs::read_to_string(&file).unwrap();
    let put = format!("put --user 42 k 1 --if-none-match * {save}");
    assert_eq!(run(&app, &put).code, Some(0));
    assert_eq!(run(&app, &put).code, Some(1));
    let first = etag();
    assert_eq!(run(&app, &format!("get --user 42 k {save}")).code, Some(0));
    assert_eq!(etag(), first);
    // A shell may have taken its quotes away.
    let unquoted = first.trim().trim_matches('"');
    for (etag, code) in [(unquoted, 0), (first.trim(), 1)] {
        let put = format!("put --user 42 k 2 --if-match {etag} {save}");
        assert_eq!(run(&app, &put).code, Some(code), "{etag}");
    }
    let second = etag();
    let patch = |etag: &str| run(&app, &format!("patch --user 42 k [3] --if-match {etag}"));
    assert_eq!(patch(first.trim()).code, Some(1));
    let patched = patch(second.trim());
    assert_eq!((patched.code, patched.stdout.as_str()), (Some(0), "[3]"));
    let delete = |etag: &str| run(&app, &format!("delete --user 42 k --if-match {etag}"));
    assert_eq!(delete(second.trim()).code, Some(1));
    assert_eq!(delete("*").code, Some(0));
    app.get(ENTRY).await.assert_problem(404, "not-found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patch_is_merged_and_the_result_is_printed() {
    let app = App::start().await;
    assert_eq!(run(&app, r#"put --user 42 k {"a":1,"b":2}"#).code, Some(0));
    let patched = run(&app, r#"patch --user 42 k {"a":null,"c":3} --expire 9"#);
    assert_eq!(
        (patched.code, patched.stdout.as_str()),
        (Some(0), r#"{"b":2,"c":3}"#)
    );
    let ttl = app
        .redis
        .run::<i64>(&["PTTL", "{user:42:lock}:cache:k"])
        .await;
    assert!((1..=9000).contains(&ttl), "{ttl}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_request_exits_with_64_and_says_why() {
    let app = App::start().await;
    for (arguments, said) in [
        ("put --user 42 k {bad", "Not JSON"),
        ("put --user 42 k 1 --expire 0", "seconds from"),
        ("put --user 42 last-action 1", "last-action"),
        ("get --user 42 a/b", "128"),
        ("get --user nobody k", "integer"),
        ("get k", "--user"),
        ("frob", "frob"),
    ] {
        let refused = run(&app, arguments);
        assert_eq!(refused.code, Some(64), "{arguments}: {refused:?}");
        assert!(refused.stderr.contains(said), "{refused:?}");
    }
    assert_eq!(run(&app, "put --user 42 k @/nowhere").code, Some(66));
    for nameless in ["put --user 42 k @", "patch --user 42 k @"] {
        let refused = run(&app, nameless);
        assert_eq!(refused.code, Some(64));
        assert!(refused.stderr.contains("@ needs"), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_service_exits_with_69() {
    let mut app = App::start().await;
    app.redis.kill();
    assert_eq!(run(&app, "get --user 42 k").code, Some(69));
    app.kill();
    assert_eq!(run(&app, "put --user 42 k 1").code, Some(69));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_stored_if_its_entity_tag_could_not_be_saved() {
    let app = App::start().await;
    let put = run(&app, "put --user 42 k 1 --etag-save /nonexistent/etag");
    assert_eq!(put.code, Some(74), "{put:?}");
    assert_eq!(run(&app, "get --user 42 k").code, Some(1));
}
