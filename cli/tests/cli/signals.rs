//! Signals that `edgelatch lock` gets: which the command gets too, and of which it dies.

use std::os::unix::process::ExitStatusExt as _;

use edgelatch_tests::{App, until};

use crate::program::{Locked, edgelatch, url};

async fn is_held(app: &App) -> bool {
    app.get("/api/v1/users/42/lock").await.json()["held"] == true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signals_reach_the_command() {
    let app = App::patient().await;
    for (name, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let mut command = Locked::start(&app, "--user 42 --expire 600", "echo $$; exec cat");
        command.line();
        command.signal(name);
        assert_eq!(command.wait().0, Some(code), "{name}");
        assert!(!is_held(&app).await);
    }
    let trapping = "trap 'exit 5' TERM; echo begun; while :; do sleep 0.01; done";
    let mut command = Locked::start(&app, "--user 42", trapping);
    command.line();
    command.signal("TERM");
    assert_eq!(command.wait().0, Some(5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_dies_of_the_signal_that_ended_the_command() {
    let app = App::patient().await;
    for (name, number) in [
        ("INT", 2),
        ("QUIT", 3),
        ("KILL", 9),
        ("SEGV", 11),
        ("TERM", 15),
    ] {
        let suicide = format!("kill -s {name} $$");
        let mut command = Locked::start(&app, "--user 42", &suicide);
        assert_eq!(command.status().signal(), Some(number), "{name}");
        assert!(!is_held(&app).await, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_ends_the_wait() {
    let app = App::patient().await;
    let taken = ["SET", "user:42:lock", "another", "EX", "600"];
    app.redis.run::<()>(&taken).await;
    let waiting = Locked::start(&app, "--user 42", "echo never");
    until("it waits", async || app.redis.calls("evalsha").await > 3).await;
    waiting.signal("INT");
    assert_eq!(waiting.wait().0, Some(130));
    assert_eq!(
        app.redis.get("user:42:lock").await.as_deref(),
        Some("another")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_that_was_ignored_stays_ignored() {
    let app = App::patient().await;
    let script = "trap '' HUP INT; exec \"$0\" \"$@\"";
    let proof = "echo begun; kill -s HUP $$; kill -s INT $$; read line; exit 5";
    let program = edgelatch(&url(&app), "lock --user 42 -- sh -c");
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", script]).arg(program.get_program());
    shell.args(program.get_args()).arg(proof);
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let mut command = Locked::of(&mut shell);
    assert_eq!(command.line(), "begun");
    command.signal("HUP");
    command.signal("INT");
    command.end();
    assert_eq!(command.wait(), (Some(5), String::new()));
}
