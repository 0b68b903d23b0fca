//! Tools in Python, in a virtual environment under `target/`, in the versions that `tests/requirements.txt` names.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::{build, install, step};

/// A tool of the environment, which is made if it is absent or is not the one that is asked for.
pub(crate) fn tool(name: &str) -> anyhow::Result<PathBuf> {
    let folder = build::target().join("judges");
    let wanted = std::fs::read_to_string(build::root().join("tests/requirements.txt"))?;
    // Written last: an installation that broke off is made anew.
    let installed = folder.join("requirements.txt");
    if std::fs::read_to_string(&installed).ok().as_ref() != Some(&wanted) {
        make(&folder)?;
        std::fs::write(&installed, wanted)?;
    }
    Ok(folder.join("bin").join(name))
}

fn make(folder: &PathBuf) -> anyhow::Result<()> {
    if !is_complete() {
        install::PYTHON.install("no `python3` with `venv` on PATH")?;
    }
    step::say("installing the outside judges (tests/requirements.txt) into target/judges");
    step::run(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(folder),
        "the virtual environment could not be made: see the output above",
    )?;
    step::run(
        Command::new(folder.join("bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check"])
            .args(["--requirement", "tests/requirements.txt"])
            .current_dir(build::root()),
        "pip could not install what tests/requirements.txt names: see the output above",
    )
}

/// Whether there is a Python, with what makes virtual environments.
fn is_complete() -> bool {
    let mut python = Command::new("python3");
    python
        .args(["-c", "import venv, ensurepip"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    python.status().is_ok_and(|status| status.success())
}
