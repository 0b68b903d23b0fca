//! What runs the component: this project's host, or Spin.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::Process;

/// How long a service may take until it serves. Spin compiles the component if its cache is cold.
pub const START_LIMIT: Duration = Duration::from_secs(90);

/// What the host or Spin prints when it refuses to start with these arguments.
///
/// # Panics
/// If it starts.
pub fn refusal(arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(program());
    command.arg("up").args(arguments).current_dir(folder.path());
    forget_settings(&mut command);
    let mut process = Process::start(&mut command).unwrap();
    let serves = |text: &str| text.contains("Serving http://").then_some(());
    let serving = process.output().wait_for(START_LIMIT, serves);
    assert!(serving.is_none(), "{arguments:?} was not refused");
    assert!(!process.succeeds());
    process.output().text()
}

/// The flags in EDGELATCH_HOST_FLAGS, each with its value: `--max-instance-reuse-count 1`. A flag
/// that a test sets itself is left out.
pub(crate) fn more_flags(own: &[String]) -> Vec<String> {
    let all = std::env::var("EDGELATCH_HOST_FLAGS").unwrap_or_default();
    let words: Vec<_> = all.split_whitespace().map(str::to_owned).collect();
    let flags = words.chunks(2).filter(|flag| !own.contains(&flag[0]));
    flags.flatten().cloned().collect()
}

/// Whether the tests run on Spin instead of this project's host.
pub fn on_spin() -> bool {
    std::env::var("EDGELATCH_RUNNER").is_ok_and(|runner| runner == "spin")
}

/// `<program> up` for a manifest, in an environment without settings of the caller's.
pub fn up(program: &Path, manifest: &Path, listen: &str, runtime_config: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .arg("up")
        .arg("--from")
        .arg(manifest)
        .args(["--listen", listen])
        .arg("--runtime-config-file")
        .arg(runtime_config);
    forget_settings(&mut command);
    command
}

/// The host or Spin.
pub(crate) fn program() -> PathBuf {
    if on_spin() {
        PathBuf::from(std::env::var_os("SPIN_BIN").unwrap_or_else(|| "spin".into()))
    } else {
        host_binary()
    }
}

/// Removes from a command's environment what the host or Spin would read.
fn forget_settings(command: &mut Command) {
    for (name, _) in std::env::vars() {
        if name.starts_with("SPIN_") || name.starts_with("OTEL_") {
            command.env_remove(name);
        }
    }
}

/// The host that EDGELATCH_HOST_BIN names, or else the one beside the test's own executable.
fn host_binary() -> PathBuf {
    if let Some(named) = std::env::var_os("EDGELATCH_HOST_BIN") {
        return PathBuf::from(named);
    }
    let own = std::env::current_exe().unwrap();
    let target = own.parent().and_then(Path::parent).unwrap();
    target.join("edgelatch-host")
}
