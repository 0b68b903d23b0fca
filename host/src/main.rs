//! `edgelatch-host`: runs a Spin HTTP application where the `spin` command is absent, in tests for one.
//!
//! It is an embedding of the crates that Spin 4.1 is made of, and behaves like it towards the component and its
//! clients; what it cannot do, it refuses by name at the start. The modules say which file of Spin each follows.

mod allowed_hosts;
mod bindings;
mod cli;
mod engine;
mod files;
mod guest;
mod instances;
mod logs;
mod manifest;
mod outbound;
mod outbound_http;
mod ranges;
mod redis;
mod request;
mod routes;
mod runtime_config;
mod server;
mod telemetry;
mod up;
mod variables;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::{Cli, Command};

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
