//! Passes Ctrl-C and SIGTERM on to the running process, so that we can stop everything else after
//! it.

use std::process::{Child, Command, ExitStatus};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::step;

/// The process that a signal stops. `None` if none is running.
static WAITED_FOR: Mutex<Option<Pid>> = Mutex::new(None);

/// From now on, Ctrl-C and SIGTERM end the process that [`run`] runs, instead of this one.
pub(crate) fn pass_on() -> anyhow::Result<()> {
    static IS_SET: AtomicBool = AtomicBool::new(false);
    if IS_SET.swap(true, Ordering::Relaxed) {
        return Ok(());
    }
    ctrlc::set_handler(|| {
        let process = WAITED_FOR
            .lock()
            .ok()
            .and_then(|mut current| current.take());
        if let Some(pid) = process {
            // It may have ended already.
            let _ = kill(pid, Signal::SIGTERM);
        }
    })
    .context("the handler for Ctrl-C could not be set")
}

/// How a process ended.
pub(crate) struct Ended {
    /// Its exit status.
    pub(crate) status: ExitStatus,
    /// Whether we passed a signal on to it.
    pub(crate) asked_to: bool,
}

/// Runs a command to its end. A signal that [`pass_on`] handles ends the command.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<Ended> {
    let mut process = step::start(command)?;
    wait(&mut process)
}

/// Waits for the end of a process. A signal that [`pass_on`] handles ends it.
pub(crate) fn wait(process: &mut Child) -> anyhow::Result<Ended> {
    let pid = pid_of(process)?;
    if let Ok(mut current) = WAITED_FOR.lock() {
        *current = Some(pid);
    }
    let status = process.wait()?;
    let before = WAITED_FOR
        .lock()
        .ok()
        .and_then(|mut current| current.take());
    Ok(Ended {
        status,
        asked_to: before.is_none(),
    })
}

/// Sends a signal to a process, which may have ended already.
pub(crate) fn send(process: &Child, signal: Signal) {
    if let Ok(pid) = pid_of(process) {
        let _ = kill(pid, signal);
    }
}

pub(crate) fn pid_of(process: &Child) -> anyhow::Result<Pid> {
    Ok(Pid::from_raw(i32::try_from(process.id())?))
}
