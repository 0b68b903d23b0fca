//! How `edgelatch lock` ends.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use crate::exit::{Code, Failure, say};

/// The result, as an exit code. 126 and 127 are the shell's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The command's own code.
    OfCommand(u8),
    /// The signal that ended the command, or our wait.
    BySignal(i32),
    /// Somebody else holds the lock. The command has not started.
    Conflict,
    /// EX_IOERR: the lock was lost while the command ran. Not EX_TEMPFAIL, since the command has
    /// started.
    Lost,
    /// The command has not started for another reason.
    Failed(Code),
}

impl Outcome {
    /// `conflict` is the code of [`Outcome::Conflict`]. A shell has 128 plus the number
    /// of a signal.
    pub(super) fn code(self, conflict: u8) -> u8 {
        match self {
            Self::OfCommand(code) => code,
            Self::BySignal(number) => u8::try_from(128 + number).unwrap_or(u8::MAX),
            Self::Conflict => conflict,
            Self::Lost => 74,
            Self::Failed(code) => code as u8,
        }
    }

    pub(super) fn of_status(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::OfCommand(u8::try_from(code).unwrap_or(u8::MAX)),
            (None, Some(number)) => Self::BySignal(number),
            (None, None) => Self::OfCommand(u8::MAX),
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
