//! Python tools. Each set has its own virtual environment under `target/`, with the versions of a
//! requirements file.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{build, install, step};

/// A virtual environment.
pub(crate) struct Environment {
    /// Its folder under `target/`.
    pub(crate) name: &'static str,
    /// Its requirements file.
    pub(crate) requirements: &'static str,
    /// What it contains, in a word or two.
    pub(crate) what: &'static str,
}

/// The external tools of `cargo xtask test`.
pub(crate) const JUDGES: Environment = Environment {
    name: "judges",
    requirements: "tests/requirements.txt",
    what: "the external tools and FastAPI",
};

/// The FastAPI peer of `cargo xtask bench`.
pub(crate) const FASTAPI: Environment = Environment {
    name: "bench-fastapi",
    requirements: "bench/fastapi/requirements.txt",
    what: "FastAPI for the benchmark",
};

impl Environment {
    /// A command that runs `module`. Creates the environment if it is missing, broken or out of
    /// date.
    ///
    /// We run modules, not the scripts in `bin/`. Those name their interpreter by its full path,
    /// which is wrong once the folder was moved, as build output that clones share is.
    pub(crate) fn module(&self, module: &str) -> anyhow::Result<Command> {
        let mut command = Command::new(self.interpreter()?);
        command.args(["-m", module]);
        Ok(command)
    }

    /// The environment's interpreter, as in [`Environment::module`].
    pub(crate) fn interpreter(&self) -> anyhow::Result<PathBuf> {
        let folder = build::target().join(self.name);
        let wanted = std::fs::read_to_string(build::root().join(self.requirements))?;
        let python = folder.join("bin/python3");
        // Written last, so that an interrupted installation is repeated.
        let installed = folder.join("requirements.txt");
        let is_wanted = std::fs::read_to_string(&installed).is_ok_and(|it| it == wanted);
        if !is_wanted || !has(&python, "pip") {
            self.make(&folder)?;
            std::fs::write(&installed, wanted)?;
        }
        Ok(python)
    }

    fn make(&self, folder: &Path) -> anyhow::Result<()> {
        if !has(Path::new("python3"), "venv, ensurepip") {
            install::PYTHON.install("no `python3` with `venv` on PATH")?;
        }
        let Self {
            name,
            requirements,
            what,
        } = self;
        step::say(format_args!(
            "installing {what} ({requirements}) into target/{name}"
        ));
        step::run(
            Command::new("python3")
                .args(["-m", "venv", "--clear"])
                .arg(folder),
            "the virtual environment could not be created: see the output above",
        )?;
        step::run(
            Command::new(folder.join("bin/python3"))
                .args([
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                ])
                .args(["--requirement", requirements])
                .current_dir(build::root()),
            &format!("pip could not install {requirements}: see the output above"),
        )
    }
}

/// Whether this Python starts and has these modules.
fn has(python: &Path, modules: &str) -> bool {
    let mut command = Command::new(python);
    command
        .args(["-c", &format!("import {modules}")])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
