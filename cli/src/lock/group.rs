//! The command as a process group, and the terminal that it may have.

use std::process::Child;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpgrp, tcgetpgrp, tcsetpgrp};

/// The pause between two looks at a group that was asked to end.
const LOOK: Duration = Duration::from_millis(20);

/// The command leads its group, so the group has its number.
pub(super) fn of(command: &Child) -> std::io::Result<Pid> {
    let number = i32::try_from(command.id()).map_err(std::io::Error::other)?;
    Ok(Pid::from_raw(number))
}

/// Waits for the end of the command that leads this group. Ctrl-Z does not suspend it: the lock
/// would go on being renewed.
pub(super) fn wait(command: Pid) -> nix::Result<WaitStatus> {
    loop {
        match waitpid(command, Some(WaitPidFlag::WUNTRACED)) {
            Ok(WaitStatus::Stopped(_, Signal::SIGTSTP)) => send(command, Signal::SIGCONT),
            Ok(WaitStatus::Stopped(..)) | Err(Errno::EINTR) => {}
            ended => return ended,
        }
    }
}

/// Sends a signal to all processes of a group. They may have ended already.
pub(super) fn send(group: Pid, signal: Signal) {
    let _ = killpg(group, signal);
    // A stopped process gets no other signal than SIGKILL before it goes on.
    let _ = killpg(group, Signal::SIGCONT);
}

/// Waits for the end of the group, and kills what is left of it at `kill_at`.
pub(super) fn end_by(group: Pid, kill_at: Instant) {
    while is_alive(group) && Instant::now() < kill_at {
        std::thread::sleep(LOOK);
    }
    send(group, Signal::SIGKILL);
}

/// Whether a process of the group has not ended.
fn is_alive(group: Pid) -> bool {
    killpg(group, None) != Err(Errno::ESRCH)
}

/// Whether this process may read from a terminal.
pub(super) fn is_at_terminal() -> bool {
    tcgetpgrp(std::io::stdin()) == Ok(getpgrp())
}

/// Lets this group read from the terminal and get its signals.
pub(super) fn give_terminal(group: Pid) {
    // A process that takes the terminal back is stopped by this signal otherwise.
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTTOU);
    let _ = signals.thread_block();
    let _ = tcsetpgrp(std::io::stdin(), group);
    // The command may have tried to read before.
    send(group, Signal::SIGCONT);
}

/// Takes the terminal back.
pub(super) fn take_terminal() {
    give_terminal(getpgrp());
}
