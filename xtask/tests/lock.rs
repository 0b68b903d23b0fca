//! `cargo xtask lock` in use: real commands, the real service, a real Redis.

#![expect(
    clippy::unwrap_used,
    reason = "a failed expectation is how a test fails"
)]

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use edgelatch_tests::{App, until};

/// Prints its fencing token, and exits with 7 when its input ends.
const WAITING: &str = "echo $EDGELATCH_FENCING_TOKEN; cat; exit 7";

/// The lock of user 42.
const LOCK: &str = "/api/v1/users/42/lock";

/// A command under a lock.
struct Locked {
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Locked {
    /// Starts `cargo xtask lock <arguments> -- sh -c <script>` at this service.
    fn start(app: &App, arguments: &str, script: &str) -> Self {
        Self::start_at(&format!("http://{}", app.address()), arguments, script)
    }

    fn start_at(url: &str, arguments: &str, script: &str) -> Self {
        let mut process = xtask(url, arguments)
            .args(["--", "sh", "-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self { process, output }
    }

    /// Waits for the command's next line.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// Closes the command's input.
    fn end(&mut self) {
        drop(self.process.stdin.take());
    }

    fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for its end. Returns the exit code and its stderr.
    fn wait(mut self) -> (Option<i32>, String) {
        let status = self.status();
        let mut said = String::new();
        let mut stderr = self.process.stderr.take().unwrap();
        stderr.read_to_string(&mut said).unwrap();
        (status.code(), said)
    }

    fn status(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "it goes on");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn xtask(url: &str, arguments: &str) -> Command {
    // Cargo says where it is now: what was compiled in another clone that shares the target folder
    // counts as fresh.
    let program = std::env::var_os("CARGO_BIN_EXE_xtask")
        .unwrap_or_else(|| env!("CARGO_BIN_EXE_xtask").into());
    let mut command = Command::new(program);
    command
        .args(["lock", "--url", url])
        .args(arguments.split_whitespace())
        .env_remove("EDGELATCH_API_TOKEN")
        .env("NO_PROXY", "*");
    command
}

/// Runs a command to its end. Returns the exit code and its stderr.
fn run(app: &App, arguments: &str, script: &str) -> (Option<i32>, String) {
    Locked::start(app, arguments, script).wait()
}

async fn is_held(app: &App) -> bool {
    app.get(LOCK).await.json()["held"] == true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_runs_under_the_lock() {
    let app = App::patient().await;
    let mut first = Locked::start(&app, "--user 42", WAITING);
    let token = first.line();
    let lock = app.get(LOCK).await.json();
    assert_eq!(lock["fencing_token"].to_string(), token);
    first.end();
    assert_eq!(first.wait().0, Some(7));
    assert!(!is_held(&app).await);
    let (code, said) = run(&app, "--user 42", "kill -s KILL $$");
    assert_eq!((code, said.as_str()), (Some(137), ""));
    let named = "test \"$EDGELATCH_USER_ID $EDGELATCH_LOCK_NAME\" = '-7 nightly'";
    assert_eq!(run(&app, "--user -7 --name nightly", named).0, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_commands_exclude_each_other() {
    let app = App::patient().await;
    let mut first = Locked::start(&app, "--user 42", WAITING);
    let token: u64 = first.line().parse().unwrap();
    let (code, said) = run(&app, "--user 42", "echo never");
    assert_eq!(code, Some(75));
    assert!(said.contains("Could not acquire lock"), "{said}");
    let other_lock = run(&app, "--user 42 --name other", "exit 3");
    assert_eq!(other_lock.0, Some(3));
    let mut second = Locked::start(&app, "--user 42 --timeout 60", WAITING);
    until("the second one waits", async || {
        app.redis.calls("evalsha").await > 10
    })
    .await;
    first.end();
    assert_eq!(first.wait().0, Some(7));
    assert!(second.line().parse::<u64>().unwrap() > token);
    second.end();
    assert_eq!(second.wait().0, Some(7));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lock_is_renewed_while_the_command_runs() {
    let app = App::patient().await;
    let mut command = Locked::start(&app, "--user 42 --expire 1.5", WAITING);
    let token = command.line();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(4) {
        let lock = app.get(LOCK).await.json();
        assert_eq!(lock["fencing_token"].to_string(), token);
    }
    command.end();
    let (code, said) = command.wait();
    assert_eq!((code, said.as_str()), (Some(7), ""));
}

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
async fn a_signal_ends_the_wait() {
    let app = App::patient().await;
    let taken = ["SET", "user:42:lock", "another", "EX", "600"];
    app.redis.run::<()>(&taken).await;
    let waiting = Locked::start(&app, "--user 42 --timeout 600", "echo never");
    until("it waits", async || app.redis.calls("evalsha").await > 3).await;
    waiting.signal("INT");
    assert_eq!(waiting.wait().0, Some(130));
    assert_eq!(
        app.redis.get("user:42:lock").await.as_deref(),
        Some("another")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_token_is_sent() {
    let app = App::builder()
        .patient()
        .var("api_token", "a-s3cret-of-the-test")
        .start()
        .await;
    assert_eq!(run(&app, "--user 42", "true").0, Some(77));
    assert_eq!(run(&app, "--user 42 --token wrong", "true").0, Some(77));
    assert_eq!(
        run(&app, "--user 42 --token a-s3cret-of-the-test", "exit 4").0,
        Some(4)
    );
    let url = format!("http://{}", app.address());
    let mut command = xtask(&url, "--user 42 -- true");
    let status = command
        .env("EDGELATCH_API_TOKEN", "a-s3cret-of-the-test")
        .status();
    assert!(status.unwrap().success());
}

#[test]
fn the_help_lists_the_exit_codes() {
    let help = xtask("http://127.0.0.1:1", "--help").output().unwrap();
    assert!(help.status.success());
    let help = String::from_utf8(help.stdout).unwrap();
    for code in ["64", "69", "74", "75", "77", "126", "127"] {
        assert!(help.contains(&format!("{code} ")), "{code} in {help}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_before_the_command_have_exit_codes() {
    let app = App::patient().await;
    let url = format!("http://{}", app.address());
    let code = |arguments: &str| {
        let output = xtask(&url, arguments).output().unwrap();
        assert!(!output.stderr.is_empty(), "{arguments}");
        output.status.code()
    };
    assert_eq!(code("-- true"), Some(64));
    assert_eq!(code("--user 42"), Some(64));
    assert_eq!(code("--user 42 --expire 0 -- true"), Some(64));
    assert_eq!(code("--user 42 --name a/b -- true"), Some(64));
    assert_eq!(code("--user 42 -- /nowhere/to/be/found"), Some(127));
    assert_eq!(code("--user 42 -- /etc/passwd"), Some(126));
    assert!(!is_held(&app).await);
    let nobody = Locked::start_at("http://127.0.0.1:1", "--user 42", "echo never");
    assert_eq!(nobody.wait().0, Some(69));
}

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

    /// A script whose child does the work, and which waits for it.
    fn script(&self) -> String {
        let file = self.file();
        format!(
            "(trap '' TERM; while :; do echo beat >> {file}; sleep 0.02; done) & echo begun; wait"
        )
    }

    fn beats(&self) -> usize {
        std::fs::read_to_string(self.file()).map_or(0, |text| text.len())
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
    let worker = Worker::new();
    let arguments = "--user 42 --expire 1.5 --kill-after 0.2";
    let mut command = Locked::start(&app, arguments, &worker.script());
    assert_eq!(command.line(), "begun");
    let taken = ["SET", "user:42:lock", "another", "EX", "60"];
    app.redis.run::<()>(&taken).await;
    assert_eq!(command.wait().0, Some(74));
    worker.assert_ended();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_and_its_child_end_when_the_keeper_is_killed() {
    let app = App::patient().await;
    let worker = Worker::new();
    let arguments = "--user 42 --expire 600 --kill-after 0.2";
    let mut command = Locked::start(&app, arguments, &worker.script());
    assert_eq!(command.line(), "begun");
    command.signal("KILL");
    command.status();
    // The pipe to the command's output ends with its last process.
    let mut rest = String::new();
    command.output.read_to_string(&mut rest).unwrap();
    worker.assert_ended();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_does_not_get_the_api_token() {
    let token = "a-s3cret-of-the-test";
    let app = App::builder().patient().var("api_token", token);
    let app = app.start().await;
    let url = format!("http://anna:passw0rd@{}", app.address());
    let mut command = xtask(&url, "--user 42 -- env");
    let output = command.env("EDGELATCH_API_TOKEN", token).output().unwrap();
    let environment = String::from_utf8(output.stdout).unwrap();
    assert!(environment.contains("EDGELATCH_FENCING_TOKEN="));
    for secret in [token, "passw0rd"] {
        assert!(!environment.contains(secret), "{environment}");
    }
}

#[test]
fn a_password_of_the_address_is_in_no_error() {
    for url in [
        "http://anna:passw0rd@127.0.0.1:1",
        "htp://anna:passw0rd@127.0.0.1",
    ] {
        let output = xtask(url, "--user 42 -- true").output().unwrap();
        assert!(!output.status.success());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!said.is_empty() && !said.contains("passw0rd"), "{said}");
    }
}
