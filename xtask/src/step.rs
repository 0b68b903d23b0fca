//! Steps: printed, run, and reported in a sentence if they fail.

use std::io::IsTerminal as _;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use nix::sys::signal::Signal;

use crate::signals;

/// How often a long step says that it goes on.
const REMINDER: Duration = Duration::from_secs(30);

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

/// The same for a command that may be silent for minutes: see [`Long`].
pub(crate) fn run_long(command: &mut Command, what: &str, failed: &str) -> anyhow::Result<()> {
    Long::start(command, what)?.wait(failed)
}

/// A running command that may be silent for minutes. Every 30 seconds it says that it goes on, and
/// for how long already. It is ended on drop.
pub(crate) struct Long {
    process: Child,
    reminder: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Long {
    /// Starts it. `what` follows "still".
    pub(crate) fn start(command: &mut Command, what: &str) -> anyhow::Result<Self> {
        let process = start(command)?;
        let (ended, has_ended) = channel();
        let what = what.to_owned();
        let reminder = std::thread::spawn(move || remind(&what, &has_ended));
        Ok(Self {
            process,
            reminder: Some((ended, reminder)),
        })
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// `failed`, if it fails.
    pub(crate) fn wait(mut self, failed: &str) -> anyhow::Result<()> {
        if !self.process.wait()?.success() {
            bail!("{failed}");
        }
        Ok(())
    }
}

impl Drop for Long {
    fn drop(&mut self) {
        if let Ok(None) = self.process.try_wait() {
            signals::send(&self.process, Signal::SIGTERM);
            let _ = self.process.wait();
        }
        if let Some((ended, reminder)) = self.reminder.take() {
            drop(ended);
            let _ = reminder.join();
        }
    }
}

fn remind(what: &str, has_ended: &Receiver<()>) {
    let began = Instant::now();
    // Cargo's bar stands on a line of a terminal that has to be cleared.
    let clear = if std::io::stderr().is_terminal() {
        "\r\x1b[K"
    } else {
        ""
    };
    while has_ended.recv_timeout(REMINDER) == Err(RecvTimeoutError::Timeout) {
        let so_far = time(began.elapsed());
        eprintln!("{clear}xtask: still {what}, {so_far} so far");
    }
}

/// A time in words: "30 s", "2 min".
fn time(time: Duration) -> String {
    // A reminder comes a little late.
    let halves = (time.as_secs() + 2) / 30;
    match (halves / 2, halves % 2) {
        (0, _) => format!("{} s", halves * 30),
        (minutes, 0) => format!("{minutes} min"),
        (minutes, _) => format!("{minutes}.5 min"),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_words() {
        for (seconds, words) in [(30, "30 s"), (59, "1 min"), (90, "1.5 min"), (121, "2 min")] {
            assert_eq!(time(Duration::from_secs(seconds)), words);
        }
    }
}
