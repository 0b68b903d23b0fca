//! Starts the service in its own process. All commands do it this way.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use nix::sys::signal::Signal;

use crate::build::Spans;
use crate::{build, signals, step};

/// How long it may take to stop after SIGTERM.
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
    /// The runner of the tests: Spin with EDGELATCH_RUNNER=spin, or else the host.
    pub(crate) fn of_tests() -> Self {
        match std::env::var("EDGELATCH_RUNNER").as_deref() {
            Ok("spin") => Self::Spin,
            _ => Self::Host,
        }
    }

    /// Builds what it needs. Returns the command that serves at `listen`.
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

/// The `spin` that SPIN_BIN names, or else the one on PATH.
///
/// # Errors
/// A sentence that says how to get one.
pub(crate) fn spin() -> anyhow::Result<PathBuf> {
    let named = std::env::var_os("SPIN_BIN").map(PathBuf::from);
    named.or_else(|| step::on_path("spin")).context(
        "no `spin` on PATH: install Spin 4.1 or newer (https://spinframework.dev/install), \
         name it in SPIN_BIN, or leave out `--runner spin`",
    )
}

/// A service in the background. It is asked to stop on drop.
pub(crate) struct Background {
    service: Child,
    address: String,
}

impl Background {
    /// Starts it and waits until it serves. Its output goes to `log`.
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
                // Read on, or the service would block when the pipe is full.
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
        // It may have ended already. Spin has a child of its own, which only SIGTERM ends.
        signals::send(&self.service, Signal::SIGTERM);
        let began = Instant::now();
        while self.runs() && began.elapsed() < STOP_LIMIT {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.service.kill();
        let _ = self.service.wait();
    }
}
