//! The command line of `cargo xtask lock`.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use clap::error::{ContextKind, ContextValue};
use url::Url;

use crate::step;

/// The longest time to live of a lock, in seconds: 30 days.
const LONGEST_EXPIRE: f64 = 2_592_000.0;

/// The longest time to wait, in seconds: a year.
const LONGEST_TIMEOUT: f64 = 31_536_000.0;

/// EX_USAGE of `sysexits.h`.
const EX_USAGE: u8 = 64;

/// Run a command while holding a user's lock.
///
/// The lock is renewed at a third of --expire while the command runs. The command's environment has
/// EDGELATCH_FENCING_TOKEN, EDGELATCH_USER_ID, EDGELATCH_LOCK_NAME (with --name) and EDGELATCH_URL.
/// SIGINT, SIGTERM and SIGHUP are passed on to the command and to the processes that it started. If
/// the lock is lost, or this program is killed, they get SIGTERM, and SIGKILL after --kill-after.
///
/// Exit codes: the command's own, or 128 plus the number of the signal that ended it; 64 wrong
/// usage; 69 no service, or a service that fails; 74 the lock was lost while the command ran; 75
/// somebody else holds the lock; 77 no API token, or a wrong one; 126 the command can't be run; 127
/// there is no such command. After 64, 69, 75, 77, 126 and 127 of this program the command has not
/// started.
#[derive(Args)]
pub(crate) struct Lock {
    /// The user's id
    #[arg(long, value_name = "ID", allow_negative_numbers = true)]
    pub(super) user: i64,
    /// The name of one of the user's named locks. Without it, the lock that actions take
    #[arg(long)]
    pub(super) name: Option<String>,
    /// The lock's time to live between renewals, in seconds: 0.001 to 2592000
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = expire)]
    pub(super) expire: Duration,
    /// How long to wait for the lock, in seconds; 0 tries once
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = timeout)]
    pub(super) timeout: Duration,
    /// How long the command may take to end after the lock is lost, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = timeout)]
    pub(super) kill_after: Duration,
    /// The address of the service
    #[arg(long, default_value = "http://127.0.0.1:9001", env = "EDGELATCH_URL", value_parser = url)]
    pub(super) url: Url,
    /// The service's `api_token`. An argument is visible in the process list, the variable is not
    #[arg(long, env = "EDGELATCH_API_TOKEN", hide_env_values = true)]
    pub(super) token: Option<String>,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(super) command: Vec<OsString>,
}

/// Prints what is wrong with the command line. Returns the exit code.
pub(crate) fn usage_error(error: &clap::Error) -> ExitCode {
    match error.get(ContextKind::InvalidArg) {
        // The value may have a password, and clap would print it.
        Some(ContextValue::String(argument)) if argument.starts_with("--url") => {
            step::say("--url must be an address that begins with http:// or https://");
        }
        // Help is no error. If stderr is closed, there is nobody to tell.
        _ => drop(error.print()),
    }
    match error.exit_code() {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(EX_USAGE),
    }
}

fn expire(text: &str) -> Result<Duration, String> {
    seconds(text, 0.001, LONGEST_EXPIRE)
}

fn timeout(text: &str) -> Result<Duration, String> {
    seconds(text, 0.0, LONGEST_TIMEOUT)
}

fn seconds(text: &str, least: f64, most: f64) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (least..=most).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(format!("seconds from {least} to {most}")),
    }
}

fn url(text: &str) -> Result<Url, String> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        _ => Err("an address that begins with http:// or https://".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_numbers_within_bounds() {
        assert_eq!(expire("0.25"), Ok(Duration::from_millis(250)));
        for wrong in ["0", "-1", "NaN", "inf", "2592001", "ten", ""] {
            assert!(expire(wrong).is_err(), "{wrong}");
        }
        assert_eq!(timeout("0"), Ok(Duration::ZERO));
    }

    #[test]
    fn an_address_has_a_scheme_and_a_host() {
        assert!(url("https://locks.example/base/").is_ok());
        assert!(url("127.0.0.1:9001").is_err());
        assert!(url("redis://127.0.0.1").is_err());
    }
}
