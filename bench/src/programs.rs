//! The peers' programs, and the command that starts each.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use serde_json::json;

use crate::peers::Peer;
use crate::server::StartOptions;

/// The paths of the programs. `cargo xtask bench` builds or installs them and sets the variables.
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
    webdis: Installed,
    etcd: Installed,
    openssl: Installed,
}

/// A program that only some cases need: its path, or what to do if it could not be installed.
type Installed = Result<PathBuf, String>;

impl Programs {
    /// Reads the variables.
    ///
    /// # Errors
    /// If one is not set that every case needs.
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
            webdis: installed("EDGELATCH_BENCH_WEBDIS"),
            etcd: installed("EDGELATCH_BENCH_ETCD"),
            openssl: installed("EDGELATCH_BENCH_OPENSSL"),
        })
    }

    /// The compiled component of a peer. `None` if the peer is not a component.
    pub(crate) fn component(&self, peer: Peer) -> Option<PathBuf> {
        let file = match peer {
            Peer::Service => "target/wasm32-wasip2/release/edgelatch.wasm",
            Peer::Least | Peer::Scripted => {
                "target/bench-least/wasm32-wasip2/release/edgelatch_bench_least.wasm"
            }
            Peer::Native | Peer::Fastapi | Peer::Webdis | Peer::Etcd => return None,
        };
        Some(self.root.join(file))
    }

    /// The program that makes certificates.
    ///
    /// # Errors
    /// What to install, if it is missing.
    pub(crate) fn openssl(&self) -> anyhow::Result<&Path> {
        needed(&self.openssl)
    }

    /// The command that starts a peer. `folder` is for its files.
    ///
    /// # Errors
    /// What to install, if its program is missing.
    pub(crate) fn command(
        &self,
        peer: Peer,
        listen: &str,
        folder: &Path,
        options: &StartOptions<'_>,
    ) -> anyhow::Result<Command> {
        let redis = options.redis_url();
        let (host, port) = listen.split_once(':').context("no port")?;
        let mut command = match peer {
            Peer::Service => {
                let mut command = self.up(Path::new("spin.toml"), listen, options);
                command
                    .env("SPIN_VARIABLE_REDIS_HOST", "127.0.0.1")
                    .env("SPIN_VARIABLE_REDIS_PORT", options.redis_port.to_string());
                if let Some(login) = options.secured {
                    command
                        .env("SPIN_VARIABLE_REDIS_TLS", "true")
                        .env("SPIN_VARIABLE_REDIS_PWD", &login.password);
                }
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
            Peer::Webdis => {
                let file = folder.join("webdis.json");
                let settings = webdis_settings(host, port.parse()?, options.redis_port);
                std::fs::write(&file, settings.to_string())?;
                let mut command = Command::new(needed(&self.webdis)?);
                command.arg(file);
                command
            }
            Peer::Etcd => {
                let own = format!("http://{listen}");
                // Other members would connect here. There are none.
                let members = format!("http://127.0.0.1:{}", crate::server::free_port()?);
                let mut command = Command::new(needed(&self.etcd)?);
                command
                    .arg("--data-dir")
                    .arg(folder.join("etcd"))
                    .args(["--listen-client-urls", &own])
                    .args(["--advertise-client-urls", &own])
                    .args(["--listen-peer-urls", &members])
                    .args(["--initial-advertise-peer-urls", &members])
                    .args(["--initial-cluster", &format!("default={members}")])
                    .args(["--log-level", "error"]);
                command
            }
        };
        command.current_dir(&self.root);
        Ok(command)
    }

    fn up(&self, manifest: &Path, listen: &str, options: &StartOptions<'_>) -> Command {
        let runtime_config = Path::new("runtime-config.toml");
        let mut command = edgelatch_tests::up(&self.runner, manifest, listen, runtime_config);
        // With it, their errors would collect backtraces, which nobody sees.
        command.env_remove("RUST_BACKTRACE").args(options.arguments);
        if let Some(login) = options.secured {
            command.env("SSL_CERT_FILE", &login.authorities);
        }
        command
    }
}

/// Debian's settings, with a Redis and a port of our own. It logs errors only.
fn webdis_settings(host: &str, port: u16, redis_port: u16) -> serde_json::Value {
    json!({
        "redis_host": "127.0.0.1",
        "redis_port": redis_port,
        "http_host": host,
        "http_port": port,
        "threads": 2,
        "daemonize": false,
        "database": 0,
        "verbosity": 0,
        "logfile": "/dev/null",
    })
}

/// A program that `cargo xtask bench` has installed, or has failed to.
fn installed(name: &str) -> Installed {
    if let Some(path) = std::env::var_os(name) {
        return Ok(path.into());
    }
    let missing = std::env::var(format!("{name}_MISSING"));
    Err(missing.unwrap_or_else(|_| format!("{name} is not set: run `cargo xtask bench`")))
}

fn needed(program: &Installed) -> anyhow::Result<&Path> {
    match program {
        Ok(path) => Ok(path),
        Err(missing) => bail!("{missing}"),
    }
}
