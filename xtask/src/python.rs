//! Tools in Python, in a virtual environment under `target/`, in the versions that `tests/requirements.txt` names.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{build, install, step};

/// A command of the environment that runs `module`.
///
/// Modules, not the scripts in `bin/`: those name their interpreter by its full path, which leads nowhere once the folder was moved or is
/// seen under another name, as build output that is kept between clones is.
pub(crate) fn module(module: &str) -> anyhow::Result<Command> {
    let mut command = Command::new(interpreter()?);
    command.args(["-m", module]);
    Ok(command)
}

/// The environment's Python; the environment is made if it is absent, broken or not the one that is asked for.
pub(crate) fn interpreter() -> anyhow::Result<PathBuf> {
    let folder = build::target().join("judges");
    let wanted = std::fs::read_to_string(build::root().join("tests/requirements.txt"))?;
    // Written last: an installation that broke off is made anew.
    let installed = folder.join("requirements.txt");
    let is_wanted = std::fs::read_to_string(&installed).is_ok_and(|it| it == wanted);
    if !is_wanted || !has(&folder.join("bin/python3"), "pip") {
        make(&folder)?;
        std::fs::write(&installed, wanted)?;
    }
    Ok(folder.join("bin/python3"))
}

/// Sees to it that there is a Python, with what makes virtual environments.
///
/// # Errors
/// A sentence that says what to install.
fn ensure() -> anyhow::Result<()> {
    if has(Path::new("python3"), "venv, ensurepip") {
        return Ok(());
    }
    install::PYTHON.install("no `python3` with `venv` on PATH")
}

fn make(folder: &Path) -> anyhow::Result<()> {
    ensure()?;
    step::say(
        "installing the outside judges and FastAPI (tests/requirements.txt) into target/judges",
    );
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
            .args(["--requirement", "tests/requirements.txt"])
            .current_dir(build::root()),
        "pip could not install what tests/requirements.txt names: see the output above",
    )
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
