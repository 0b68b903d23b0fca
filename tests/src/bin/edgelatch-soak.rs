//! Loads the service for some minutes and prints how much memory it used. Fails if memory grew or a
//! request failed. `cargo xtask soak` runs it.

#![expect(clippy::print_stdout, reason = "the report is what it is for")]

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use edgelatch_tests::soak::soak;

/// Loads the service and watches its memory
#[derive(Parser)]
struct Arguments {
    /// How many minutes to load it
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let report = soak(Duration::from_secs_f64(arguments.minutes * 60.0)).await;
    println!("{report}");
    let failed = report.statuses.keys().any(|status| *status >= 500);
    if failed || report.growth() > 1.05 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
