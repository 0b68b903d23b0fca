//! What can go wrong with Redis, told apart by code.
//!
//! Spin hands every failure over as one text, which is the `Display` of the `redis` crate's error
//! (`crates/factor-outbound-redis/src/host.rs` in Spin). Its shapes are few and fixed, and this
//! file is the only one that knows them:
//!
//! | shape | example |
//! |---|---|
//! | `description - Kind: detail`, from the server | `An error was signalled by the server - NoScriptError: No matching script.` |
//! | `description- Kind`, from the client | `Password authentication failed- AuthenticationFailed` |
//! | `CODE: detail`, a code that the crate has no kind for | `NOAUTH: Authentication required.` |
//! | anything else: the operating system's words | `Connection refused (os error 111)` |

use std::fmt;
use std::time::Duration;

use spin_sdk::redis::Error;

use super::cluster::Place;
use crate::types::error_code::ErrorCode;

/// Why a call to Redis has no result.
#[derive(Clone)]
pub struct RedisError {
    kind: RedisErrorKind,
    detail: String,
    maybe_done: bool,
}

/// The kinds of [`RedisError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedisErrorKind {
    /// No connection could be made, or it broke: the command may or may not have been carried out.
    Unreachable,
    /// No answer within `redis_timeout`: the command may or may not have been carried out, or may
    /// yet be.
    TimedOut,
    /// The server answered with an error that begins with this code; nothing was carried out, or
    /// of a script what came before the command that was refused.
    Refused(Code),
    /// An answer that makes no sense for the command.
    Unexpected,
}

/// The code that an error reply of the server begins with
/// (<https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// `NOSCRIPT`: the server does not know the script of an `EVALSHA`.
    NoScript,
    /// `READONLY`: a replica refuses to write.
    ReadOnly,
    /// `LOADING`: the data set is still being read.
    Loading,
    /// `OOM`: `maxmemory` is reached.
    OutOfMemory,
    /// `NOAUTH`: a login is required.
    NoAuth,
    /// `WRONGPASS`, or a login that failed: user or password are wrong.
    WrongPass,
    /// `NOPERM`: the ACL forbids the command or the key.
    NoPerm,
    /// `MOVED`: the key is on another node of a cluster.
    Moved,
    /// `ASK`: the key is being moved to another node of a cluster.
    Ask,
    /// `CLUSTERDOWN`: the cluster does not serve the key's slot.
    ClusterDown,
    /// `MASTERDOWN`: a replica has lost its master.
    MasterDown,
    /// `BUSY`: a script is running for too long.
    Busy,
    /// `TRYAGAIN`: the slot is being moved.
    TryAgain,
    /// `WRONGTYPE`: a key holds another type.
    WrongType,
    /// Any other code, `ERR` included.
    Other,
}

impl RedisError {
    /// The kind, to be matched on.
    pub fn kind(&self) -> RedisErrorKind {
        self.kind
    }

    /// Whether the command may have been carried out although its answer is missing.
    pub(crate) fn is_ambiguous(&self) -> bool {
        self.maybe_done && !matches!(self.kind, RedisErrorKind::Refused(_))
    }

    /// Whether a script may have ended in its middle, at a command that the ACL forbids. Some
    /// servers say that with a code of its own (`NOPERM`), and some do not (`ERR`).
    pub(crate) fn may_be_half_done(&self) -> bool {
        let codes = [Code::NoPerm, Code::Other].map(RedisErrorKind::Refused);
        codes.contains(&self.kind)
    }

    /// No answer within `limit`.
    pub(crate) fn timed_out(limit: Duration, maybe_done: bool) -> Self {
        Self {
            kind: RedisErrorKind::TimedOut,
            detail: format!("no answer within {} ms", limit.as_millis()),
            maybe_done,
        }
    }

    /// An answer that makes no sense.
    pub fn unexpected(detail: impl Into<String>) -> Self {
        Self {
            kind: RedisErrorKind::Unexpected,
            detail: detail.into(),
            maybe_done: true,
        }
    }

    /// What Spin says; `sent` is whether anything of the call was sent.
    pub(crate) fn from_spin(error: Error, sent: bool) -> Self {
        let (kind, detail) = match error {
            Error::Other(text) => (classify(&text), text),
            Error::InvalidAddress => (RedisErrorKind::Unreachable, NOT_GRANTED.to_owned()),
            Error::TooManyConnections => (
                RedisErrorKind::Unreachable,
                "too many connections are open".to_owned(),
            ),
            Error::TypeError => (
                RedisErrorKind::Unexpected,
                "a value of another type".to_owned(),
            ),
        };
        Self {
            kind,
            detail,
            maybe_done: sent,
        }
    }

    /// Where a `MOVED` says that the key is.
    pub(super) fn moved(&self) -> Option<Place> {
        let (_, place) = self.detail.split_once("Moved: ")?;
        Place::parse(place)
    }

    /// Where an `ASK` says that the key is, if it is there at all.
    pub(super) fn asked(&self) -> Option<Place> {
        let (_, place) = self.detail.split_once("Ask: ")?;
        Place::parse(place)
    }

    /// Whether nothing was carried out because a cluster is moving the key's slot.
    pub(crate) fn slot_is_moving(&self) -> bool {
        let moving = [Code::Ask, Code::TryAgain].map(RedisErrorKind::Refused);
        moving.contains(&self.kind)
    }

    /// Whether the server does not let us have the command at all: the ACL forbids it, or the server
    /// does not know it. What it says of its state (`UNBLOCKED`, `NOREPLICAS`, ...) passes.
    pub(crate) fn forbids_command(&self) -> bool {
        match self.kind {
            RedisErrorKind::Refused(Code::NoPerm) => true,
            // `ERR`, which the crate has a kind for. Other codes stand before the text.
            RedisErrorKind::Refused(Code::Other) => self.detail.starts_with(FROM_SERVER),
            _ => false,
        }
    }

    /// Whether Redis refused decimals in the time limit of a blocking command, as Redis 5 does.
    /// Newer ones say "not a float".
    pub(super) fn knows_no_decimals(&self) -> bool {
        self.detail.contains("timeout is not an integer")
    }
}

impl ErrorCode for RedisError {
    fn code(&self) -> &'static str {
        match self.kind {
            RedisErrorKind::TimedOut => "redis-timeout",
            RedisErrorKind::Unreachable
            | RedisErrorKind::Refused(_)
            | RedisErrorKind::Unexpected => "redis-unavailable",
        }
    }
}

/// Spin answers both with the same error.
const NOT_GRANTED: &str =
    "the address is not granted by allowed_outbound_hosts, or cannot be parsed";

impl fmt::Display for RedisError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            RedisErrorKind::Unreachable => "Redis is unreachable",
            RedisErrorKind::TimedOut => "Redis is too slow",
            RedisErrorKind::Refused(_) => "Redis refused",
            RedisErrorKind::Unexpected => "Redis answered something unexpected",
        };
        write!(f, "{kind}: {}", self.detail)
    }
}

impl fmt::Debug for RedisError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisError")
            .field("kind", &self.kind)
            .field("detail", &self.detail)
            .finish_non_exhaustive()
    }
}

impl std::error::Error for RedisError {}

/// What the `redis` crate begins an error with that the server sent.
const FROM_SERVER: &str = "An error was signalled by the server";

fn classify(text: &str) -> RedisErrorKind {
    if let Some(rest) = text.strip_prefix(FROM_SERVER) {
        let kind = rest.trim_start_matches([' ', '-']);
        let kind = kind.split(':').next().unwrap_or_default();
        return RedisErrorKind::Refused(code_of_kind(kind));
    }
    let extension = |code: &str| {
        !code.is_empty()
            && code
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte == b'_' || byte.is_ascii_digit())
    };
    if let Some((code, _)) = text.split_once(": ").filter(|(code, _)| extension(code)) {
        return RedisErrorKind::Refused(code_of_reply(code));
    }
    match text.split_once("- ").map(|(_, kind)| kind) {
        Some(kind) if kind.starts_with("AuthenticationFailed") => {
            RedisErrorKind::Refused(Code::WrongPass)
        }
        Some(kind) if kind.starts_with("TypeError") => RedisErrorKind::Unexpected,
        _ => RedisErrorKind::Unreachable,
    }
}

/// The `redis` crate's name of a kind (`ErrorKind`), as its `Debug` prints it.
fn code_of_kind(kind: &str) -> Code {
    match kind {
        "NoScriptError" => Code::NoScript,
        "ReadOnly" => Code::ReadOnly,
        "BusyLoadingError" => Code::Loading,
        "Moved" => Code::Moved,
        "Ask" => Code::Ask,
        "ClusterDown" => Code::ClusterDown,
        "MasterDown" => Code::MasterDown,
        "TryAgain" => Code::TryAgain,
        _ => Code::Other,
    }
}

/// The code as the server sent it.
fn code_of_reply(code: &str) -> Code {
    match code {
        "OOM" => Code::OutOfMemory,
        "NOAUTH" => Code::NoAuth,
        "WRONGPASS" => Code::WrongPass,
        "NOPERM" => Code::NoPerm,
        "BUSY" => Code::Busy,
        "WRONGTYPE" => Code::WrongType,
        _ => Code::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_seen_on_spin_are_told_apart() {
        use RedisErrorKind::{Refused, Unexpected, Unreachable};
        let from_server = |rest: &str| format!("{FROM_SERVER} - {rest}");
        for (text, kind) in [
            (
                from_server("NoScriptError: No matching script. Please use EVAL."),
                Refused(Code::NoScript),
            ),
            (
                from_server("ResponseError: unknown command 'X'"),
                Refused(Code::Other),
            ),
            (
                from_server("ReadOnly: You can't write against a read only replica."),
                Refused(Code::ReadOnly),
            ),
            (
                from_server("BusyLoadingError: Redis is loading the dataset in memory"),
                Refused(Code::Loading),
            ),
            (
                "NOAUTH: Authentication required.".to_owned(),
                Refused(Code::NoAuth),
            ),
            (
                "OOM: command not allowed when used memory > 'maxmemory'.".to_owned(),
                Refused(Code::OutOfMemory),
            ),
            (
                "Password authentication failed- AuthenticationFailed".to_owned(),
                Refused(Code::WrongPass),
            ),
            ("Connection refused (os error 111)".to_owned(), Unreachable),
            ("broken pipe".to_owned(), Unreachable),
            (
                "Could not convert Redis response - TypeError: Redis Map type is not supported"
                    .to_owned(),
                Unexpected,
            ),
        ] {
            assert_eq!(classify(&text), kind, "{text}");
        }
    }

    #[test]
    fn what_passes_is_no_forbidden_command() {
        let error = |text: &str| RedisError::from_spin(Error::Other(text.to_owned()), true);
        for (text, forbids) in [
            (
                "NOPERM: User x has no permissions to run the 'blpop' command",
                true,
            ),
            (
                "An error was signalled by the server - ResponseError: unknown command 'blpop'",
                true,
            ),
            ("UNBLOCKED: force unblock from blocking operation", false),
            ("NOREPLICAS: Not enough good replicas to write.", false),
            ("MISCONF: Redis is configured to save RDB snapshots", false),
            (
                "An error was signalled by the server - BusyLoadingError: Redis is loading",
                false,
            ),
            ("Connection refused (os error 111)", false),
        ] {
            assert_eq!(error(text).forbids_command(), forbids, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_has_a_kind(text in "\\PC{0,120}") {
            let _ = classify(&text);
        }
    }
}
