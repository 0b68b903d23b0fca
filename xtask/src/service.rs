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

/// The oldest Spin that runs the components: major and minor version.
const LEAST_SPIN: (u32, u32) = (4, 1);

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

    /// Spin, where there is one that will do, or else the host. Says which.
    pub(crate) fn choose() -> Self {
        const INSTEAD: &str = "so the host of this repository runs the components";
        let Some(program) = find_spin() else {
            step::say(format_args!("no `spin` on PATH, {INSTEAD}"));
            return Self::Host;
        };
        let program = program.display();
        match version_of(&program.to_string()) {
            Some((version, true)) => {
                step::say(format_args!(
                    "Spin {version} ({program}) runs the components; `--runner host` builds and \
                     uses the host of this repository instead"
                ));
                return Self::Spin;
            }
            Some((version, false)) => step::say(format_args!(
                "`{program}` is Spin {version}, and 4.1 is the least, {INSTEAD}"
            )),
            None => step::say(format_args!("`{program}` tells no version, {INSTEAD}")),
        }
        Self::Host
    }

    /// Builds what it needs. Returns the command that serves at `listen`.
    pub(crate) fn command(self, listen: &str, spans: Spans) -> anyhow::Result<Command> {
        let program = match self {
            Self::Host => {
                build::host_beside(|| build::components(spans))?;
                build::host_binary()
            }
            Self::Spin => {
                build::components(spans)?;
                spin()?
            }
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
    find_spin().context(
        "no `spin` on PATH: install Spin 4.1 or newer (https://spinframework.dev/install), \
         name it in SPIN_BIN, or leave out `--runner spin`",
    )
}

fn find_spin() -> Option<PathBuf> {
    let named = std::env::var_os("SPIN_BIN").map(PathBuf::from);
    named.or_else(|| step::on_path("spin"))
}

/// The version of this `spin`, and whether it is new enough.
fn version_of(program: &str) -> Option<(String, bool)> {
    let output = Command::new(program).arg("--version").output().ok()?;
    read_version(&String::from_utf8_lossy(&output.stdout))
}

/// Reads `spin 4.1.0 (a1b2c3d 2026-01-31)`.
fn read_version(text: &str) -> Option<(String, bool)> {
    let version = text.strip_prefix("spin ")?.split_whitespace().next()?;
    let mut numbers = version.split('.').map(str::parse::<u32>);
    let (major, minor) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    Some((version.to_owned(), (major, minor) >= LEAST_SPIN))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spin_4_1_is_new_enough() {
        for (text, fit) in [
            ("spin 4.1.0 (a1b2c3d 2026-01-31)\n", Some(true)),
            ("spin 5.0.0-pre0 (a1b2c3d 2026-11-01)", Some(true)),
            ("spin 4.0.2 (a1b2c3d 2025-12-01)", Some(false)),
            ("spin 3.10.0", Some(false)),
            ("Promela, Version 6.5.2", None),
            ("", None),
        ] {
            assert_eq!(read_version(text).map(|(_, fit)| fit), fit, "{text}");
        }
    }
}
