//! The lock is lost while the command runs, or the program is killed.

use std::io::Read as _;
use std::time::Duration;

use edgelatch_tests::{App, until};

use crate::program::{Locked, edgelatch, path, url};

/// Prints its fencing token, and exits with 7 when its input ends.
const WAITING: &str = "echo $EDGELATCH_FENCING_TOKEN; cat; exit 7";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_lease_terminates_the_command() {
    let app = App::patient().await;
    let trapping = "trap 'echo asked; exit 0' TERM; echo begun; while :; do sleep 0.01; done";
    let mut command = Locked::start(&app, "--user 42 --expire 1.5", trapping);
    assert_eq!(command.line(), "begun");
    let taken = ["SET", "user:42:lock", "another", "EX", "60"];
    app.redis.run::<()>(&taken).await;
    assert_eq!(command.line(), "asked");
    let (code, said) = command.wait();
    assert_eq!(code, Some(74));
    assert!(said.contains("the lock is lost"), "{said}");
    assert_eq!(
        app.redis.get("user:42:lock").await.as_deref(),
        Some("another")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stubborn_command_is_killed() {
    let mut app = App::patient().await;
    let stubborn = "trap '' TERM; echo begun; while :; do sleep 0.01; done";
    let arguments = "--user 42 --expire 1.5 --kill-after 0.1";
    let mut command = Locked::start(&app, arguments, stubborn);
    assert_eq!(command.line(), "begun");
    // A killed service renews nothing: the lease is lost when it expires.
    app.kill();
    assert_eq!(command.wait().0, Some(74));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loss_found_at_the_end_is_reported() {
    let app = App::patient().await;
    let mut command = Locked::start(&app, "--user 42 --expire 600", WAITING);
    command.line();
    app.redis.run::<()>(&["DEL", "user:42:lock"]).await;
    command.end();
    assert_eq!(command.wait().0, Some(74));
}

/// Ways to start a child: as shells do, in a process group or a session of its own, away from its
/// parent, without the environment.
const WAYS: [&str; 5] = [
    "WORK &",
    "timeout 60 WORK &",
    "setsid WORK &",
    "(setsid WORK &)",
    "env -i PATH=\"$PATH\" setsid WORK &",
];

/// What is left of a process that writes its id and then a line every 20 ms.
struct Worker {
    folder: tempfile::TempDir,
}

impl Worker {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn file(&self) -> String {
        self.folder.path().join("beats").display().to_string()
    }

    /// A script that starts a child for the work in this way, and waits.
    fn script(&self, way: &str) -> String {
        let file = self.file();
        let work = format!("trap '' TERM; while :; do echo beat >> {file}; sleep 0.02; done");
        let child = way.replace("WORK", &format!("sh -c \"{work}\""));
        format!("{child}\necho begun; read line")
    }

    fn beats(&self) -> usize {
        std::fs::read_to_string(self.file()).map_or(0, |text| text.len())
    }

    async fn begins(&self) {
        until("it works", async || self.beats() > 0).await;
    }

    /// Asserts that it works no more.
    fn assert_ended(&self) {
        let before = self.beats();
        assert!(before > 0);
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(self.beats(), before, "it works on");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_of_the_command_ends_too_when_the_lock_is_lost() {
    let app = App::patient().await;
    for way in WAYS {
        let worker = Worker::new();
        let arguments = "--user 42 --expire 1.5 --kill-after 0.2";
        let mut command = Locked::start(&app, arguments, &worker.script(way));
        assert_eq!(command.line(), "begun");
        worker.begins().await;
        let taken = ["SET", "user:42:lock", "another", "PX", "1500"];
        app.redis.run::<()>(&taken).await;
        assert_eq!(command.wait().0, Some(74), "{way}");
        worker.assert_ended();
    }
}

/// Kills the program, and waits for the end of all that writes to the command's output.
fn kill(mut command: Locked) {
    command.signal("KILL");
    command.status();
    let mut rest = String::new();
    command.output.read_to_string(&mut rest).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_and_its_child_end_when_the_keeper_is_killed() {
    let app = App::patient().await;
    for (user, way) in WAYS.iter().enumerate() {
        let worker = Worker::new();
        let arguments = format!("--user {user} --expire 600 --kill-after 0.2");
        let mut command = Locked::start(&app, &arguments, &worker.script(way));
        assert_eq!(command.line(), "begun");
        worker.begins().await;
        kill(command);
        worker.assert_ended();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_and_its_child_end_when_the_keeper_is_stopped() {
    let app = App::patient().await;
    let worker = Worker::new();
    let arguments = "--user 42 --expire 1 --kill-after 0.2";
    let mut command = Locked::start(&app, arguments, &worker.script("setsid WORK &"));
    assert_eq!(command.line(), "begun");
    worker.begins().await;
    // Ctrl-Z sends another signal, which stops nobody where there is no terminal: terminal.rs.
    command.signal("STOP");
    until("it works no more", async || {
        let before = worker.beats();
        tokio::time::sleep(Duration::from_millis(300)).await;
        worker.beats() == before
    })
    .await;
    command.signal("CONT");
    let (code, said) = command.wait();
    assert_eq!(code, Some(74), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locks_within_locks_end_with_the_outer_one() {
    let app = App::patient().await;
    let worker = Worker::new();
    let inner = worker.script("(setsid WORK &)").replace('"', "\\\"");
    let script = format!("\"$EDGELATCH\" lock --name inner sh -c \"{inner}\"");
    let mut program = edgelatch(&url(&app), "lock --user 42 --kill-after 0.2 -- sh -c");
    let mut command = Locked::of(program.arg(script).env("EDGELATCH", path()));
    assert_eq!(command.line(), "begun");
    worker.begins().await;
    kill(command);
    worker.assert_ended();
}
