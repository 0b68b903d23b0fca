//! The script of docs/recipes.md that holds a lock while it works.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use edgelatch_tests::{App, Call, Loss, Proxy, until};

use super::transcript::block;
use super::{RECIPES, read};

const LOCK: &str = "/api/v1/users/42/locks/nightly";
const KEY: &str = "user:42:lock:nightly";
const FREE: &str = r#"{"held":false,"waiting":0}"#;
/// Longer than any test takes that does not wait for it.
const LONG_WORK: &str = r#"sh -c "echo begun; sleep 120; echo done""#;
const STOPPED: i32 = 128 + 15;

/// The script as it stands there, against this service, with other work.
fn script(app: &App, work: &str) -> String {
    script_at(app.address(), work)
}

fn script_at(address: &str, work: &str) -> String {
    let recipes = read(RECIPES);
    let script = block(&recipes, "bash").replace("127.0.0.1:9001", address);
    replaced(&script, "echo \"alone at work\"", work)
}

fn replaced(script: &str, from: &str, to: &str) -> String {
    assert_eq!(script.matches(from).count(), 1, "{from}");
    script.replace(from, to)
}

/// The script. Ends with the test.
struct Running(Option<Child>);

impl Running {
    /// Starts it with ten renewals a second, and waits until it holds its lock.
    async fn start(app: &App, script: &str) -> Self {
        Self::holding(app, &replaced(script, "sleep 10\n", "sleep 0.1\n")).await
    }

    /// Starts it as it is, and waits until it holds its lock.
    async fn holding(app: &App, script: &str) -> Self {
        let running = Self::begin(script);
        let held = || async { app.get(LOCK).await.json()["held"] == true };
        until("the script holds its lock", held).await;
        running
    }

    /// Starts it.
    fn begin(script: &str) -> Self {
        let mut bash = Command::new("bash");
        bash.args(["-c", script]);
        bash.env("NO_PROXY", "*");
        let child = bash.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        Self(Some(child.unwrap()))
    }

    fn terminate(&self) {
        let pid = self.0.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").arg(pid).status().unwrap().success());
    }

    /// Waits for the end of the script, and of all that has its output: its work too.
    fn output(mut self) -> Output {
        let child = self.0.take().unwrap();
        tokio::task::block_in_place(|| child.wait_with_output()).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.is_some() {
            self.terminate();
        }
    }
}

fn assert_ended(output: &Output, status: i32, printed: &str) {
    assert_eq!(output.status.code(), Some(status), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), printed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_script_holds_its_lock_while_it_works() {
    let app = App::start().await;
    // Its work is to look at its own lock.
    let look = format!("curl -fsS http://{}{LOCK}", app.address());
    let script = script(&app, &look);
    let run = || Command::new("bash").args(["-c", &script]).output().unwrap();
    for _ in 0..2 {
        let output = tokio::task::block_in_place(run);
        assert!(output.status.success(), "{output:?}");
        let seen = String::from_utf8(output.stdout).unwrap();
        assert!(seen.starts_with(r#"{"held":true,"#), "{seen}");
        app.get(LOCK).await.assert_body(200, FREE);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_work_is_stopped_when_the_lock_is_lost() {
    let app = App::start().await;
    let running = Running::start(&app, &script(&app, LONG_WORK)).await;
    let lost = Instant::now();
    assert_eq!(app.redis.run::<u32>(&["DEL", KEY]).await, 1);
    assert_ended(&running.output(), STOPPED, "begun\n");
    let took = lost.elapsed();
    assert!(took < Duration::from_secs(30), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_work_goes_on_while_the_lock_lasts_though_a_renewal_fails() {
    let app = App::start().await;
    let folder = tempfile::tempdir().unwrap();
    let end = folder.path().join("end");
    let work = format!("{}; echo done", waiting_for(&end));
    let running = Running::start(&app, &script(&app, &format!("sh -c '{work}'"))).await;
    app.redis.pause();
    until("a renewal has failed", || async {
        app.logs().contains("redis-timeout")
    })
    .await;
    app.redis.resume();
    std::fs::write(end, "").unwrap();
    assert_ended(&running.output(), 0, "done\n");
    app.get(LOCK).await.assert_body(200, FREE);
}

fn waiting_for(file: &Path) -> String {
    format!("until [ -e {} ]; do sleep 0.1; done", file.display())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_work_is_stopped_before_a_lock_expires_that_cannot_be_renewed() {
    let app = App::start().await;
    let script = replaced(&script(&app, LONG_WORK), "-lt 60 ]", "-lt 3 ]");
    let running = Running::start(&app, &script).await;
    app.redis.pause();
    let paused = Instant::now();
    assert_ended(&running.output(), STOPPED, "begun\n");
    // The release is tried four times.
    let took = paused.elapsed();
    assert!(took < Duration::from_secs(60), "{took:?}");
    app.redis.resume();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_that_is_stopped_ends_its_work_and_gives_the_lock_back() {
    let app = App::builder().var("log_requests", "true").start().await;
    let running = Running::start(&app, &script(&app, LONG_WORK)).await;
    // The renewals are the last job that it starts before it waits.
    until("the script renews its lock", || async {
        app.logs().contains(r#""method":"PUT""#)
    })
    .await;
    running.terminate();
    assert_ended(&running.output(), 1, "begun\n");
    app.get(LOCK).await.assert_body(200, FREE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_that_is_stopped_while_it_waits_waits_no_longer() {
    let app = App::start().await;
    let held = |call: Call| call.header("Lock-Token", "another-holder-0001");
    let acquired = held(app.post(&format!("{LOCK}?expire=120"))).await;
    assert_eq!(acquired.status, 201);
    let running = Running::begin(&script(&app, LONG_WORK));
    until("the script waits for its lock", || async {
        app.get(LOCK).await.json()["waiting"] == 1
    })
    .await;
    running.terminate();
    let stopped = Instant::now();
    assert_ended(&running.output(), 1, "");
    // Not when the half a minute of its wait is over.
    let took = stopped.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert_eq!(app.get(LOCK).await.json()["waiting"], 0);
    assert_eq!(held(app.delete(LOCK)).await.status, 204);
    app.get(LOCK).await.assert_body(200, FREE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_script_repeats_what_it_asks_for_after_a_lost_answer() {
    let app = App::start().await;
    let (_, port) = app.address().rsplit_once(':').unwrap();
    let network = Proxy::start(port.parse().unwrap()).await;
    network.lose_answer_to("POST /", Loss::Cut);
    network.lose_answer_to("DELETE /", Loss::Cut);
    let address = format!("127.0.0.1:{}", network.port());
    let running = Running::begin(&script_at(&address, "echo done"));
    assert_ended(&running.output(), 0, "done\n");
    assert!(network.is_spent());
    app.get(LOCK).await.assert_body(200, FREE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_script_asks_for_its_release_again_when_the_request_was_lost() {
    let app = App::start().await;
    let (_, port) = app.address().rsplit_once(':').unwrap();
    let network = Proxy::start(port.parse().unwrap()).await;
    let address = format!("127.0.0.1:{}", network.port());
    let folder = tempfile::tempdir().unwrap();
    let end = folder.path().join("end");
    let work = format!("sh -c '{}'", waiting_for(&end));
    let script = replaced(&script_at(&address, &work), "sleep 10\n", "sleep 60\n");
    let running = Running::holding(&app, &script).await;
    // No renewal is under way, so this is the release.
    network.cut_next_command();
    std::fs::write(end, "").unwrap();
    assert_ended(&running.output(), 0, "");
    app.get(LOCK).await.assert_body(200, FREE);
}
