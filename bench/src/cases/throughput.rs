//! Requests per second, latency and cost under load, with all peers in turn.

use std::time::Duration;

use crate::fill::fill;
use crate::load::{Load, Request, Series};
use crate::peers::Peer;
use crate::plan::{Bench, Case, in_turn};
use crate::server::Server;

/// Users of loads that write only a lock.
const USERS: u64 = 100_000;

/// Users of loads with cached values. A thousand large values are 100 MB in Redis.
const CACHED_USERS: u64 = 10_000;
const LARGE_CACHED_USERS: u64 = 1000;

/// Sizes of cached values, in bytes.
const SMALL: usize = 1024;
const LARGE: usize = 100 * 1024;

/// The connections of the series over connections.
const CONNECTIONS: [u32; 5] = [1, 4, 16, 64, 256];

/// The users of the series over users.
const CACHED: [u64; 4] = [1000, 10_000, 100_000, 1_000_000];

/// The size of those users' values, in bytes. A million of them have to fit into memory.
const TINY: usize = 64;

/// The most rounds of that series, which is the longest case.
const MOST_ROUNDS_OVER_USERS: usize = 3;

/// The pause after a load. Aborted requests continue on the server for a while.
const SETTLING: Duration = Duration::from_millis(100);

/// The peers of a load: webdis too, where values are read or written and nothing else.
pub(crate) fn peers_of(case: Case) -> &'static [Peer] {
    const WITH_WEBDIS: [Peer; 5] = [
        Peer::Service,
        Peer::Least,
        Peer::Native,
        Peer::Fastapi,
        Peer::Webdis,
    ];
    match case {
        Case::Get1k | Case::Put1k | Case::Get100k | Case::Put100k => &WITH_WEBDIS,
        _ => &Peer::ALL,
    }
}

/// The load of a case. `None` for cases that are not one load.
pub(crate) fn load_of(case: Case, bench: &Bench) -> Option<Load> {
    let (request, users, bytes) = match case {
        Case::PerformAction => return Some(uncontended(bench)),
        Case::AttemptAction => (Request::AttemptAction, USERS, SMALL),
        Case::Get1k => (Request::Get, CACHED_USERS, SMALL),
        Case::Put1k => (Request::Put, CACHED_USERS, SMALL),
        Case::Get100k => (Request::Get, LARGE_CACHED_USERS, LARGE),
        Case::Put100k => (Request::Put, LARGE_CACHED_USERS, LARGE),
        Case::Mixed => (Request::Mixed, CACHED_USERS, SMALL),
        _ => return None,
    };
    Some(Load {
        request,
        connections: bench.plan.connections,
        users,
        bytes,
        seconds: bench.plan.seconds,
    })
}

/// `perform-action` of many users.
pub(crate) fn uncontended(bench: &Bench) -> Load {
    Load {
        request: Request::PerformAction,
        connections: bench.plan.connections,
        users: USERS,
        bytes: SMALL,
        seconds: bench.plan.seconds,
    }
}

/// Reads of a kilobyte.
pub(crate) fn reads(bench: &Bench) -> Load {
    Load {
        request: Request::Get,
        users: CACHED_USERS,
        ..uncontended(bench)
    }
}

/// One second of the first load.
pub(crate) fn warm_up(bench: &Bench) -> Load {
    Load {
        seconds: 1,
        ..uncontended(bench)
    }
}

/// One second of a load that this server understands.
fn warm_up_of(bench: &Bench, server: &Server) -> Load {
    match server.peer() {
        Peer::Webdis => Load {
            seconds: 1,
            request: Request::Put,
            ..reads(bench)
        },
        _ => warm_up(bench),
    }
}

/// Starts these peers, unless they run already, and warms them up: they import modules, load
/// scripts and open connections.
///
/// # Errors
/// If one does not serve.
pub(crate) async fn warm(
    bench: &Bench,
    peers: &[Peer],
    servers: &mut Vec<Server>,
) -> anyhow::Result<()> {
    for peer in peers {
        if servers.iter().all(|server| server.peer() != *peer) {
            let server = bench.start(*peer, &[]).await?;
            let load = warm_up_of(bench, &server);
            load.put_on(bench, &server, 0).await?;
            servers.push(server);
        }
    }
    Ok(())
}

/// One load on all servers, in rounds.
///
/// # Errors
/// If a server fails under it.
pub(crate) async fn in_rounds(
    bench: &Bench,
    servers: &[&Server],
    load: Load,
    rounds: usize,
) -> anyhow::Result<Vec<Series>> {
    let mut series: Vec<Series> = servers
        .iter()
        .map(|server| Series {
            peer: server.peer(),
            load,
            rounds: Vec::new(),
        })
        .collect();
    for round in 0..rounds {
        for server in in_turn(servers, round) {
            tokio::time::sleep(SETTLING).await;
            prepare(bench, server, &load).await?;
            let loaded = load.put_on(bench, server, round).await?;
            let own = series.iter_mut().find(|it| it.peer == server.peer());
            own.into_iter().for_each(|own| own.rounds.push(loaded));
        }
    }
    bench.forget_keys().await;
    Ok(series)
}

/// Empties Redis, or fills it with the values that a load reads.
///
/// # Errors
/// If the server rejects a value.
pub(crate) async fn prepare(bench: &Bench, server: &Server, load: &Load) -> anyhow::Result<()> {
    if load.request.reads() {
        return fill(bench, server, load.users, load.bytes).await;
    }
    bench.forget_keys().await;
    Ok(())
}

/// `perform-action` with more and more connections.
///
/// # Errors
/// As [`in_rounds`].
pub(crate) async fn along_connections(
    bench: &Bench,
    servers: &[&Server],
) -> anyhow::Result<Vec<Series>> {
    let mut all = Vec::new();
    for connections in bench.steps(&CONNECTIONS) {
        let load = Load {
            connections: *connections,
            ..uncontended(bench)
        };
        all.extend(in_rounds(bench, servers, load, bench.plan.series_rounds).await?);
    }
    Ok(all)
}

/// Reads and actions with more and more cached users, on the service alone. Each number of users
/// has its own server and Redis, and they take turns, so that all of them include what else the
/// machine does.
///
/// # Errors
/// As [`in_rounds`].
pub(crate) async fn along_users(bench: &Bench) -> anyhow::Result<Vec<Series>> {
    let mut filled = Vec::new();
    for users in bench.steps(&CACHED) {
        let own = bench.with_own_redis().await;
        let server = own.start(Peer::Service, &[]).await?;
        fill(&own, &server, *users, TINY).await?;
        let warm_up = Load {
            users: *users,
            ..warm_up(bench)
        };
        warm_up.put_on(&own, &server, 0).await?;
        filled.push((*users, own, server));
    }
    let mut all = Vec::new();
    for request in [Request::Get, Request::PerformAction] {
        let mut series: Vec<Series> = filled
            .iter()
            .map(|(users, ..)| Series {
                peer: Peer::Service,
                load: Load {
                    request,
                    users: *users,
                    bytes: TINY,
                    ..uncontended(bench)
                },
                rounds: Vec::new(),
            })
            .collect();
        for round in 0..bench.plan.rounds.min(MOST_ROUNDS_OVER_USERS) {
            for (users, own, server) in in_turn(&filled, round) {
                if let Some(series) = series.iter_mut().find(|it| it.load.users == *users) {
                    let loaded = series.load.put_on(own, server, round).await?;
                    series.rounds.push(loaded);
                }
            }
        }
        all.extend(series);
    }
    Ok(all)
}
