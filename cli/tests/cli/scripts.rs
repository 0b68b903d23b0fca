//! Shell scripts that use the program, beside other holders of the same lock.

use std::process::{Child, Command, Stdio};

use edgelatch_tests::{App, until};

use crate::program::{path, url};

/// Counts up five times under a lock: what it reads and writes in between is nobody else's.
const COUNTER: &str = r#"
set -eu
for turn in 1 2 3 4 5; do
    edgelatch lock --name counter --wait 60 sh -c '
        count=$(edgelatch get count)
        edgelatch put count $((count + 1))
    '
done
"#;

/// Takes a lock, or does without if somebody else has it.
const POLITE: &str = r#"
if edgelatch lock --name counter --nonblock --conflict-exit-code 9 true; then
    echo mine
else
    echo "not mine: $?"
fi
edgelatch status --name counter | head -n 1
"#;

fn start(app: &App, script: &str) -> Child {
    let path = std::path::PathBuf::from(path());
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = std::env::split_paths(&folders).collect();
    folders.insert(0, path.parent().unwrap().to_owned());
    Command::new("sh")
        .args(["-c", script])
        .env("PATH", std::env::join_paths(folders).unwrap())
        .env("EDGELATCH_URL", url(app))
        .env("EDGELATCH_USER_ID", "42")
        .env_remove("EDGELATCH_TOKEN")
        .env_remove("EDGELATCH_TOKEN_FILE")
        .env("NO_PROXY", "*")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_that_count_under_a_lock_lose_no_step() {
    let app = App::patient().await;
    app.put("/api/v1/users/42/cache/count").json("0").await;
    // A holder that is no script: they all wait for it first.
    let lock = "/api/v1/users/42/locks/counter";
    let held = app.post(&format!("{lock}?expire=600")).await.json();
    let scripts: Vec<Child> = (0..3).map(|_| start(&app, COUNTER)).collect();
    until("they wait", async || app.redis.calls("evalsha").await > 10).await;
    app.get("/api/v1/users/42/cache/count")
        .await
        .assert_body(200, "0");
    let token = held["token"].as_str().unwrap();
    let released = app.delete(lock).header("lock-token", token).await;
    assert_eq!(released.status, 204);
    for script in scripts {
        let output = script.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    app.get("/api/v1/users/42/cache/count")
        .await
        .assert_body(200, "15");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_does_without_the_lock_that_another_holds() {
    let app = App::patient().await;
    let lock = "/api/v1/users/42/locks/counter";
    for (taken, shown) in [
        (false, "mine\nstate:         free\n"),
        (true, "not mine: 9\nstate:         held\n"),
    ] {
        if taken {
            let taken = app.post(&format!("{lock}?expire=600")).await;
            assert_eq!(taken.status, 201);
        }
        let output = start(&app, POLITE).wait_with_output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), shown);
    }
}
