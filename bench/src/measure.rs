//! Measures one case after the other. One that fails does not stop the others, and leaves nothing
//! that they would meet.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;

use crate::cases::throughput::{self, warm};
use crate::cases::{
    commands, contention, distance, hand_over, leases, open_loop, reading, secured, segments,
    starts, waiter, waiters,
};
use crate::peers::Peer;
use crate::plan::{Bench, Case};
use crate::report::{Failure, Findings, Measured};
use crate::server::Server;

/// Peers that wait for a lock.
const WAITING: [Peer; 2] = [Peer::Service, Peer::Fastapi];

/// The measurement so far.
pub(crate) struct Measuring<'a> {
    bench: &'a Bench,
    findings: Findings,
    /// Servers that take turns under load. They are started once, and stopped before other cases.
    servers: Vec<Server>,
}

impl<'a> Measuring<'a> {
    /// Nothing yet.
    pub(crate) fn new(bench: &'a Bench, findings: Findings) -> Self {
        Self {
            bench,
            findings,
            servers: Vec::new(),
        }
    }

    /// What was found.
    pub(crate) fn findings(self) -> Findings {
        self.findings
    }

    /// Measures one case, and records what was found, or why it failed.
    pub(crate) async fn measure(&mut self, case: Case) {
        // The tools of the tests, which the cases use, fail by panicking.
        let outcome = AssertUnwindSafe(self.case(case)).catch_unwind().await;
        let why = match outcome {
            Ok(Ok(())) => return,
            Ok(Err(error)) => format!("{error:#}"),
            Err(panic) => text_of(panic.as_ref()),
        };
        eprintln!("bench: {case} failed: {why}");
        self.findings.failures.push(Failure { case, why });
        // One of them may be what failed.
        self.servers.clear();
    }

    async fn case(&mut self, case: Case) -> anyhow::Result<()> {
        let bench = self.bench;
        let load = throughput::load_of(case, bench);
        if load.is_some() || matches!(case, Case::Connections | Case::OpenLoop) {
            bench.forget_keys().await;
        } else {
            self.servers.clear();
            bench.forget_servers().await;
        }
        if let Some(load) = load {
            let peers = throughput::peers_of(case);
            warm(bench, peers, &mut self.servers).await?;
            let servers = self.running(peers);
            let series = throughput::in_rounds(bench, &servers, load, bench.plan.rounds).await?;
            self.findings.loads.push(Measured { case, series });
            return Ok(());
        }
        self.other(case).await
    }

    /// A case that is not one load.
    async fn other(&mut self, case: Case) -> anyhow::Result<()> {
        let bench = self.bench;
        match case {
            Case::Scripts => {
                let mut servers = Vec::new();
                warm(bench, &Peer::SCRIPTS, &mut servers).await?;
                let servers: Vec<&Server> = servers.iter().collect();
                let load = throughput::uncontended(bench);
                let rounds = bench.plan.rounds;
                let series = throughput::in_rounds(bench, &servers, load, rounds).await?;
                self.findings.loads.push(Measured { case, series });
            }
            Case::Connections => {
                warm(bench, &Peer::ALL, &mut self.servers).await?;
                let servers = self.running(&Peer::ALL);
                let series = throughput::along_connections(bench, &servers).await?;
                self.findings.connections = series;
            }
            Case::Users => self.findings.users = throughput::along_users(bench).await?,
            Case::Contention => {
                let contended = &mut self.findings.contention;
                contention::contention(bench, &WAITING, contended).await?;
            }
            Case::Waiters => {
                for peer in WAITING {
                    let waited = waiters::waiters(bench, peer).await?;
                    self.findings.waiters.extend(waited);
                }
            }
            Case::Starts => {
                self.findings.sizes = starts::sizes(bench)?;
                self.findings.starts = starts::servers(bench).await?;
                bench.forget_servers().await;
                self.findings.fresh = starts::instances(bench, bench.options()).await?;
            }
            Case::Secured => self.findings.secured = secured::secured(bench).await?,
            Case::Commands => {
                for peer in Peer::ALL {
                    let server = bench.start(peer, &[]).await?;
                    let counted = commands::commands(bench, &server).await?;
                    self.findings.commands.extend(counted);
                }
                for peer in Peer::COMPONENTS {
                    let opened = commands::connections(bench, peer).await?;
                    self.findings.redis_connections.push(opened);
                }
            }
            Case::Reading => self.findings.reading = Some(reading::reading(bench).await?),
            Case::Segments => {
                for server in bench.start_all(&Peer::ALL).await? {
                    let arrived = segments::arrivals(bench, &server).await?;
                    self.findings.arrivals.push(arrived);
                }
            }
            Case::Waiter => self.findings.waiter = waiter::waiter(bench).await?,
            Case::HandOver => {
                self.findings.hand_over = hand_over::hand_over(bench, &WAITING).await?;
            }
            Case::Distance => self.findings.distance = distance::distance(bench).await?,
            Case::OpenLoop => {
                let measured = open_loop::open_loop(bench, &mut self.servers).await?;
                self.findings.open_loop = measured;
            }
            Case::Leases => self.findings.leases = leases::leases(bench).await?,
            Case::PerformAction
            | Case::AttemptAction
            | Case::Get1k
            | Case::Put1k
            | Case::Get100k
            | Case::Put100k
            | Case::Mixed => {}
        }
        Ok(())
    }

    /// Those of these peers that run.
    fn running(&self, peers: &[Peer]) -> Vec<&Server> {
        let servers = self.servers.iter();
        servers.filter(|it| peers.contains(&it.peer())).collect()
    }
}

/// What a panic says.
fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("it panicked").to_owned()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::panic, reason = "a panic is what is tested")]

    use super::*;

    #[tokio::test]
    async fn a_panic_tells_what_it_said() {
        let text = async |panicking: fn()| {
            let caught = AssertUnwindSafe(async move { panicking() }).catch_unwind();
            caught.await.map_err(|panic| text_of(panic.as_ref()))
        };
        let said = |text: &str| Err(text.to_owned());
        assert_eq!(text(|| panic!("fixed")).await, said("fixed"));
        assert_eq!(text(|| panic!("number {}", 1 + 1)).await, said("number 2"));
        assert_eq!(text(|| std::panic::panic_any(7)).await, said("it panicked"));
    }
}
