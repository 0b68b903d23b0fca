//! Signals: those that this process gets, and the one that it dies of.

use std::sync::mpsc::Sender;
use std::time::Instant;

use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigHandler, Signal, signal};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::emulate_default_handler;
use signal_hook::low_level::siginfo::{Cause, Origin};

use super::Event;

/// The signals that the command gets from us.
const PASSED_ON: [Signal; 6] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
];

/// From now on these signals are events, and do not end this process. What was ignored at its
/// start stays ignored, here and by the command: SIGHUP under `nohup`, SIGINT in the background of
/// a script.
pub(super) fn listen(sender: Sender<Event>) -> anyhow::Result<()> {
    let mut numbers = Vec::new();
    for signal in PASSED_ON {
        if !is_ignored(signal)? {
            numbers.push(signal as i32);
        }
    }
    let mut signals = SignalsInfo::with_exfiltrator(numbers, WithOrigin::default())?;
    std::thread::spawn(move || {
        for origin in signals.forever() {
            let signal = Event::Signal {
                number: origin.signal,
                by_terminal: is_by_terminal(&origin),
                at: Instant::now(),
            };
            if sender.send(signal).is_err() {
                return;
            }
        }
    });
    Ok(())
}

/// Only before any handler of ours.
fn is_ignored(of: Signal) -> nix::Result<bool> {
    #[expect(
        unsafe_code,
        reason = "the system tells what it does only when it is set"
    )]
    // SAFETY: no handler is set that could run, only that of before.
    unsafe {
        let before = signal(of, SigHandler::SigIgn)?;
        signal(of, before)?;
        Ok(matches!(before, SigHandler::SigIgn))
    }
}

/// Whether it is Ctrl-C or Ctrl-\: the command, which has the same terminal, gets it too. macOS has
/// no cause, and the process 0 for it.
fn is_by_terminal(origin: &Origin) -> bool {
    let interrupts = [Signal::SIGINT as i32, Signal::SIGQUIT as i32].contains(&origin.signal);
    let by_kernel = match origin.cause {
        Cause::Kernel => true,
        Cause::Unknown => origin.process.is_none_or(|process| process.pid == 0),
        _ => false,
    };
    interrupts && by_kernel
}

/// Ends this process by a signal, so that a shell that is interrupted ends its script. Returns if
/// there is no such signal here.
pub(super) fn die_of(number: i32) {
    // The command has dumped its own core.
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    let _ = emulate_default_handler(number);
}
