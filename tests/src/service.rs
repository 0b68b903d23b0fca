//! The service in a process of its own, run by this project's host or by Spin.

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::client::Call;
use crate::origin::Origin;
use crate::output::Output;
use crate::redis::RedisServer;

/// How long the service may take until it serves; Spin compiles the component anew where its cache is cold.
const START_LIMIT: Duration = Duration::from_secs(90);

/// How long it may take to stop when asked to.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// The project's folder.
pub fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap().to_owned()
}

/// The variable `redis_host` and `redis_port` of a server.
pub fn redis_host_of(redis: &RedisServer) -> [(String, String); 2] {
    [
        ("redis_host".to_owned(), "127.0.0.1".to_owned()),
        ("redis_port".to_owned(), redis.port().to_string()),
    ]
}

/// The service and its Redis.
pub struct App {
    service: Service,
    /// Its Redis.
    pub redis: RedisServer,
}

/// The service alone.
pub struct Service {
    process: Child,
    output: Output,
    address: String,
    _folder: tempfile::TempDir,
}

/// What an [`App`] is started with.
pub struct AppBuilder {
    variables: Vec<(String, String)>,
    arguments: Vec<String>,
    runtime_config: Option<String>,
    manifest: PathBuf,
    redis: Option<RedisServer>,
}

impl App {
    /// The service with its default settings and a Redis of its own.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// The same, as [`AppBuilder::patient`].
    pub async fn patient() -> Self {
        Self::builder().patient().start().await
    }

    /// The service with other settings.
    pub fn builder() -> AppBuilder {
        AppBuilder {
            variables: Vec::new(),
            arguments: Vec::new(),
            runtime_config: None,
            manifest: root().join("spin.toml"),
            redis: None,
        }
    }
}

impl Deref for App {
    type Target = Service;

    fn deref(&self) -> &Service {
        &self.service
    }
}

impl DerefMut for App {
    fn deref_mut(&mut self) -> &mut Service {
        &mut self.service
    }
}

impl Service {
    /// A GET of `path`.
    pub fn get(&self, path: &str) -> Call {
        self.call("GET", path)
    }

    /// A POST to `path`.
    pub fn post(&self, path: &str) -> Call {
        self.call("POST", path)
    }

    /// A PUT to `path`.
    pub fn put(&self, path: &str) -> Call {
        self.call("PUT", path)
    }

    /// A DELETE of `path`.
    pub fn delete(&self, path: &str) -> Call {
        self.call("DELETE", path)
    }

    /// Any method on `path`.
    pub fn call(&self, method: &str, path: &str) -> Call {
        Call::new(&self.address, method, path)
    }

    /// `POST perform-action` with this query.
    pub fn perform(&self, query: &str) -> Call {
        self.post(&format!("/api/v1/users/perform-action?{query}"))
    }

    /// `POST attempt-action` with this query.
    pub fn attempt(&self, query: &str) -> Call {
        self.post(&format!("/api/v1/users/attempt-action?{query}"))
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What the service has printed so far, the component's log included.
    pub fn logs(&self) -> String {
        self.output.text()
    }

    /// SIGKILL: the service ends without a word.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl AppBuilder {
    /// Sets a Spin variable.
    #[must_use]
    pub fn var(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Lets Redis take its time, as it does on a machine that is busy with other tests: for tests that are about something else.
    #[must_use]
    pub fn patient(self) -> Self {
        self.var("redis_timeout", "15")
    }

    /// Adds an argument of `spin up`.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Uses this text instead of the project's `runtime-config.toml`.
    #[must_use]
    pub fn runtime_config(mut self, text: &str) -> Self {
        self.runtime_config = Some(text.to_owned());
        self
    }

    /// Runs another manifest than the project's.
    #[must_use]
    pub fn manifest(mut self, manifest: &Path) -> Self {
        manifest.clone_into(&mut self.manifest);
        self
    }

    /// Uses this Redis.
    #[must_use]
    pub fn redis(mut self, redis: RedisServer) -> Self {
        self.redis = Some(redis);
        self
    }

    /// Forwards actions to this origin.
    #[must_use]
    pub fn origin(self, origin: &Origin) -> Self {
        self.var("origin", &origin.url())
    }

    /// Starts the service and waits until it serves.
    ///
    /// # Panics
    /// With what it printed, if it does not.
    pub async fn start(mut self) -> App {
        let redis = match self.redis.take() {
            Some(redis) => redis,
            None => RedisServer::start().await,
        };
        let service = self.beside(&redis);
        App { service, redis }
    }

    /// Starts the service on a Redis that is another's.
    ///
    /// # Panics
    /// As [`AppBuilder::start`].
    pub fn beside(self, redis: &RedisServer) -> Service {
        let folder = tempfile::tempdir().unwrap();
        let mut runtime_config = root().join("runtime-config.toml");
        if let Some(text) = &self.runtime_config {
            runtime_config = folder.path().join("runtime-config.toml");
            std::fs::write(&runtime_config, text).unwrap();
        }
        let mut command = runner(&folder, &self.manifest, &runtime_config);
        command.args(&self.arguments);
        for (name, value) in redis_host_of(redis).iter().chain(&self.variables) {
            command.env(format!("SPIN_VARIABLE_{}", name.to_uppercase()), value);
        }
        let mut process = command
            .spawn()
            .expect("the service could not be started: `cargo xtask test` builds it");
        let output = Output::default();
        output.gather(process.stdout.take().unwrap());
        output.gather(process.stderr.take().unwrap());
        let serving = output.wait_for(START_LIMIT, |text| {
            let lines = text.lines();
            let url = lines.filter_map(|line| line.strip_prefix("Serving http://"));
            url.map(|address| address.trim().to_owned()).next()
        });
        let Some(address) = serving else {
            let _ = process.kill();
            panic!("the service does not serve; it printed:\n{}", output.text());
        };
        Service {
            process,
            output,
            address,
            _folder: folder,
        }
    }
}

/// What the host or Spin says when it refuses to start with these arguments.
///
/// # Panics
/// If it does start.
pub fn refusal(arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut command = program();
    let mut child = command
        .arg("up")
        .args(arguments)
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let output = Output::default();
    output.gather(child.stdout.take().unwrap());
    output.gather(child.stderr.take().unwrap());
    let serving = output.wait_for(START_LIMIT, |text| {
        text.contains("Serving http://").then_some(())
    });
    if serving.is_some() {
        let _ = child.kill();
        panic!("{arguments:?} was not refused");
    }
    assert!(!child.wait().unwrap().success());
    output.text()
}

/// The host or Spin, with the same arguments.
fn runner(folder: &tempfile::TempDir, manifest: &Path, runtime_config: &Path) -> Command {
    let mut command = program();
    command
        .arg("up")
        .arg("--from")
        .arg(manifest)
        .args(["--listen", "127.0.0.1:0"])
        .arg("--runtime-config-file")
        .arg(runtime_config)
        .arg("--state-dir")
        .arg(folder.path().join("state"))
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The host or Spin, in an environment without anything that it would read.
fn program() -> Command {
    let spin = std::env::var("EDGELATCH_RUNNER").is_ok_and(|runner| runner == "spin");
    let program = if spin {
        PathBuf::from(std::env::var_os("SPIN_BIN").unwrap_or_else(|| "spin".into()))
    } else {
        host_binary()
    };
    let mut command = Command::new(program);
    for (name, _) in std::env::vars() {
        if name.starts_with("SPIN_") {
            command.env_remove(name);
        }
    }
    command
}

/// The host, named by EDGELATCH_HOST_BIN or beside the test's own executable.
fn host_binary() -> PathBuf {
    if let Some(named) = std::env::var_os("EDGELATCH_HOST_BIN") {
        return PathBuf::from(named);
    }
    let own = std::env::current_exe().unwrap();
    let target = own.parent().and_then(Path::parent).unwrap();
    target.join("edgelatch-host")
}

impl Drop for Service {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the service printed:\n{}", self.output.text());
        }
        // It may have ended already. Spin has a child of its own, which only SIGTERM ends.
        let pid = Pid::from_raw(i32::try_from(self.process.id()).unwrap());
        let _ = kill(pid, Signal::SIGTERM);
        let began = Instant::now();
        while began.elapsed() < STOP_LIMIT {
            if !matches!(self.process.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
