//! The peers, and how each is started: in its own process, on a free port, with a given Redis.

use std::fmt;
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use edgelatch_tests::START_LIMIT;
use serde::Serialize;

use crate::client::Client;
use crate::process::Usage;

/// What runs the components.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Runner {
    /// The host of this project
    Host,
    /// `spin` from PATH, or from SPIN_BIN
    Spin,
}

/// One of the compared servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Peer {
    /// This project's component.
    Service,
    /// The least component, on the same runner.
    Least,
    /// The least component with the service's scripts and headers.
    Scripted,
    /// axum and redis-rs without WebAssembly.
    Native,
    /// The design of the original service.
    Fastapi,
}

impl Peer {
    /// The peers of most cases.
    pub(crate) const ALL: [Self; 4] = [Self::Service, Self::Least, Self::Native, Self::Fastapi];

    /// The peers that are components.
    pub(crate) const COMPONENTS: [Self; 2] = [Self::Service, Self::Least];

    /// The peers that show which part of the distance to the least component the contract costs.
    pub(crate) const SCRIPTS: [Self; 3] = [Self::Service, Self::Least, Self::Scripted];
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Service => "edgelatch",
            Self::Least => "least component",
            Self::Scripted => "least, with the service's scripts",
            Self::Native => "native axum",
            Self::Fastapi => "FastAPI",
        })
    }
}

/// The paths of the programs. `cargo xtask bench` builds them and sets the variables.
#[derive(Clone)]
pub(crate) struct Programs {
    /// The project's folder.
    pub(crate) root: PathBuf,
    /// The host or Spin.
    runner: PathBuf,
    native: PathBuf,
    python: PathBuf,
    /// The load generator.
    pub(crate) wrk: PathBuf,
}

impl Programs {
    /// Reads the variables.
    ///
    /// # Errors
    /// If one is not set.
    pub(crate) fn from_environment() -> anyhow::Result<Self> {
        let named = |name: &str| {
            let value = std::env::var_os(name).map(PathBuf::from);
            value.with_context(|| format!("{name} is not set: run `cargo xtask bench`"))
        };
        Ok(Self {
            root: std::env::current_dir()?,
            runner: named("EDGELATCH_BENCH_RUNNER_BIN")?,
            native: named("EDGELATCH_BENCH_NATIVE")?,
            python: named("EDGELATCH_BENCH_PYTHON")?,
            wrk: named("EDGELATCH_BENCH_WRK")?,
        })
    }

    /// The compiled component of a peer. `None` if the peer is not a component.
    pub(crate) fn component(&self, peer: Peer) -> Option<PathBuf> {
        let file = match peer {
            Peer::Service => "target/wasm32-wasip2/release/edgelatch.wasm",
            Peer::Least | Peer::Scripted => {
                "target/bench-least/wasm32-wasip2/release/edgelatch_bench_least.wasm"
            }
            Peer::Native | Peer::Fastapi => return None,
        };
        Some(self.root.join(file))
    }

    fn command(&self, peer: Peer, listen: &str, options: &StartOptions<'_>) -> Command {
        let redis = format!("redis://127.0.0.1:{}", options.redis_port);
        let mut command = match peer {
            Peer::Service => {
                let mut command = self.up(Path::new("spin.toml"), listen, options);
                command
                    .env("SPIN_VARIABLE_REDIS_HOST", "127.0.0.1")
                    .env("SPIN_VARIABLE_REDIS_PORT", options.redis_port.to_string());
                if let Some(origin) = options.origin {
                    command.env("SPIN_VARIABLE_ORIGIN", origin);
                }
                command
            }
            Peer::Least | Peer::Scripted => {
                let mut command = self.up(Path::new("bench/least/spin.toml"), listen, options);
                let scripts = (peer == Peer::Scripted).to_string();
                command
                    .env("SPIN_VARIABLE_REDIS_ADDRESS", redis)
                    .env("SPIN_VARIABLE_SCRIPTS", scripts);
                command
            }
            Peer::Native => {
                let mut command = Command::new(&self.native);
                command.args([listen, &redis]);
                command
            }
            Peer::Fastapi => {
                let (host, port) = listen.split_once(':').unwrap_or((listen, "0"));
                let mut command = Command::new(&self.python);
                command
                    .args(["-m", "uvicorn", "app:app", "--app-dir", "bench/fastapi"])
                    .args(["--host", host, "--port", port, "--workers", "1"])
                    // The other peers write no line for each request, either.
                    .args(["--no-access-log", "--log-level", "warning"])
                    .env("REDIS_URL", redis)
                    // Without this, compiled files would appear in the project's folder.
                    .env("PYTHONDONTWRITEBYTECODE", "1");
                if let Some(origin) = options.origin {
                    command.env("ORIGIN", origin);
                }
                command
            }
        };
        command.current_dir(&self.root);
        command
    }

    fn up(&self, manifest: &Path, listen: &str, options: &StartOptions<'_>) -> Command {
        let runtime_config = Path::new("runtime-config.toml");
        let mut command = edgelatch_tests::up(&self.runner, manifest, listen, runtime_config);
        // With it, their errors would collect backtraces, which nobody sees.
        command.env_remove("RUST_BACKTRACE").args(options.arguments);
        command
    }
}

/// The settings of a server.
#[derive(Clone, Copy, Default)]
pub(crate) struct StartOptions<'a> {
    /// The port of its Redis.
    pub(crate) redis_port: u16,
    /// The address of its origin.
    pub(crate) origin: Option<&'a str>,
    /// More arguments of `up`. Peers that are not components ignore them.
    pub(crate) arguments: &'a [&'a str],
}

/// A server in its own process. It stops on drop.
pub(crate) struct Server {
    process: Child,
    peer: Peer,
    address: String,
    /// Its state and its log.
    folder: tempfile::TempDir,
}

impl Server {
    /// Starts one and waits until it answers `/healthz`.
    ///
    /// # Errors
    /// If it does not, with what it printed.
    pub(crate) async fn start(
        programs: &Programs,
        peer: Peer,
        options: StartOptions<'_>,
    ) -> anyhow::Result<Self> {
        let mut server = Self::launch(programs, peer, options)?;
        let mut client = server.first_connection().await?;
        let answer = client.call("GET", "/healthz").await?;
        if answer.status != 200 {
            bail!("{peer} is not healthy: {}", server.log());
        }
        Ok(server)
    }

    /// Starts one without waiting for it.
    ///
    /// # Errors
    /// If the program is missing.
    pub(crate) fn launch(
        programs: &Programs,
        peer: Peer,
        options: StartOptions<'_>,
    ) -> anyhow::Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        let folder = tempfile::tempdir()?;
        let log = File::create(folder.path().join("log"))?;
        let mut command = programs.command(peer, &address, &options);
        if programs.component(peer).is_some() {
            command.arg("--state-dir").arg(folder.path().join("state"));
        }
        let process = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("{peer} could not be started"))?;
        Ok(Self {
            process,
            peer,
            address,
            folder,
        })
    }

    /// Connects as soon as it listens.
    ///
    /// # Errors
    /// If it does not, with what it printed.
    pub(crate) async fn first_connection(&mut self) -> anyhow::Result<Client> {
        let began = Instant::now();
        while began.elapsed() < START_LIMIT {
            if let Ok(client) = Client::connect(&self.address).await {
                return Ok(client);
            }
            if self.process.try_wait()?.is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        bail!("{} does not serve: {}", self.peer, self.log());
    }

    /// Which peer it is.
    pub(crate) fn peer(&self) -> Peer {
        self.peer
    }

    /// `host:port`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The resources that it has used so far.
    ///
    /// # Errors
    /// If it has ended.
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        Usage::of(self.process.id()).with_context(|| format!("{} ended: {}", self.peer, self.log()))
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        edgelatch_tests::stop(&mut self.process);
    }
}
