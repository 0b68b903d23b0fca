//! What whoever starts the service relies on: on this project's host and on Spin alike.

use edgelatch_tests::{App, refusal, root, until};

#[tokio::test]
async fn it_prints_one_line_with_its_address_when_it_serves() {
    let app = App::start().await;
    assert_eq!(app.get("/healthz").await.status, 200);
    let logs = app.logs();
    let serving = logs.lines().filter(|line| line.starts_with("Serving "));
    let expected = format!("Serving http://{}", app.address());
    assert_eq!(serving.collect::<Vec<_>>(), [expected.as_str()]);
}

#[tokio::test]
async fn what_the_component_logs_is_printed() {
    let mut app = App::start().await;
    app.redis.kill();
    app.get("/readyz").header("x-request-id", "findme").await;
    until("it is printed", || async {
        let logs = app.logs();
        let mut lines = logs.lines();
        lines.any(|line| line.contains("findme") && line.contains("redis-unavailable"))
    })
    .await;
}

#[tokio::test]
async fn the_flags_for_the_reuse_of_instances_are_accepted() {
    for values in [
        ["1", "1", "1ms"],
        ["2..5", "3..4", "10ms..2s"],
        ["1000", "64", "30s"],
    ] {
        let [count, concurrent, idle] = values;
        let app = App::builder()
            .argument("--max-instance-reuse-count")
            .argument(count)
            .argument("--max-instance-concurrent-reuse-count")
            .argument(concurrent)
            .argument("--idle-instance-timeout")
            .argument(idle)
            .start()
            .await;
        let calls: Vec<_> = (0..20)
            .map(|user| app.perform(&format!("user_id={user}")).spawn())
            .collect();
        for call in calls {
            let answer = call.await.unwrap();
            answer.assert_body(200, r#"{"status":"success"}"#);
        }
    }
}

#[test]
fn a_flag_that_there_is_not_is_refused_by_name() {
    let manifest = root().join("spin.toml");
    let from = ["--from", manifest.to_str().unwrap()];
    let said = refusal(&[&from[..], &["--no-such-flag"]].concat());
    assert!(said.contains("--no-such-flag"), "{said}");
    for [flag, value] in [
        ["--listen", "nowhere"],
        ["--max-instance-reuse-count", "many"],
        ["--max-instance-concurrent-reuse-count", "5..many"],
        ["--idle-instance-timeout", "soon"],
    ] {
        let said = refusal(&[&from[..], &[flag, value]].concat());
        assert!(said.contains(flag), "{said}");
    }
}

#[test]
fn a_missing_runtime_config_is_refused_by_name() {
    let manifest = root().join("spin.toml");
    let from = ["--from", manifest.to_str().unwrap()];
    let said = refusal(&[&from[..], &["--runtime-config-file", "no-such-file.toml"]].concat());
    assert!(said.contains("no-such-file.toml"), "{said}");
}

#[test]
fn a_manifest_that_is_not_there_is_refused_by_name() {
    let said = refusal(&["--from", "no-such-folder/spin.toml"]);
    assert!(said.contains("no-such-folder"), "{said}");
}

#[test]
fn an_unknown_key_in_the_manifest_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = folder.path().join("spin.toml");
    let text = std::fs::read_to_string(root().join("spin.toml")).unwrap();
    let text = text.replace(
        "[component.edgelatch.build]",
        "[component.edgelatch.no_such_key]",
    );
    std::fs::write(&manifest, text).unwrap();
    let said = refusal(&["--from", manifest.to_str().unwrap()]);
    assert!(said.contains("no_such_key"), "{said}");
}
