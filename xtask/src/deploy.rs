//! Checks the files in `deploy/` against Kubernetes' schemas, Compose's schema, systemd, HAProxy,
//! Prometheus and mtail.
//! `tests/deploy/` has the checks, and the tests that each check finds a fault.

use crate::{build, install, python, step};

/// Runs the checks.
///
/// # Errors
/// If one fails, or if a tool can't be installed.
pub(crate) fn check() -> anyhow::Result<()> {
    if cfg!(target_os = "linux") {
        install::SYSTEMD.find_or_install()?;
        install::PROMTOOL.find_or_install()?;
        install::MTAIL.find_or_install()?;
        install::HAPROXY.find_or_install()?;
    } else {
        step::say(
            "the checks of the systemd unit, HAProxy, the alerts and the log's series are for \
                    Linux",
        );
    }
    step::say("checking the manifests in deploy/");
    let mut pytest = python::JUDGES.module("pytest")?;
    pytest
        .args(["-q", "-p", "no:cacheprovider", "tests/deploy"])
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(build::root());
    step::run(
        &mut pytest,
        "a file in deploy/ has a fault: see the output above",
    )
}
