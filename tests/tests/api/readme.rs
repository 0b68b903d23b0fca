//! README.md shows what really appears.

use std::process::{Child, Command};

use edgelatch_tests::{App, root, until};
use tokio::net::{TcpListener, TcpStream};

/// Where what is tried needs an origin.
const WITH_ORIGIN: &str = "\n## In front of a backend\n";

/// A command of the README and what it says that it prints.
struct Example {
    command: String,
    output: String,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_curl_in_the_readme_prints_what_it_says() {
    let app = App::start().await;
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let (before, section) = readme.split_once(WITH_ORIGIN).unwrap();
    let (_, after) = section.split_once("\n## ").unwrap();
    let tried = try_all(&app, &format!("{before}{after}"));
    assert!(tried >= 8, "{tried} examples");
}

/// The session with the origin that is shown there, in Python.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_session_with_an_origin_prints_what_it_says() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let (_, section) = readme.split_once(WITH_ORIGIN).unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let port = free_port().await;
    let _origin = PythonOrigin::start(section, port);
    let up = || async { TcpStream::connect(("127.0.0.1", port)).await.is_ok() };
    until("the origin answers", up).await;
    let app = App::builder().var("origin", &format!("http://127.0.0.1:{port}"));
    let tried = try_all(&app.start().await, section);
    assert!(tried >= 5, "{tried} examples");
}

async fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

/// The origin in the README; ends with the test.
struct PythonOrigin(Child);

impl PythonOrigin {
    fn start(section: &str, port: u16) -> Self {
        let (_, rest) = section.split_once("```python\n").unwrap();
        let (program, _) = rest.split_once("```").unwrap();
        let program = program.replace("8000", &port.to_string());
        let python = std::env::var("EDGELATCH_PYTHON").unwrap_or("python3".to_owned());
        Self(Command::new(python).args(["-c", &program]).spawn().unwrap())
    }
}

impl Drop for PythonOrigin {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs the commands that are shown, and asserts that they print what is shown. Returns how many there are.
fn try_all(app: &App, readme: &str) -> usize {
    let examples = examples(readme);
    let tried = examples.iter().filter(|example| is_tried(example));
    tried
        .map(|example| {
            let printed = run(app, &example.command);
            let (printed, said) = (settle(&printed), settle(&example.output));
            assert_eq!(printed, said, "{}", example.command);
        })
        .count()
}

/// The scripts in the README, run as they stand there: the first holds its lock while it runs and gives it back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shell_script_in_the_readme_holds_its_lock_while_it_runs() {
    const LOCK: &str = "/api/v1/users/42/locks/nightly";
    let app = App::start().await;
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let script = readme.split("```sh\n").nth(1).unwrap();
    let script = script.split("```").next().unwrap();
    let script = script.replace("127.0.0.1:9001", app.address());
    // Its work is to look at its own lock.
    let look = format!("curl -fsS http://{}{LOCK}", app.address());
    let script = script.replace("echo \"alone at work\"", &look);
    let run = || Command::new("sh").args(["-c", &script]).output().unwrap();
    for _ in 0..2 {
        let output = tokio::task::block_in_place(run);
        assert!(output.status.success(), "{output:?}");
        let seen = String::from_utf8(output.stdout).unwrap();
        assert!(seen.starts_with(r#"{"held":true,"#), "{seen}");
        app.get(LOCK).await.assert_body(200, r#"{"held":false}"#);
    }
}

fn is_tried(example: &Example) -> bool {
    ["curl ", "redis-cli "]
        .iter()
        .any(|tool| example.command.starts_with(tool))
}

/// Runs a command of the README against the test's own servers.
fn run(app: &App, command: &str) -> String {
    let redis_cli = format!("{} -p {}", redis_cli(), app.redis.port());
    let command = command
        .replace("127.0.0.1:9001", app.address())
        .replace("redis-cli", &redis_cli)
        .replace("curl ", "curl --silent --show-error ");
    let output = Command::new("sh").args(["-c", &command]).output().unwrap();
    assert!(output.stderr.is_empty(), "{command}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The client that came with the server: `valkey-cli` beside `valkey-server`.
fn redis_cli() -> String {
    let server = std::env::var("EDGELATCH_REDIS_BIN").unwrap_or_else(|_| "redis-server".to_owned());
    server.replace("-server", "-cli")
}

/// The commands in the README's console blocks, in their order.
fn examples(readme: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    for block in readme.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap();
        for line in block.lines() {
            if let Some(command) = line.strip_prefix("$ ") {
                let (command, output) = (command.to_owned(), String::new());
                examples.push(Example { command, output });
            } else if let Some(example) = examples.last_mut() {
                let continued = example.command.ends_with('\\');
                let text = if continued {
                    &mut example.command
                } else {
                    &mut example.output
                };
                text.push('\n');
                text.push_str(line);
            }
        }
    }
    examples
}

/// What differs from run to run is made the same: digits and hexadecimal digits after these words, and line ends.
fn settle(text: &str) -> String {
    let lines: Vec<_> = text
        .trim()
        .lines()
        .map(|line| settle_line(line.trim_end()))
        .collect();
    lines.join("\n")
}

fn settle_line(line: &str) -> String {
    const CHANGING: [&str; 14] = [
        "x-request-id: ",
        "server-timing: ",
        "date: ",
        "fencing-token: ",
        "retry-after: ",
        "lock-wait: ",
        "max-age=",
        "ttl=",
        "\"fencing_token\":",
        "\"finished_at\":\"",
        "\"latency_ms\":",
        "\"expires_in\":",
        "\"token\":\"",
        "edgelatch1 ",
    ];
    let mut settled = line.to_owned();
    for word in CHANGING {
        if let Some(start) = settled.find(word) {
            let value = start + word.len();
            let whole_line = word.ends_with(": ");
            let end = settled[value..]
                .find([',', '"', '}', ';'])
                .filter(|_| !whole_line);
            let end = end.map_or(settled.len(), |end| value + end);
            settled.replace_range(value..end, "*");
        }
    }
    settled
}
