//! The scripts of `docs/compute.md`.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use edgelatch_tests::{App, root, until};

const ENTRY: &str = "/api/v1/users/42/cache/report";
const REPORT: &str = r#"{"total": 17}"#;

/// The blocks of the page in this language, with the test's own server in them.
fn blocks(app: &App, language: &str) -> Vec<String> {
    let page = std::fs::read_to_string(root().join("docs/compute.md")).unwrap();
    let fence = format!("```{language}\n");
    let blocks = page.split(fence.as_str()).skip(1);
    let block = |rest: &str| rest.split("```").next().unwrap().to_owned();
    blocks
        .map(|rest| block(rest).replace("127.0.0.1:9001", app.address()))
        .collect()
}

/// The lock of the entry's computing.
const LOCK: &str = "{user:42:lock}:compute:report";

/// Commands that print the report, and note that they did.
fn computing() -> String {
    format!("echo computed >> log\nprintf '%s' '{REPORT}'\n")
}

/// Runs the program with its script, in a folder with a `report.sh` of these commands.
fn run(folder: &Path, program: &str, script: &str, report: &str) -> Output {
    command(folder, program, script, report).output().unwrap()
}

fn command(folder: &Path, program: &str, script: &str, report: &str) -> Command {
    let report = format!("#!/bin/sh\n{report}");
    std::fs::write(folder.join("report.sh"), report).unwrap();
    let mark = Command::new("chmod")
        .args(["+x", "report.sh"])
        .current_dir(folder)
        .status();
    assert!(mark.unwrap().success());
    let mut command = Command::new(program);
    command.args(["-c", script]).current_dir(folder);
    command
}

fn python() -> String {
    std::env::var("EDGELATCH_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

#[tokio::test]
async fn the_script_for_a_shell_computes_once() {
    let app = App::patient().await;
    let folder = tempfile::tempdir().unwrap();
    let [script] = blocks(&app, "bash").try_into().unwrap();
    for _ in 0..3 {
        let output = run(folder.path(), "bash", &script, &computing());
        assert!(output.status.success(), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), REPORT);
    }
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    assert_eq!(log, "computed\n");
    app.get(ENTRY).await.assert_body(200, REPORT);
}

#[tokio::test]
async fn the_function_for_python_computes_once() {
    let app = App::patient().await;
    let folder = tempfile::tempdir().unwrap();
    let script = blocks(&app, "python").concat() + "print(report)\n";
    for _ in 0..2 {
        let output = run(folder.path(), &python(), &script, "");
        assert!(output.status.success(), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "{'total': 17}\n");
    }
    app.get(ENTRY).await.assert_body(200, REPORT);
}

#[tokio::test]
async fn a_script_for_a_shell_whose_report_is_refused_gives_the_task_up() {
    let app = App::patient().await;
    let folder = tempfile::tempdir().unwrap();
    let [script] = blocks(&app, "bash").try_into().unwrap();
    for (report, told) in [
        ("printf 'not json'", "malformed-json"),
        (
            "printf '\"'; head -c 1100000 /dev/zero | tr '\\0' a; printf '\"'",
            "body-too-large",
        ),
        ("echo no report >&2; exit 3", "no report"),
    ] {
        let output = run(folder.path(), "bash", &script, report);
        assert!(!output.status.success(), "{report}");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains(told), "{errors}");
        assert!(!app.redis.exists(LOCK).await, "{report}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_for_a_shell_that_is_stopped_ends_its_report_and_gives_the_task_up() {
    let app = App::patient().await;
    let folder = tempfile::tempdir().unwrap();
    let [script] = blocks(&app, "bash").try_into().unwrap();
    // The report has the output of the script. It is read to its end, and so to that of the report.
    let report = "echo $$ > begun\nsleep 120\nexit 0\n";
    let mut stopped = command(folder.path(), "bash", &script, report);
    let stopped = stopped
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let stopped = stopped.unwrap();
    let begun = folder.path().join("begun");
    until("the report is computed", || async {
        begun.metadata().is_ok_and(|it| it.len() > 0)
    })
    .await;
    let script = stopped.id().to_string();
    assert!(
        Command::new("kill")
            .arg(&script)
            .status()
            .unwrap()
            .success()
    );
    let ended = tokio::task::block_in_place(|| stopped.wait_with_output()).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let next = app.get(&format!("{ENTRY}?compute=10&timeout=0")).await;
    next.assert_problem(404, "compute-granted");
}

#[tokio::test]
async fn a_function_for_python_whose_value_is_refused_gives_the_task_up() {
    let app = App::patient().await;
    let folder = tempfile::tempdir().unwrap();
    let script = blocks(&app, "python").concat();
    for (value, told) in [
        ("float('nan')", "HTTP Error 400"),
        // The answer comes before all of it is sent, which may be all that this client sees.
        ("'a' * 1_100_000", "urllib.error."),
        ("object()", "TypeError"),
        ("1 / 0", "ZeroDivisionError"),
    ] {
        let script = script.replace("{\"total\": 17}", value);
        let output = run(folder.path(), &python(), &script, "");
        assert!(!output.status.success(), "{value}");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains(told), "{errors}");
        assert!(!app.redis.exists(LOCK).await, "{value}");
    }
}

#[tokio::test]
async fn who_computed_too_slowly_has_the_value_all_the_same() {
    let app = App::patient().await;
    let folder = tempfile::tempdir().unwrap();
    // Somebody else stores the entry meanwhile.
    let other = format!(
        "curl -fsS -o other -X PUT 'http://{}{ENTRY}' --json 1\n",
        app.address()
    );
    let [script] = blocks(&app, "bash").try_into().unwrap();
    let output = run(
        folder.path(),
        "bash",
        &script,
        &(other.clone() + &computing()),
    );
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), REPORT);
    app.get(ENTRY).await.assert_body(200, "1");

    app.delete(ENTRY).await.assert_body(204, "");
    let slow = "__import__('os').system('./report.sh > computed') or {\"total\": 17}";
    let script = blocks(&app, "python").concat() + "print(report)\n";
    let script = script.replace("{\"total\": 17}", slow);
    let output = run(folder.path(), &python(), &script, &other);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "{'total': 17}\n");
    app.get(ENTRY).await.assert_body(200, "1");
}
