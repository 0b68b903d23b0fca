//! Programs that we need: found on PATH, or installed with apt if we are root.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use crate::step;

/// A program.
pub(crate) struct Program {
    /// Any of these will do.
    names: &'static [&'static str],
    /// The Debian package.
    package: &'static str,
    /// What to do if we can't install it.
    otherwise: &'static str,
}

/// A Redis server.
pub(crate) const REDIS: Program = Program {
    names: &["redis-server", "valkey-server"],
    package: "redis-server",
    otherwise: "install Redis or Valkey (Debian, Ubuntu: `sudo apt-get install redis-server`; \
                Fedora: `sudo dnf install valkey`; macOS: `brew install redis`)",
};

/// The driver of a headless Chromium, for the tests of the pages.
pub(crate) const CHROMEDRIVER: Program = Program {
    names: &["chromedriver"],
    package: "chromium-driver",
    otherwise: "install Chromium and its driver (Debian: `sudo apt-get install chromium-driver`; \
                Fedora: `sudo dnf install chromedriver`; \
                macOS: `brew install --cask chromium chromedriver`)",
};

/// The load generator of the benchmark.
pub(crate) const WRK: Program = Program {
    names: &["wrk"],
    package: "wrk",
    otherwise: "install wrk (Debian, Ubuntu: `sudo apt-get install wrk`; \
                Fedora: `sudo dnf install wrk`)",
};

/// Python with `venv`, which Debian packages separately: for the external checks.
pub(crate) const PYTHON: Program = Program {
    names: &["python3"],
    package: "python3-venv",
    otherwise: "install Python 3 (Debian, Ubuntu: `sudo apt-get install python3-venv`; \
                Fedora: `sudo dnf install python3`; macOS: `brew install python`)",
};

/// The tool that checks systemd units without running them.
pub(crate) const SYSTEMD: Program = Program {
    names: &["systemd-analyze"],
    package: "systemd",
    otherwise: "install systemd (Debian, Ubuntu: `sudo apt-get install systemd`; \
                Fedora: `sudo dnf install systemd`)",
};

impl Program {
    /// The program's path. Installs the program if it is missing and we are root.
    ///
    /// # Errors
    /// A sentence that says what to install.
    pub(crate) fn find_or_install(&self) -> anyhow::Result<PathBuf> {
        if let Some(found) = self.find() {
            return Ok(found);
        }
        let wanted = self.names.join(" and no ");
        self.install(&format!("no {wanted} on PATH"))?;
        let package = self.package;
        self.find().with_context(|| {
            format!("apt-get installed {package}, but there is no {wanted} on PATH")
        })
    }

    /// Installs it, if we are root. `missing` says what was not found.
    ///
    /// # Errors
    /// A sentence that says what to install.
    pub(crate) fn install(&self, missing: &str) -> anyhow::Result<()> {
        let Self {
            package, otherwise, ..
        } = self;
        if step::on_path("apt-get").is_none() || !nix::unistd::geteuid().is_root() {
            bail!("{missing}: {otherwise} and try again");
        }
        step::say(format_args!("installing: apt-get install {package}"));
        let failed = format!("apt-get could not install {package}: {otherwise} and try again");
        step::run(apt_get().arg("update"), &failed)?;
        step::run(apt_get().args(["install", "--yes", package]), &failed)
    }

    fn find(&self) -> Option<PathBuf> {
        self.names.iter().find_map(|name| step::on_path(name))
    }
}

fn apt_get() -> Command {
    let mut apt_get = Command::new("apt-get");
    apt_get
        .arg("--quiet=2")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdout(Stdio::null());
    apt_get
}
