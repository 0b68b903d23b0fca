//! The command line of `edgelatch lock`.

use std::ffi::OsString;
use std::time::Duration;

use clap::Args;

use crate::service::{Service, expire, owner, wait};
use crate::status::LockName;

/// Run a command while holding a user's lock
///
/// Like `flock`, but over HTTP and from any machine. Without --wait or --nonblock it waits for the
/// lock as long as it takes. The lock is renewed at a third of --expire while the command runs.
///
/// The command's environment has EDGELATCH_FENCING_TOKEN, EDGELATCH_USER_ID, EDGELATCH_URL and,
/// with --name, EDGELATCH_LOCK_NAME. It has no EDGELATCH_TOKEN. Signals that a process sends are
/// passed on to the command and to all processes that it started. Those of the terminal reach it by
/// themselves. If the lock is lost, or this program is killed or stopped for longer than --expire,
/// they get SIGTERM, and SIGKILL after --kill-after.
#[derive(Args)]
#[command(after_help = EXIT_CODES, verbatim_doc_comment)]
pub(crate) struct Lock {
    #[command(flatten)]
    pub(super) service: Service,
    #[command(flatten)]
    pub(super) lock: LockName,
    /// Fail at once if somebody else holds the lock
    #[arg(short, long, visible_alias = "nb", conflicts_with = "wait")]
    pub(super) nonblock: bool,
    /// Wait for the lock no longer than this, in seconds
    #[arg(
        short,
        long,
        visible_alias = "timeout",
        value_name = "SECONDS",
        value_parser = wait
    )]
    pub(super) wait: Option<Duration>,
    /// The exit code if somebody else holds the lock
    #[arg(short = 'E', long, value_name = "CODE", default_value = "1")]
    pub(super) conflict_exit_code: u8,
    /// The lock's time to live between renewals, in seconds: 0.001 to 2592000
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = expire)]
    pub(super) expire: Duration,
    /// Who holds the lock and why: others can read it. 1 to 128 visible ASCII characters and spaces
    #[arg(long, value_name = "TEXT", env = "EDGELATCH_OWNER", value_parser = owner)]
    pub(super) owner: Option<String>,
    /// How long the command may take to end after the lock is lost, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = wait)]
    pub(super) kill_after: Duration,
    /// The command and its arguments
    #[arg(trailing_var_arg = true, required = true, value_name = "COMMAND")]
    pub(super) command: Vec<OsString>,
}

/// What follows the options in `--help`.
const EXIT_CODES: &str = "\
Exit codes: the command's own. If a signal ended it, this program dies of the same one, which a
shell tells as 128 plus its number.
   1   somebody else holds the lock (--conflict-exit-code)
  64   wrong usage, or the service refuses the request
  66   a file cannot be read
  69   no service, or a service that fails
  74   the lock was lost while the command ran
  77   no token, or a wrong one
 126   the command cannot be run
 127   there is no such command
Only with its own code, 128 plus a signal, and 74 has the command been started. A service that fails
is tried again until --wait is over; without --wait for 30 s from its first failure, with --nonblock
not at all.";

impl Lock {
    /// How long it waits for the lock. `None`: as long as it takes.
    pub(super) fn patience(&self) -> Option<Duration> {
        if self.nonblock {
            Some(Duration::ZERO)
        } else {
            self.wait
        }
    }
}
