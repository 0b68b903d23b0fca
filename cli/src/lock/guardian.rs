//! A process that outlives `edgelatch lock` and ends the command when the lock is lost: also if
//! `edgelatch lock` was killed, or stopped for longer than the lock is good. Nobody renews the lock
//! then, so another holder may be at work soon.
//!
//! It reads from a pipe until when the lock is held. The pipe closes with the process that started
//! it, whatever ended that process.

use std::io::{BufRead as _, Read as _, Write as _};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nix::unistd::setsid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use super::processes::{Family, Process};
use crate::service::TOKEN;

/// The first argument of a guardian. No subcommand: it is not for people.
const ARGUMENT: &str = "lock-guardian";

/// What a guardian writes when no signal of the terminal reaches it any more.
const READY: u8 = b'r';

/// The exit code of a guardian that has ended the command.
const HAS_ENDED_IT: u8 = 3;

/// Ends a command when its lock is lost.
pub(crate) struct LockGuardian {
    /// How long the command may take to end.
    kill_after: Duration,
}

/// The guardian, as the process that started it sees it. Without it, the command runs unguarded.
pub(super) struct Guardian(Child);

/// What a guardian is told, in a line.
enum Order {
    /// Watch this command.
    Watch(Family),
    /// The lock is held for so long from now on.
    Held(Duration),
    /// The lock is lost.
    End,
    /// The command has ended, or is not to be ended.
    Done,
}

impl Guardian {
    /// Starts it, and waits until it is out of reach of the terminal.
    pub(super) fn start(kill_after: Duration) -> std::io::Result<Self> {
        let kill_after = kill_after.as_millis().to_string();
        let mut guardian = Command::new(std::env::current_exe()?)
            .args([ARGUMENT, &kill_after])
            .env_remove(TOKEN)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        if let Some(stdout) = &mut guardian.stdout {
            stdout.read_exact(&mut [READY])?;
        }
        Ok(Self(guardian))
    }

    /// Gives it this command to watch.
    pub(super) fn watch(&mut self, family: &Family) {
        self.tell(&Order::Watch(family.clone()));
    }

    /// Tells it that the lock is held until then.
    pub(super) fn held_until(&mut self, until: Instant) {
        let left = until.saturating_duration_since(Instant::now());
        self.tell(&Order::Held(left));
    }

    /// Has it end the command. Returns whether it was told.
    pub(super) fn end(&mut self) -> bool {
        self.tell(&Order::End)
    }

    /// Ends it, or waits until it has ended the command. Returns whether it has.
    pub(super) fn dismiss(mut self) -> bool {
        self.tell(&Order::Done);
        drop(self.0.stdin.take());
        let status = self.0.wait();
        status.is_ok_and(|status| status.code() == Some(HAS_ENDED_IT.into()))
    }

    fn tell(&mut self, order: &Order) -> bool {
        let told = self.0.stdin.as_mut();
        told.is_some_and(|stdin| writeln!(stdin, "{}", order.line()).is_ok())
    }
}

impl Order {
    fn line(&self) -> String {
        match self {
            Self::Watch(Family { mark, command }) => match command {
                Some(Process { pid, began }) => format!("watch {mark} {pid} {began}"),
                None => format!("watch {mark}"),
            },
            Self::Held(left) => format!("held {}", left.as_micros()),
            Self::End => "end".to_owned(),
            Self::Done => "done".to_owned(),
        }
    }

    fn of(line: &str) -> Option<Self> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "watch" => {
                let mut parts = rest.splitn(3, ' ');
                let mark = parts.next()?.to_owned();
                let pid = parts.next().and_then(|pid| pid.parse().ok());
                let began = parts.next().map(str::to_owned);
                let command = pid.zip(began).map(|(pid, began)| Process { pid, began });
                Some(Self::Watch(Family { mark, command }))
            }
            "held" => Some(Self::Held(Duration::from_micros(rest.parse().ok()?))),
            "end" => Some(Self::End),
            "done" => Some(Self::Done),
            _ => None,
        }
    }
}

impl LockGuardian {
    /// `None` if this process is no guardian.
    pub(crate) fn of_arguments() -> Option<Self> {
        let mut arguments = std::env::args_os().skip(1);
        if arguments.next()? != ARGUMENT {
            return None;
        }
        let kill_after = arguments.next()?.to_str()?.parse().ok()?;
        Some(Self {
            kill_after: Duration::from_millis(kill_after),
        })
    }

    /// Waits until it is dismissed, or ends the command.
    pub(crate) fn run(&self) -> ExitCode {
        // It ends with the process that started it. Until then it is needed.
        for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
            let _ = signal_hook::flag::register(signal, Arc::default());
        }
        let _ = setsid();
        let mut stdout = std::io::stdout();
        let _ = stdout.write_all(&[READY]).and_then(|()| stdout.flush());
        match wait(&orders()) {
            Some(family) if family.end(self.kill_after) => HAS_ENDED_IT.into(),
            _ => ExitCode::SUCCESS,
        }
    }
}

/// What this guardian is told. It closes with the process that started it.
fn orders() -> Receiver<Order> {
    let (sender, orders) = channel();
    std::thread::spawn(move || {
        let lines = std::io::stdin().lock().lines();
        for order in lines
            .map_while(Result::ok)
            .filter_map(|line| Order::of(&line))
        {
            if sender.send(order).is_err() {
                return;
            }
        }
    });
    orders
}

/// Returns the command that is to be ended, if any.
fn wait(orders: &Receiver<Order>) -> Option<Family> {
    let mut family = None;
    let mut held_until: Option<Instant> = None;
    loop {
        let order = match held_until {
            Some(until) => orders.recv_timeout(until.saturating_duration_since(Instant::now())),
            None => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match order {
            Ok(Order::Watch(command)) => family = Some(command),
            Ok(Order::Held(left)) => held_until = Some(Instant::now() + left),
            Ok(Order::Done) => return None,
            Ok(Order::End) | Err(_) => return family,
        }
    }
}
