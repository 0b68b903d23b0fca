//! Runs the torture, prints its report, and fails if a promise was broken. `cargo xtask torture`
//! runs it.

#![expect(clippy::print_stdout, reason = "the report is what it is for")]

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use edgelatch_tests::torture::{self, Options};

/// Tortures the service
#[derive(Parser)]
struct Arguments {
    /// Seed for the faults and for what clients do
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many answered actions end the run
    #[arg(long, default_value_t = 200_000)]
    actions: u64,
    /// How many faults to inject
    #[arg(long, default_value_t = 500)]
    faults: usize,
    /// End the run after this many minutes at the latest
    #[arg(long)]
    minutes: Option<f64>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let report = torture::run(Options {
        seed: arguments.seed,
        actions: arguments.actions,
        faults: arguments.faults,
        limit: arguments
            .minutes
            .map(|minutes| Duration::from_secs_f64(minutes * 60.0)),
    })
    .await;
    println!("{report}");
    if report.is_good() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
