//! The benchmark: the service and its peers, on one machine, in turns.
//!
//! `cargo xtask bench` builds what it needs and runs it. README.md beside it explains each figure.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the report is what it is for"
)]

mod cases;
mod client;
mod delay;
mod fill;
mod load;
mod machine;
mod measure;
mod open_loop;
mod peers;
mod plan;
mod process;
mod programs;
mod report;
mod secured;
mod server;
mod stalls;
mod stats;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::bail;
use clap::{Parser as _, ValueEnum as _};
use edgelatch_tests::RedisServer;
use tokio::signal::unix::{SignalKind, signal};

use crate::machine::Machine;
use crate::measure::Measuring;
use crate::plan::{Arguments, Bench, Case, Plan};
use crate::programs::Programs;
use crate::report::Findings;

#[tokio::main]
async fn main() -> ExitCode {
    // On a signal the future is dropped, which stops every process that it started.
    let outcome = tokio::select! {
        outcome = run(Arguments::parse()) => outcome,
        stopped = stop_signal() => stopped.and_then(|()| bail!("stopped")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Returns on Ctrl-C or SIGTERM.
async fn stop_signal() -> anyhow::Result<()> {
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = interrupted.recv() => {}
        _ = terminated.recv() => {}
    }
    Ok(())
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let plan = if arguments.quick {
        Plan::QUICK
    } else {
        Plan::FULL
    };
    let programs = Programs::from_environment()?;
    let redis = RedisServer::start().await;
    let machine = Machine::here(&redis).await;
    let bench = Bench {
        redis,
        programs,
        plan,
    };
    let began = Instant::now();
    let findings = Findings::new(arguments.label.clone(), arguments.runner, machine, plan);
    let mut measuring = Measuring::new(&bench, findings);
    for case in Case::value_variants() {
        if arguments.selects(*case) {
            eprintln!("bench: {:4.0} s  {case}", began.elapsed().as_secs_f64());
            measuring.measure(*case).await;
        }
    }
    let findings = measuring.findings();
    println!("{}", findings.markdown());
    findings.write(&bench.programs.root.join("bench/results"))?;
    eprintln!(
        "bench: {:4.0} s  done; the report is in bench/results/{}.md",
        began.elapsed().as_secs_f64(),
        findings.label
    );
    findings.complain()
}
