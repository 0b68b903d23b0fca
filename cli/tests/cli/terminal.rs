//! `edgelatch lock` at a terminal: Ctrl-C, Ctrl-Z and pagers do what they do without it.

use std::time::Duration;

use edgelatch_tests::{App, until};

use crate::shell::Shell;

async fn is_held(app: &App) -> bool {
    app.get("/api/v1/users/42/lock").await.json()["held"] == true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_ends_the_script_that_calls_it() {
    let app = App::patient().await;
    for shell in ["sh", "bash"] {
        let mut terminal = Shell::start(&app);
        let turns = "for i in 1 2; do echo turn $i; edgelatch lock -u 42 sleep 60; done";
        terminal.enter(&format!("{shell} -c '{turns}'"));
        until("the command runs", async || is_held(&app).await).await;
        terminal.press(b"\x03");
        // An interrupted shell forgets the rest of its line.
        terminal.enter("echo \"end:$?\"");
        terminal.shows("end:130").await;
        let shown = terminal.shown();
        assert!(!shown.contains("turn 2"), "{shown}");
        assert!(!is_held(&app).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_gets_ctrl_c_once_and_may_go_on() {
    let app = App::patient().await;
    let mut terminal = Shell::start(&app);
    let go_on = terminal.file("go-on");
    let count = "n=0; trap \"n=\\$((n+1)); echo caught:\\$n\" INT";
    let work = format!("echo begun:$((40+2)); while [ ! -e {go_on} ]; do sleep 0.02; done; exit 6");
    terminal.enter(&format!(
        "edgelatch lock -u 42 sh -c '{count}; {work}'; echo \"end:$?\""
    ));
    terminal.shows("begun:42").await;
    until("the command runs", async || is_held(&app).await).await;
    terminal.press(b"\x03");
    terminal.shows("caught:1").await;
    std::fs::write(&go_on, "").unwrap();
    terminal.shows("end:6").await;
    let shown = terminal.shown();
    assert!(!shown.contains("caught:2"), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_ends_the_wait_by_the_signal() {
    let app = App::patient().await;
    let taken = ["SET", "user:42:lock", "another", "EX", "600"];
    app.redis.run::<()>(&taken).await;
    let mut terminal = Shell::start(&app);
    terminal.enter("sh -c 'edgelatch lock -u 42 true; sleep 60'");
    until("it waits", async || app.redis.calls("evalsha").await > 3).await;
    terminal.press(b"\x03");
    terminal.enter("echo \"end:$?\"");
    terminal.shows("end:130").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_and_its_reader_may_read_from_the_terminal() {
    let app = App::patient().await;
    let read = "sh -c 'read line </dev/tty; echo \"got:$line\"'";
    for line in [
        format!("edgelatch lock -u 42 sleep 60 | {read}; kill %1"),
        format!("echo x | edgelatch lock -u 42 {read}"),
        format!("edgelatch lock -u 42 {read}"),
    ] {
        let mut terminal = Shell::start(&app);
        terminal.enter(&line);
        until("the command runs", async || is_held(&app).await).await;
        terminal.enter("hello");
        terminal.shows("got:hello").await;
        terminal.press(b"\x03");
        until("it has ended", async || !is_held(&app).await).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_is_suspended_for_too_long_is_ended() {
    let app = App::patient().await;
    let mut terminal = Shell::start(&app);
    let beats = terminal.file("beats");
    // One that Ctrl-Z does not suspend.
    let work = format!("trap \"\" TSTP; while :; do echo x >> {beats}; sleep 0.02; done");
    terminal.enter(&format!(
        "edgelatch lock -u 42 --expire 1 sh -c '{work}' </dev/null"
    ));
    until("it works", async || std::fs::exists(&beats).unwrap()).await;
    terminal.press(b"\x1a");
    terminal.shows("Stopped").await;
    until("the lock is free", async || !is_held(&app).await).await;
    let size = || std::fs::metadata(&beats).unwrap().len();
    until("it works no more", async || {
        let before = size();
        tokio::time::sleep(Duration::from_millis(300)).await;
        size() == before
    })
    .await;
    terminal.enter("fg; echo \"end:$?\"");
    terminal.shows("end:74").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_is_suspended_for_a_moment_goes_on() {
    let app = App::patient().await;
    let mut terminal = Shell::start(&app);
    terminal
        .enter("edgelatch lock -u 42 --expire 600 sh -c 'echo begun:$((40+2)); read line; exit 6'");
    terminal.shows("begun:42").await;
    terminal.press(b"\x1a");
    terminal.shows("Stopped").await;
    terminal.enter("fg; echo \"end:$?\"");
    terminal.enter("");
    terminal.shows("end:6").await;
}
