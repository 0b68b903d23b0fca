//! A real Redis server of a test's own.

use std::collections::hash_map::RandomState;
use std::ffi::OsString;
use std::hash::{BuildHasher as _, Hasher as _};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue};

use crate::process::{freeze, pid_of};

/// How long a server may take until it answers PING.
const START_LIMIT: Duration = Duration::from_secs(20);

/// A Redis server on a free port, without persistence. It is killed on drop.
pub struct RedisServer {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
    arguments: Vec<String>,
    password: Option<String>,
}

impl RedisServer {
    /// Starts one and waits until it answers.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts one with more arguments for `redis-server`.
    pub async fn start_with(arguments: &[&str]) -> Self {
        let began = Instant::now();
        loop {
            let mut server = Self::launch(free_port(), arguments);
            if server.is_ready().await {
                return server;
            }
            assert!(began.elapsed() < START_LIMIT, "Redis does not start");
        }
    }

    /// Starts one that refuses a command to everybody: by its ACL, or before Redis 6, which has none,
    /// by taking the command's name away.
    pub async fn refusing(command: &str) -> Self {
        if version() < (6, 0) {
            return Self::start_with(&["--rename-command", command, ""]).await;
        }
        let redis = Self::start().await;
        let rule = format!("-{command}");
        let rules = ["ACL", "SETUSER", "default", "on", "nopass", "~*", "+@all"];
        redis
            .run::<()>(&[&rules[..], &[rule.as_str()]].concat())
            .await;
        redis
    }

    /// Waits until it answers. Returns `false` if it has ended, or if another server has the port:
    /// tests that run at the same time choose their ports at the same time.
    async fn is_ready(&mut self) -> bool {
        let began = Instant::now();
        while began.elapsed() < START_LIMIT {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return false;
            }
            if self.try_run::<String>(&["PING"]).await.is_ok() {
                let info: String = self.run(&["INFO", "server"]).await;
                let own = format!("process_id:{}", self.child.id());
                return info.lines().any(|line| line == own);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        false
    }

    /// Starts one without waiting for it. It may refuse or load for a while.
    pub fn launch(port: u16, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        let password = arguments
            .iter()
            .position(|argument| argument == "--requirepass")
            .map(|index| arguments[index + 1].clone());
        Self {
            child: spawn(port, &folder, &arguments),
            port,
            folder,
            arguments,
            password,
        }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its working folder.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Logs in with another password from now on. The empty one is none.
    pub fn log_in_with(&mut self, password: &str) {
        self.password = (!password.is_empty()).then(|| password.to_owned());
    }

    /// Requires this password from now on, and logs in with it. The empty one is none.
    pub async fn require_password(&mut self, password: &str) {
        let set = ["CONFIG", "SET", "requirepass", password];
        self.run::<()>(&set).await;
        self.log_in_with(password);
    }

    /// Closes the connections of all clients. Returns how many there were.
    pub async fn kill_clients(&self) -> i64 {
        let kill = ["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"];
        self.run(&kill).await
    }

    /// A new connection.
    pub async fn connection(&self) -> MultiplexedConnection {
        let client = redis::Client::open(self.url()).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    /// Runs a command as `redis-cli` would, and returns the reply.
    pub async fn run<T: FromRedisValue>(&self, words: &[&str]) -> T {
        self.try_run(words).await.unwrap()
    }

    /// Runs a command that may fail.
    pub async fn try_run<T: FromRedisValue>(&self, words: &[&str]) -> redis::RedisResult<T> {
        let client = redis::Client::open(self.url())?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        command(words).query_async(&mut connection).await
    }

    /// The value of a key.
    pub async fn get(&self, key: &str) -> Option<String> {
        self.run(&["GET", key]).await
    }

    /// The JSON of a cache entry: what is stored, without the line that says what it is.
    pub async fn entry(&self, key: &str) -> Option<String> {
        let stored = self.get(key).await?;
        match stored.split_once('\n') {
            Some((line, json)) if line.starts_with("edgelatch1 ") => Some(json.to_owned()),
            _ => Some(stored),
        }
    }

    /// Whether this key exists.
    pub async fn exists(&self, key: &str) -> bool {
        self.run::<i64>(&["EXISTS", key]).await == 1
    }

    /// The keys that never expire.
    pub async fn keys_without_expiry(&self) -> Vec<String> {
        let mut lasting = Vec::new();
        for key in self.run::<Vec<String>>(&["KEYS", "*"]).await {
            if self.run::<i64>(&["PTTL", &key]).await == -1 {
                lasting.push(key);
            }
        }
        lasting
    }

    /// The remaining time of a key, in milliseconds: -1 without expiry, -2 without such a key.
    pub async fn ms_left(&self, key: &str) -> i64 {
        self.run(&["PTTL", key]).await
    }

    /// How often a command was called so far (`INFO commandstats`).
    pub async fn calls(&self, command: &str) -> u64 {
        let info: String = self.run(&["INFO", "commandstats"]).await;
        let prefix = format!("cmdstat_{command}:calls=");
        info.lines()
            .find_map(|line| line.strip_prefix(&prefix)?.split(',').next()?.parse().ok())
            .unwrap_or(0)
    }

    /// SIGKILL: connections are reset, and all data is lost but what is in its file.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Removes what a killed one has written to its folder.
    pub fn forget(&self) {
        for entry in std::fs::read_dir(self.folder.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                std::fs::remove_dir_all(path).unwrap();
            } else {
                std::fs::remove_file(path).unwrap();
            }
        }
    }

    /// Gives a cluster's node these slots. Redis 5 and 6 know no `ADDSLOTSRANGE`.
    pub async fn add_slots(&self, slots: std::ops::Range<usize>) {
        let slots: Vec<_> = slots.map(|slot| slot.to_string()).collect();
        let mut add = vec!["CLUSTER", "ADDSLOTS"];
        add.extend(slots.iter().map(String::as_str));
        self.run::<()>(&add).await;
    }

    /// Becomes a replica of another one, and waits until it has all of its data, in its file too.
    pub async fn follow(&self, primary: &Self) {
        let port = primary.port.to_string();
        self.run::<()>(&["REPLICAOF", "127.0.0.1", &port]).await;
        let has = |info: &str, line: &str| info.lines().any(|it| it == line);
        crate::until("the replica has the data", || async {
            let info: String = self.run(&["INFO", "everything"]).await;
            has(&info, "master_link_status:up")
                && has(&info, "aof_rewrite_in_progress:0")
                && has(&info, "aof_rewrite_scheduled:0")
        })
        .await;
    }

    /// A replica becomes the primary.
    pub async fn promote(&self) {
        self.run::<()>(&["REPLICAOF", "NO", "ONE"]).await;
    }

    /// Starts it again on the same port, after a kill.
    pub async fn restart(&mut self) {
        self.relaunch();
        self.wait_until_ready().await;
    }

    /// The same, without waiting until it answers.
    pub fn relaunch(&mut self) {
        self.child = spawn(self.port, &self.folder, &self.arguments);
    }

    /// SIGSTOP: it accepts connections and answers nothing.
    pub fn pause(&self) {
        freeze(pid_of(&self.child));
    }

    /// SIGCONT, after a pause.
    pub fn resume(&self) {
        kill(pid_of(&self.child), Signal::SIGCONT).unwrap();
    }

    async fn wait_until_ready(&self) {
        let began = Instant::now();
        while self.try_run::<String>(&["PING"]).await.is_err() {
            assert!(began.elapsed() < START_LIMIT, "Redis did not start");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn url(&self) -> redis::ConnectionInfo {
        redis::ConnectionInfo {
            addr: redis::ConnectionAddr::Tcp("127.0.0.1".to_owned(), self.port),
            redis: redis::RedisConnectionInfo {
                password: self.password.clone(),
                ..Default::default()
            },
        }
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // SIGKILL ends a paused process, too. It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port without a listener, below those that systems assign (from 32768, or higher): it stays
/// free while its server is down.
fn free_port() -> u16 {
    loop {
        // The keys of a new `RandomState` are random.
        let random = RandomState::new().build_hasher().finish();
        let port = 10_000 + (random % 22_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn command(words: &[&str]) -> Cmd {
    let mut command = redis::cmd(words[0]);
    for word in &words[1..] {
        command.arg(*word);
    }
    command
}

/// The server that the tests run on: EDGELATCH_REDIS_BIN names another than the one on PATH.
fn program() -> OsString {
    std::env::var_os("EDGELATCH_REDIS_BIN").unwrap_or_else(|| "redis-server".into())
}

/// The version of the commands that the server knows, as Redis counts: major and minor. Valkey has
/// all of Redis 7.2.
///
/// # Panics
/// If the server cannot be started, or tells no version.
pub(crate) fn version() -> (u32, u32) {
    static VERSION: LazyLock<(u32, u32)> = LazyLock::new(|| {
        let output = Command::new(program())
            .arg("--version")
            .output()
            .expect("no redis-server could be started: `cargo xtask test` installs one");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if text.starts_with("Valkey") {
            return (7, 2);
        }
        let numbers = text.split_once("v=").map(|(_, version)| version.split('.'));
        let mut numbers = numbers.expect("a version").map(|number| number.parse());
        (
            numbers.next().unwrap().unwrap(),
            numbers.next().unwrap().unwrap(),
        )
    });
    *VERSION
}

fn spawn(port: u16, folder: &tempfile::TempDir, arguments: &[String]) -> Child {
    let mut command = Command::new(program());
    command
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no"]);
    // Before Redis 7, DEBUG is there without being allowed, and this is a wrong option.
    if version() >= (7, 0) {
        command.args(["--enable-debug-command", "yes"]);
    }
    command
        .arg("--dir")
        .arg(folder.path())
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("no redis-server could be started: `cargo xtask test` installs one")
}
