//! The service in a process of its own: the one way in which it is started, whoever needs it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use nix::sys::signal::Signal;

use crate::build::Spans;
use crate::{build, signals, step};

/// How long it may take to stop when asked to.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// What runs the component.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Runner {
    /// The host of this project
    Host,
    /// `spin` from PATH, or from SPIN_BIN
    Spin,
}

impl Runner {
    /// The one that the tests use: EDGELATCH_RUNNER=spin is Spin, anything else the host.
    pub(crate) fn of_tests() -> Self {
        match std::env::var("EDGELATCH_RUNNER").as_deref() {
            Ok("spin") => Self::Spin,
            _ => Self::Host,
        }
    }

    /// Builds what it needs, and returns the command that serves at `listen`.
    pub(crate) fn command(self, listen: &str, spans: Spans) -> anyhow::Result<Command> {
        build::components(spans)?;
        let program = match self {
            Self::Host => {
                build::host()?;
                build::host_binary()
            }
            Self::Spin => spin()?,
        };
        let mut command = Command::new(program);
        command
            .args(["up", "--from", "spin.toml", "--listen", listen])
            .args(["--runtime-config-file", "runtime-config.toml"])
            .current_dir(build::root());
        if spans == Spans::With {
            command.arg("--experimental-wasi-otel");
        }
        Ok(command)
    }
}

/// The `spin` on PATH, or the one that SPIN_BIN names.
///
/// # Errors
/// A sentence that says how to get one.
pub(crate) fn spin() -> anyhow::Result<PathBuf> {
    let named = std::env::var_os("SPIN_BIN").map(PathBuf::from);
    named.or_else(|| step::on_path("spin")).context(
        "no `spin` on PATH: install Spin 4.1 or newer (https://spinframework.dev/install), name it in SPIN_BIN, or leave out `--runner spin`",
    )
}

/// A service in the background, asked to stop on drop.
pub(crate) struct Background {
    service: Child,
    address: String,
}

impl Background {
    /// Starts it and waits until it serves. What it prints goes to `log`.
    pub(crate) fn start(command: &mut Command, log: &std::path::Path) -> anyhow::Result<Self> {
        let mut log_file = std::fs::File::create(log)?;
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log_file.try_clone()?);
        let mut service = step::start(command)?;
        let output = service.stdout.take().context("no output to read")?;
        let mut lines = BufReader::new(output).lines();
        let mut background = Self {
            service,
            address: String::new(),
        };
        for line in lines.by_ref() {
            let line = line?;
            writeln!(log_file, "{line}")?;
            if let Some(address) = line.strip_prefix("Serving http://") {
                address.trim().clone_into(&mut background.address);
                // Nobody who prints should have to wait for a reader.
                std::thread::spawn(move || {
                    for line in lines.map_while(Result::ok) {
                        let _ = writeln!(log_file, "{line}");
                    }
                });
                return Ok(background);
            }
        }
        bail!("the service does not serve: see {}", log.display());
    }

    /// `host:port`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Whether it still runs.
    pub(crate) fn runs(&mut self) -> bool {
        matches!(self.service.try_wait(), Ok(None))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // It may have ended by itself. Spin has a child of its own, which only SIGTERM ends.
        signals::send(&self.service, Signal::SIGTERM);
        let began = Instant::now();
        while self.runs() && began.elapsed() < STOP_LIMIT {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.service.kill();
        let _ = self.service.wait();
    }
}
