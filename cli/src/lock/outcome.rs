//! How `edgelatch lock` ends.

use nix::sys::wait::WaitStatus;

use crate::exit::{Code, Failure, say};

/// The result, as an exit code. 126 and 127 are the shell's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The command's own code, or 128 plus the number of the signal that ended it.
    OfCommand(u8),
    /// Somebody else holds the lock. The command has not started.
    Conflict,
    /// EX_IOERR: the lock was lost while the command ran. Not EX_TEMPFAIL, since the command has
    /// started.
    Lost,
    /// The command has not started for another reason.
    Failed(Code),
}

impl Outcome {
    /// `conflict` is the code of [`Outcome::Conflict`].
    pub(super) fn code(self, conflict: u8) -> u8 {
        match self {
            Self::OfCommand(code) => code,
            Self::Conflict => conflict,
            Self::Lost => 74,
            Self::Failed(code) => code as u8,
        }
    }

    pub(super) fn by_signal(number: i32) -> Self {
        Self::OfCommand(u8::try_from(128 + number).unwrap_or(u8::MAX))
    }

    pub(super) fn of_status(status: WaitStatus) -> Self {
        match status {
            WaitStatus::Exited(_, code) => Self::OfCommand(u8::try_from(code).unwrap_or(u8::MAX)),
            WaitStatus::Signaled(_, signal, _) => Self::by_signal(signal as i32),
            _ => Self::OfCommand(u8::MAX),
        }
    }
}

/// The lock could not be had, which is said.
impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        say(&failure.why);
        match failure.code {
            Code::No => Self::Conflict,
            code => Self::Failed(code),
        }
    }
}
