//! The scripts of `docs/compute.md`.

use std::path::Path;
use std::process::{Command, Output};

use edgelatch_tests::{App, root};

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

/// Runs the program with its script, in a folder with a `report.sh`.
fn run(folder: &Path, program: &str, script: &str) -> Output {
    let report = format!("#!/bin/sh\necho computed >> log\nprintf '%s' '{REPORT}'\n");
    std::fs::write(folder.join("report.sh"), report).unwrap();
    let mark = Command::new("chmod")
        .args(["+x", "report.sh"])
        .current_dir(folder)
        .status();
    assert!(mark.unwrap().success());
    let mut command = Command::new(program);
    command
        .args(["-c", script])
        .current_dir(folder)
        .output()
        .unwrap()
}

#[tokio::test]
async fn the_script_for_a_shell_computes_once() {
    let app = App::patient().await;
    let folder = tempfile::tempdir().unwrap();
    let [script] = blocks(&app, "sh").try_into().unwrap();
    for _ in 0..3 {
        let output = run(folder.path(), "sh", &script);
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
    let python = std::env::var("EDGELATCH_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = blocks(&app, "python").concat() + "print(report)\n";
    for _ in 0..2 {
        let output = run(folder.path(), &python, &script);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "{'total': 17}\n");
    }
    app.get(ENTRY).await.assert_body(200, REPORT);
}
