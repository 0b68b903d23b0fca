//! The TypeScript client: what its ecosystem's tools say of it, its tests against the running
//! service, and the package as it would be published.

use std::path::Path;
use std::process::Command;

use crate::{build, install, judge, step};

/// What npm runs, in this order, and what has failed if it fails. `test` packs the package and
/// installs it, so it needs what `build` has written.
const SCRIPTS: [(&str, &str); 4] = [
    ("lint", "Biome found faults in the TypeScript client"),
    ("build", "the TypeScript client does not compile"),
    ("types", "the tests of the TypeScript client do not compile"),
    ("test", "the tests of the TypeScript client failed"),
];

/// Checks, builds and tests it against the service, which is built. `npm ci` brings the tools in the versions of the lock file.
///
/// # Errors
/// Where one of the tools finds a fault.
pub(super) fn check() -> anyhow::Result<()> {
    let npm = install::NPM.find_or_install()?;
    let redis = install::REDIS.find_or_install()?;
    // It brings the Chromium in which the client is tried.
    install::CHROMEDRIVER.find_or_install()?;
    let folder = build::root().join("clients/typescript");
    let mut tools = npm_in(&npm, &folder);
    tools.args([
        "ci",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--silent",
    ]);
    step::say("fetching the tools of the TypeScript client");
    step::run(&mut tools, "npm could not fetch them: see the output above")?;
    for (script, failed) in SCRIPTS {
        step::say(format_args!("TypeScript client: {script}"));
        let mut command = npm_in(&npm, &folder);
        command.args(["run", "--silent", script]);
        judge::forget_settings(&mut command);
        super::serve_to(&mut command, &redis);
        step::run(&mut command, &format!("{failed}: see the output above"))?;
    }
    Ok(())
}

fn npm_in(npm: &Path, folder: &Path) -> Command {
    let mut command = Command::new(npm);
    command.current_dir(folder);
    command
}
