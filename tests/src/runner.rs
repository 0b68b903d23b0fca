//! What runs the component: this project's host, or Spin.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::output::Output;

/// How long it may take until it serves; Spin compiles the component anew where its cache is cold.
pub(crate) const START_LIMIT: Duration = Duration::from_secs(90);

/// What the host or Spin says when it refuses to start with these arguments.
///
/// # Panics
/// If it does start.
pub fn refusal(arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut command = program();
    let mut child = command
        .arg("up")
        .args(arguments)
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let output = Output::default();
    output.gather(child.stdout.take().unwrap());
    output.gather(child.stderr.take().unwrap());
    let serving = output.wait_for(START_LIMIT, |text| {
        text.contains("Serving http://").then_some(())
    });
    if serving.is_some() {
        let _ = child.kill();
        panic!("{arguments:?} was not refused");
    }
    assert!(!child.wait().unwrap().success());
    output.text()
}

/// Whether Spin runs the component, and not this project's host.
pub fn on_spin() -> bool {
    std::env::var("EDGELATCH_RUNNER").is_ok_and(|runner| runner == "spin")
}

/// The host or Spin, in an environment without anything that it would read.
pub(crate) fn program() -> Command {
    let program = if on_spin() {
        PathBuf::from(std::env::var_os("SPIN_BIN").unwrap_or_else(|| "spin".into()))
    } else {
        host_binary()
    };
    let mut command = Command::new(program);
    for (name, _) in std::env::vars() {
        if name.starts_with("SPIN_") || name.starts_with("OTEL_") {
            command.env_remove(name);
        }
    }
    command
}

/// The host, named by EDGELATCH_HOST_BIN or beside the test's own executable.
fn host_binary() -> PathBuf {
    if let Some(named) = std::env::var_os("EDGELATCH_HOST_BIN") {
        return PathBuf::from(named);
    }
    let own = std::env::current_exe().unwrap();
    let target = own.parent().and_then(Path::parent).unwrap();
    target.join("edgelatch-host")
}
