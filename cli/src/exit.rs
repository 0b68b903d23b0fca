//! How the program ends: exit codes, and what it prints before.

use std::io::Write as _;
use std::process::ExitCode;

use crate::stdout;

/// The codes of every subcommand, for `--help`. `lock` has more.
pub(crate) const HELP: &str = "\
Exit codes: 0 done; 1 the answer is no (no such entry, a condition does not hold, somebody else
holds the lock); 64 wrong usage, or the service refuses the request; 66 a file cannot be read; 69 no
service, or a service that fails; 74 output cannot be written, or `lock` lost its lock; 77 no token,
or a wrong one.";

/// An exit code of our own. From 64 on they are those of `sysexits.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// The answer is no.
    No = 1,
    /// EX_USAGE: the command line is wrong, or the service refuses the request.
    Usage = 64,
    /// EX_NOINPUT: a file cannot be read.
    NoInput = 66,
    /// EX_UNAVAILABLE: no service, or a service that fails.
    Unavailable = 69,
    /// EX_IOERR: output cannot be written.
    Output = 74,
    /// EX_NOPERM: no token, or a wrong one.
    Unauthorized = 77,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}

/// Why there is no result.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code that it becomes.
    pub(crate) code: Code,
    /// For people.
    pub(crate) why: String,
    /// Whether it stays if the request is sent again.
    pub(crate) is_lasting: bool,
    /// Whether edgelatch says what became of the request.
    pub(crate) tells_outcome: bool,
    /// How far the request came.
    pub(crate) reach: Reach,
}

/// How far a request came. Of several requests, the furthest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    /// There was no connection.
    Unsent,
    /// It may have been carried out, but no answer came.
    Sent,
    Answered,
}

impl Failure {
    pub(crate) fn new(code: Code, why: impl Into<String>) -> Self {
        let why = why.into();
        Self {
            code,
            why,
            is_lasting: false,
            tells_outcome: false,
            reach: Reach::Answered,
        }
    }

    /// Says why. Returns the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        say(&self.why);
        self.code.into()
    }
}

/// Tells people what happens, in one line. Standard output is for data.
pub(crate) fn say(what: impl std::fmt::Display) {
    let what = printable(&what.to_string());
    // If nobody reads it, there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "edgelatch: {what}");
}

/// A text from elsewhere that controls no terminal: `\u{1b}` stands for an escape character.
pub(crate) fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if is_control(character) {
            safe.extend(character.escape_unicode());
        } else {
            safe.push(character);
        }
    }
    safe
}

/// Whether a terminal does something else than show this character: also those that change the
/// direction of the text, or begin a line.
pub(crate) fn is_control(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// Writes data.
pub(crate) fn print(data: &[u8]) -> Result<(), Failure> {
    if stdout::was_closed() {
        return Err(Failure::new(Code::Output, "standard output is closed"));
    }
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(data).and_then(|()| stdout.flush());
    written.map_err(|error| Failure::new(Code::Output, format!("standard output: {error}")))
}
