//! The benchmark: the service, the least possible component, a native server and FastAPI, on one
//! machine, in turns.
//!
//! `cargo xtask bench` builds what it needs and runs it. README.md beside it explains each figure.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the report is what it is for"
)]

mod cases;
mod client;
mod fill;
mod load;
mod machine;
mod peers;
mod plan;
mod process;
mod report;
mod stalls;
mod stats;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{bail, ensure};
use clap::{Parser as _, ValueEnum as _};
use edgelatch_tests::RedisServer;
use tokio::signal::unix::{SignalKind, signal};

use crate::cases::{commands, contention, segments, starts, throughput, waiters};
use crate::machine::Machine;
use crate::peers::{Peer, Programs, Server};
use crate::plan::{Arguments, Bench, Case, Plan};
use crate::report::{Findings, Measured};

/// Peers that wait for a lock.
const WAITING: [Peer; 2] = [Peer::Service, Peer::Fastapi];

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
    let mut findings = Findings::new(arguments.label.clone(), arguments.runner, machine, plan);
    // Servers that take turns under load are started once, and stopped before the other cases.
    let mut servers = Vec::new();
    for case in Case::value_variants() {
        if arguments.selects(*case) {
            let name = case.to_possible_value();
            let name = name.map_or_else(String::new, |name| name.get_name().to_owned());
            eprintln!("bench: {:4.0} s  {name}", began.elapsed().as_secs_f64());
            measure(&bench, *case, &mut servers, &mut findings).await?;
        }
    }
    println!("{}", findings.markdown());
    findings.write(&bench.programs.root.join("bench/results"))?;
    eprintln!(
        "bench: {:4.0} s  done; the report is in bench/results/{}.md",
        began.elapsed().as_secs_f64(),
        findings.label
    );
    let failed = failed(&findings);
    ensure!(
        failed == 0,
        "{failed} requests failed: the figures of those loads are invalid"
    );
    Ok(())
}

/// Measures one case and adds the result.
async fn measure(
    bench: &Bench,
    case: Case,
    servers: &mut Vec<Server>,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let load = throughput::load_of(case, bench);
    if load.is_none() && case != Case::Connections {
        servers.clear();
    } else if servers.is_empty() {
        *servers = warm(bench, &Peer::ALL).await?;
    }
    if let Some(load) = load {
        let series = throughput::in_rounds(bench, servers, load, bench.plan.rounds).await?;
        findings.loads.push(Measured { case, series });
        return Ok(());
    }
    match case {
        Case::Scripts => {
            let servers = warm(bench, &Peer::SCRIPTS).await?;
            let load = throughput::uncontended(bench);
            let series = throughput::in_rounds(bench, &servers, load, bench.plan.rounds).await?;
            findings.loads.push(Measured { case, series });
        }
        Case::Connections => {
            findings.connections = throughput::along_connections(bench, servers).await?;
        }
        Case::Users => findings.users = throughput::along_users(bench).await?,
        Case::Contention => {
            findings.contention = contention::contention(bench, &WAITING).await?;
        }
        Case::Waiters => {
            for peer in WAITING {
                findings
                    .waiters
                    .extend(waiters::waiters(bench, peer).await?);
            }
        }
        Case::Starts => {
            findings.sizes = starts::sizes(bench)?;
            findings.starts = starts::servers(bench).await?;
            findings.fresh = starts::instances(bench).await?;
        }
        Case::Commands => {
            for peer in Peer::ALL {
                let server = bench.start(peer, &[]).await?;
                findings
                    .commands
                    .extend(commands::commands(bench, &server).await?);
            }
            for peer in Peer::COMPONENTS {
                let opened = commands::connections(bench, peer).await?;
                findings.redis_connections.push(opened);
            }
        }
        Case::Segments => {
            for server in bench.start_all(&Peer::ALL).await? {
                findings
                    .arrivals
                    .push(segments::arrivals(bench, &server).await?);
            }
        }
        _ => {}
    }
    Ok(())
}

/// Starts these peers and warms them up: they import modules, load scripts and open connections.
async fn warm(bench: &Bench, peers: &[Peer]) -> anyhow::Result<Vec<Server>> {
    let servers = bench.start_all(peers).await?;
    for server in &servers {
        throughput::warm_up(bench).put_on(bench, server, 0).await?;
    }
    Ok(servers)
}

/// Failed requests of loads in which none may fail.
fn failed(findings: &Findings) -> u64 {
    let loads = findings.loads.iter().flat_map(|load| &load.series);
    let series = loads.chain(&findings.connections).chain(&findings.users);
    series.map(report_failures).sum()
}

fn report_failures(series: &load::Series) -> u64 {
    if series.failed() > 0 {
        eprintln!(
            "bench: {}: {} of {:?} failed",
            series.peer,
            series.failed(),
            series.load
        );
    }
    series.failed()
}
