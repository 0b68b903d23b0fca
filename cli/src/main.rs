//! `edgelatch`: the locks and cache entries of an edgelatch service, for scripts and people.
//!
//! Each subcommand is one request, except `lock`, which holds a lock while a command runs.

mod answer;
mod client;
mod entry;
mod exit;
mod lock;
mod proxy;
mod service;
mod status;
mod stdout;

use std::io::Write as _;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use clap_complete::Shell;

use crate::exit::{Code, Failure};

/// Locks and cache entries of an edgelatch service.
///
/// The service is at --url or EDGELATCH_URL. If it has an `api_token`, put the token into a file
/// and name the file with --token-file or EDGELATCH_TOKEN_FILE, or set EDGELATCH_TOKEN. A token is
/// never an argument, since all users of a machine can read those.
#[derive(Parser)]
#[command(name = "edgelatch", version, after_help = exit::HELP, verbatim_doc_comment)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    // Documented where its arguments are. A comment here would replace that text.
    Lock(lock::Lock),
    Get(entry::Get),
    Put(entry::Put),
    Patch(entry::Patch),
    Delete(entry::Delete),
    Status(status::Status),
    Break(status::Break),
    /// Print a completion script
    ///
    /// bash: `edgelatch completions bash > ~/.local/share/bash-completion/completions/edgelatch`.
    /// zsh: write it as `_edgelatch` into a folder of $fpath.
    /// fish: `edgelatch completions fish > ~/.config/fish/completions/edgelatch.fish`.
    #[command(verbatim_doc_comment)]
    Completions {
        /// The shell that reads it
        shell: Shell,
    },
}

impl Command {
    /// Whether it has a value that begins with a hyphen, and is no option.
    fn has_negative_number(&self) -> bool {
        match self {
            Self::Put(put) => put.has_negative_number(),
            Self::Patch(patch) => patch.has_negative_number(),
            _ => false,
        }
    }
}

fn main() -> ExitCode {
    if let Some(guardian) = lock::LockGuardian::of_arguments() {
        return guardian.run();
    }
    service::forget_empty_variables();
    let cli = match parse() {
        Ok(cli) => cli,
        Err(error) => return usage_error(error),
    };
    let outcome = match cli.command {
        Command::Lock(lock) => return lock.run(),
        Command::Get(get) => get.run(),
        Command::Put(put) => put.run(),
        Command::Patch(patch) => patch.run(),
        Command::Delete(delete) => delete.run(),
        Command::Status(status) => status.run(),
        Command::Break(force) => force.run(),
        Command::Completions { shell } => completions(shell),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Reads the command line. A value may be any negative number of JSON, and clap knows only some:
/// -1e-5 is an option for it.
fn parse() -> Result<Cli, clap::Error> {
    let error = match Cli::try_parse() {
        Err(error) if error.kind() == ErrorKind::UnknownArgument => error,
        parsed => return parsed,
    };
    let command = entry::with_any_value(Cli::command());
    let parsed = command
        .try_get_matches()
        .and_then(|matches| Cli::from_arg_matches(&matches));
    match parsed {
        Ok(cli) if cli.command.has_negative_number() => Ok(cli),
        _ => Err(error),
    }
}

/// Prints what is wrong with the command line. Returns the exit code.
fn usage_error(mut error: clap::Error) -> ExitCode {
    if error.exit_code() == 0 {
        // Help is no error. If nobody reads it, there is nobody to tell.
        drop(error.print());
        return ExitCode::SUCCESS;
    }
    match error.get(ContextKind::InvalidArg) {
        // The value may have a password, and clap would print it.
        Some(ContextValue::String(argument)) if argument.starts_with("--url") => {
            exit::say(
                "--url must be an address that begins with http:// or https://, without ? and #, and \
                 with @ only after a login, in which / is %2F",
            );
        }
        context => {
            if matches!(context, Some(ContextValue::String(argument)) if is_after_option(argument))
            {
                let tip =
                    "a value that begins with '-' is joined to its option with '=': --name=-x";
                error.insert(
                    ContextKind::Suggested,
                    ContextValue::StyledStrs(vec![tip.into()]),
                );
            }
            let text = service::without_logins(&error.render().to_string());
            let _ = std::io::stderr().write_all(text.as_bytes());
        }
    }
    Code::Usage.into()
}

/// Whether an argument that is no option stands where an option's value may have been meant.
fn is_after_option(argument: &str) -> bool {
    let given: Vec<String> = std::env::args().skip(1).collect();
    given
        .windows(2)
        .any(|pair| pair[0].starts_with('-') && pair[1].starts_with(argument))
}

fn completions(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "edgelatch", &mut script);
    exit::print(&script)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
