//! Tools in Python, each set of them in a virtual environment of its own under `target/`, in the versions that a file of
//! requirements names.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{build, install, step};

/// A virtual environment.
pub(crate) struct Environment {
    /// Its folder under `target/`.
    pub(crate) name: &'static str,
    /// What is in it, in pip's format.
    pub(crate) requirements: &'static str,
    /// What it is for, in a word or two.
    pub(crate) what: &'static str,
}

/// The outside judges of `cargo xtask test`.
pub(crate) const JUDGES: Environment = Environment {
    name: "judges",
    requirements: "tests/requirements.txt",
    what: "the outside judges and FastAPI",
};

/// The FastAPI peer of `cargo xtask bench`.
pub(crate) const FASTAPI: Environment = Environment {
    name: "bench-fastapi",
    requirements: "bench/fastapi/requirements.txt",
    what: "FastAPI, which the service is compared with",
};

impl Environment {
    /// A command of the environment that runs `module`; the environment is made if it is absent, broken or not the one that is
    /// asked for.
    ///
    /// Modules, not the scripts in `bin/`: those name their interpreter by its full path, which leads nowhere once the folder was
    /// moved or is seen under another name, as build output that is kept between clones is.
    pub(crate) fn module(&self, module: &str) -> anyhow::Result<Command> {
        let mut command = Command::new(self.interpreter()?);
        command.args(["-m", module]);
        Ok(command)
    }

    /// The environment's interpreter, made as [`Environment::module`] says.
    pub(crate) fn interpreter(&self) -> anyhow::Result<PathBuf> {
        let folder = build::target().join(self.name);
        let wanted = std::fs::read_to_string(build::root().join(self.requirements))?;
        let python = folder.join("bin/python3");
        // Written last: an installation that broke off is made anew.
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
            "the virtual environment could not be made: see the output above",
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
            &format!("pip could not install what {requirements} names: see the output above"),
        )
    }
}

/// Whether this Python can be started and has these modules.
fn has(python: &Path, modules: &str) -> bool {
    let mut command = Command::new(python);
    command
        .args(["-c", &format!("import {modules}")])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
