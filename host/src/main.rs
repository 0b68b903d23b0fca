//! `edgelatch-host`: runs a Spin HTTP application without the `spin` command, for tests and first
//! tries. It is not for production.
//!
//! It embeds the crates that Spin 4.1 is made of. Components and clients see the behaviour of Spin.
//! Features of Spin that it lacks are refused by name at the start. Each module names the file of
//! Spin that it follows.
//!
//! The modules are layers, and imports only point down (`tests/layers.rs` checks it):
//!
//! - `up`: the command; puts everything together
//! - `cli`: its flags
//! - `server`: receives requests and routes them to components
//! - `runtime`: compiles components, and makes, reuses and drops their instances
//! - `imports`: the interfaces that a component imports: Redis, HTTP, variables, spans
//! - `config`: `spin.toml`, `runtime-config.toml`, variables, allowed hosts
//! - `telemetry`: exports spans
//! - `net`: the HTTP client, and the cap on connections
//! - `log`: lines that callers bring about

mod cli;
mod config;
mod imports;
mod log;
mod net;
mod runtime;
mod server;
mod telemetry;
mod up;

use std::process::ExitCode;

use clap::Parser as _;

use cli::{Cli, Command};

fn main() -> ExitCode {
    let Command::Up(arguments) = Cli::parse().command;
    match up::run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
