//! `cargo xtask`: builds, serves and tests edgelatch. It needs Rust and a C compiler, and runs on
//! Linux and macOS.
//!
//! Each command installs or starts what it needs, prints what it does, and fails with a sentence
//! that says what to do.

mod bench;
mod build;
mod cache_judge;
mod clients;
mod deploy;
mod dist;
mod install;
mod interface;
mod judge;
mod manifest;
mod python;
mod redis;
mod service;
mod signals;
mod step;
mod template;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::build::Spans;

/// Builds, serves and tests edgelatch.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build and serve it, with its own Redis
    Up(up::Up),
    /// Run all tests: unit tests, API tests against real Redis servers, then two external tools
    Test {
        /// Passed to `cargo test`. With any, the external tools are left out
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Check the model of the lock protocol. Print the number of states, and how each mutation
    /// breaks a promise
    Model,
    /// Run http-cache-tests against the read-through
    CacheTests,
    /// Check a client with the tools of its language, against the service
    #[command(subcommand)]
    Clients(clients::Client),
    /// Check the API with schemathesis for longer than `test` does
    Fuzz(judge::Judge),
    /// Torture it: many clients, two services, one Redis and every fault. Then check the recorded
    /// history
    Torture {
        /// Passed on: --seed N, --actions N (200000), --faults N (500), --minutes N
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Load it for minutes, and check that its memory does not grow
    Soak {
        /// Passed on: --minutes N (10)
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Benchmark it against the least component, a native server and FastAPI. Write the report to
    /// bench/results
    Bench {
        /// Passed on: --quick, --case NAME, --runner spin, --label NAME. `--help` lists all
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Build the components, the examples and the host that runs them
    Build,
    /// Build everything that is deployed into target/dist, byte for byte reproducible
    Dist(dist::Dist),
    /// Write openapi.json from the code
    Openapi,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Up(up) => up.run(),
        Command::Test { arguments } => test(&arguments),
        Command::CacheTests => cache_judge::run(),
        Command::Clients(client) => client.run(),
        Command::Fuzz(judge) => judge.run(),
        Command::Bench { arguments } => bench::run(&arguments),
        Command::Build => build_all(),
        Command::Dist(dist) => dist.run(),
        Command::Openapi => build::openapi(),
        Command::Model => model(),
        Command::Torture { arguments } => run_tool(
            "edgelatch-torture",
            &arguments,
            "a promise was broken: see the output above",
        ),
        Command::Soak { arguments } => run_tool(
            "edgelatch-soak",
            &arguments,
            "requests failed or memory grew: see the output above",
        ),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn build_all() -> anyhow::Result<()> {
    build::host_beside(|| {
        build::components(Spans::Without)?;
        build::on_the_library()
    })
}

fn test(arguments: &[String]) -> anyhow::Result<()> {
    let redis = install::REDIS.find_or_install()?;
    let chromedriver = install::CHROMEDRIVER.find_or_install()?;
    let python = python::JUDGES.interpreter()?;
    build::host_beside(|| {
        build::components(Spans::Without)?;
        build::on_the_library()?;
        template::build_all()?;
        interface::check()?;
        interface::check_spans(&build::component_with_spans()?)
    })?;
    // The tests of the documents run it as they are shown.
    build::program("edgelatch")?;
    step::say("running all tests");
    let mut cargo = build::cargo();
    cargo
        .args(["test", "--workspace"])
        .args(arguments)
        .env("EDGELATCH_REDIS_BIN", redis)
        .env("EDGELATCH_CHROMEDRIVER_BIN", chromedriver)
        .env("EDGELATCH_PYTHON", python);
    step::run(&mut cargo, "the tests failed: see the output above")?;
    if arguments.is_empty() {
        deploy::check()?;
        judge::Judge::of_tests().run()?;
        clients::check()?;
        cache_judge::run()
    } else {
        step::say("only some tests were requested: the external tools are skipped");
        Ok(())
    }
}

fn model() -> anyhow::Result<()> {
    let mut cargo = build::cargo();
    cargo.args(["run", "--quiet", "--package", "edgelatch-model"]);
    step::run(
        &mut cargo,
        "the model breaks a promise: see the output above",
    )
}

/// Builds and runs a program of the tests' crate.
fn run_tool(name: &str, arguments: &[String], failed: &str) -> anyhow::Result<()> {
    let redis = install::REDIS.find_or_install()?;
    build::host_beside(|| build::components(Spans::Without))?;
    let program = build::program(name)?;
    step::say(format_args!(
        "running {name}: by default this takes ten minutes or more"
    ));
    let mut program = std::process::Command::new(program);
    program
        .args(arguments)
        .env("EDGELATCH_HOST_BIN", build::host_binary())
        .env("EDGELATCH_REDIS_BIN", redis);
    step::run(&mut program, failed)
}
