//! Programs that we need: found on PATH, or installed with apt if we are root, or with cargo.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use crate::{build, step};

/// A program.
pub(crate) struct Program {
    /// Any of these will do.
    names: &'static [&'static str],
    /// The Debian package.
    package: &'static str,
    /// What to do if we can't install it.
    otherwise: &'static str,
    /// The variable of the environment in which a developer names another one.
    variable: Option<&'static str>,
}

/// A Redis server.
pub(crate) const REDIS: Program = Program {
    names: &["redis-server", "valkey-server"],
    package: "redis-server",
    otherwise: "install Redis or Valkey (Debian, Ubuntu: `sudo apt-get install redis-server`; \
                Fedora: `sudo dnf install valkey`; macOS: `brew install redis`)",
    variable: Some("EDGELATCH_REDIS_BIN"),
};

/// The driver of a headless Chromium, for the tests of the pages.
pub(crate) const CHROMEDRIVER: Program = Program {
    names: &["chromedriver"],
    package: "chromium-driver",
    otherwise: "install Chromium and its driver (Debian: `sudo apt-get install chromium-driver`; \
                Fedora: `sudo dnf install chromedriver`; \
                macOS: `brew install --cask chromium chromedriver`)",
    variable: None,
};

/// The load generator of the benchmark.
pub(crate) const WRK: Program = Program {
    names: &["wrk"],
    package: "wrk",
    otherwise: "install wrk (Debian, Ubuntu: `sudo apt-get install wrk`; \
                Fedora: `sudo dnf install wrk`)",
    variable: None,
};

/// The HTTP interface to Redis that the benchmark compares the cache with.
pub(crate) const WEBDIS: Program = Program {
    names: &["webdis"],
    package: "webdis",
    otherwise: "install webdis (Debian, Ubuntu: `sudo apt-get install webdis`; \
                macOS: `brew install webdis`)",
    variable: None,
};

/// The store that the benchmark compares leases with.
pub(crate) const ETCD: Program = Program {
    names: &["etcd"],
    package: "etcd-server",
    otherwise: "install etcd (Debian, Ubuntu: `sudo apt-get install etcd-server`; \
                Fedora: `sudo dnf install etcd`; macOS: `brew install etcd`)",
    variable: None,
};

/// What makes the certificates of the benchmark's Redis with TLS.
pub(crate) const OPENSSL: Program = Program {
    names: &["openssl"],
    package: "openssl",
    otherwise: "install OpenSSL (Debian, Ubuntu: `sudo apt-get install openssl`; \
                Fedora: `sudo dnf install openssl`)",
    variable: None,
};

/// Python with `venv`, which Debian packages separately: for the external checks.
pub(crate) const PYTHON: Program = Program {
    names: &["python3"],
    package: "python3-venv",
    otherwise: "install Python 3 (Debian, Ubuntu: `sudo apt-get install python3-venv`; \
                Fedora: `sudo dnf install python3`; macOS: `brew install python`)",
    variable: None,
};

/// What fetches packages of JavaScript, and Node.js with it: for an outside judge.
pub(crate) const NPM: Program = Program {
    names: &["npm"],
    package: "npm",
    otherwise: "install Node.js 20 or newer and npm (Debian, Ubuntu: `sudo apt-get install npm`; Fedora: `sudo dnf install npm`; \
                macOS: `brew install node`)",
    variable: None,
};

/// The tool that checks systemd units without running them.
pub(crate) const SYSTEMD: Program = Program {
    names: &["systemd-analyze"],
    package: "systemd",
    otherwise: "install systemd (Debian, Ubuntu: `sudo apt-get install systemd`; \
                Fedora: `sudo dnf install systemd`)",
    variable: None,
};

/// The tool that checks and tests Prometheus' alert rules.
pub(crate) const PROMTOOL: Program = Program {
    names: &["promtool"],
    package: "prometheus",
    otherwise: "install Prometheus (Debian, Ubuntu: `sudo apt-get install prometheus`)",
    variable: None,
};

/// What leads to the primary of a Redis with Sentinels.
pub(crate) const HAPROXY: Program = Program {
    names: &["haproxy"],
    package: "haproxy",
    otherwise: "install HAProxy (Debian, Ubuntu: `sudo apt-get install haproxy`; \
                Fedora: `sudo dnf install haproxy`)",
    variable: None,
};

/// What turns the access log into series for Prometheus.
pub(crate) const MTAIL: Program = Program {
    names: &["mtail"],
    package: "mtail",
    otherwise: "install mtail (Debian, Ubuntu: `sudo apt-get install mtail`)",
    variable: None,
};

/// A subcommand of cargo, in one version.
pub(crate) struct CargoTool {
    name: &'static str,
    version: &'static str,
}

/// What writes the lists of what a release contains.
pub(crate) const CYCLONEDX: CargoTool = CargoTool {
    name: "cargo-cyclonedx",
    version: "0.5.9",
};

impl CargoTool {
    /// The tool's path. Installs it into `target/tools` if it is missing there, as `.ci/run` does.
    ///
    /// # Errors
    /// If cargo cannot install it.
    pub(crate) fn find_or_install(&self) -> anyhow::Result<PathBuf> {
        let Self { name, version } = self;
        let tools = build::target().join("tools");
        let folder = tools.join(format!("{name}-{version}"));
        let tool = folder.join("bin").join(name);
        if tool.is_file() {
            return Ok(tool);
        }
        step::say(format_args!(
            "installing {name} {version} (about two minutes)"
        ));
        let mut cargo = build::cargo();
        cargo
            .args(["install", "--quiet", "--locked", "--root"])
            .arg(&folder)
            .arg(format!("{name}@{version}"))
            // For a short build, since it runs for seconds.
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
            .env("CARGO_TARGET_DIR", tools.join("target"));
        let failed = format!("cargo could not install {name}: see the output above");
        step::run_long(&mut cargo, &format!("installing {name}"), &failed)?;
        std::fs::remove_dir_all(tools.join("target"))?;
        Ok(tool)
    }
}

impl Program {
    /// The program's path. Installs the program if it is missing and we are root.
    ///
    /// # Errors
    /// A sentence that says what to install.
    pub(crate) fn find_or_install(&self) -> anyhow::Result<PathBuf> {
        if let Some(named) = self.named()? {
            return Ok(named);
        }
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

    /// The one that the environment names, as an absolute path: what is given it runs elsewhere.
    fn named(&self) -> anyhow::Result<Option<PathBuf>> {
        let Some((variable, named)) = self
            .variable
            .and_then(|variable| Some((variable, std::env::var_os(variable)?)))
        else {
            return Ok(None);
        };
        let named = PathBuf::from(named);
        let found = named.canonicalize().ok().filter(|file| file.is_file());
        let found = found.with_context(|| format!("{variable}: no file {}", named.display()))?;
        step::say(format_args!("using {} ({variable})", found.display()));
        Ok(Some(found))
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
