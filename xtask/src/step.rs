//! Steps: printed, run, and reported in a sentence if they fail.

use std::process::{Child, Command};

use anyhow::{Context as _, bail};

/// Prints what happens now.
pub(crate) fn say(what: impl std::fmt::Display) {
    eprintln!("xtask: {what}");
}

/// Runs a command to its end and shows its output.
///
/// # Errors
/// `failed`, if the command can't be started or fails.
pub(crate) fn run(command: &mut Command, failed: &str) -> anyhow::Result<()> {
    if !start(command)?.wait()?.success() {
        bail!("{failed}");
    }
    Ok(())
}

/// Starts a process.
///
/// # Errors
/// The name of the program, if it can't be started.
pub(crate) fn start(command: &mut Command) -> anyhow::Result<Child> {
    let program = command.get_program().to_string_lossy().into_owned();
    command
        .spawn()
        .with_context(|| format!("`{program}` could not be started"))
}

/// The path of a program on PATH.
pub(crate) fn on_path(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}
