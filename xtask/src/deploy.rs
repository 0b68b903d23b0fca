//! Holds the files in `deploy/` against who will read them: Kubernetes' schemas, Compose's, systemd. What is checked, and that each
//! check finds a fault, is in `tests/deploy/`.

use crate::{build, install, python, step};

/// Runs the checks.
///
/// # Errors
/// Where one fails, or where a judge can't be installed.
pub(crate) fn check() -> anyhow::Result<()> {
    if cfg!(target_os = "linux") {
        install::SYSTEMD.find_or_install()?;
    } else {
        step::say("no systemd on this system: its unit is left out");
    }
    step::say("checking the manifests in deploy/");
    let mut pytest = python::JUDGES.module("pytest")?;
    pytest
        .args(["-q", "-p", "no:cacheprovider", "tests/deploy"])
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(build::root());
    step::run(
        &mut pytest,
        "a file in deploy/ is not in order: see the output above",
    )
}
