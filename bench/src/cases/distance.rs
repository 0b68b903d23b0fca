//! Loads of the components with a Redis that is a network away.

use serde::Serialize;

use crate::cases::throughput::{in_rounds, reads, uncontended, warm_up};
use crate::delay::at_distance;
use crate::load::Series;
use crate::peers::Peer;
use crate::plan::Bench;
use crate::server::{Server, StartOptions};

/// Round trips to Redis, in milliseconds.
const ROUND_TRIPS_MS: [u64; 2] = [1, 10];

/// The loads at one distance.
#[derive(Serialize)]
pub(crate) struct AtDistance {
    /// The round trip to Redis, in milliseconds.
    pub(crate) round_trip_ms: u64,
    pub(crate) series: Vec<Series>,
}

/// `perform-action` and reads of a kilobyte at each distance.
///
/// # Errors
/// If a server fails under it.
pub(crate) async fn distance(bench: &Bench) -> anyhow::Result<Vec<AtDistance>> {
    let mut all = Vec::new();
    for round_trip_ms in ROUND_TRIPS_MS {
        let series = loads(bench, round_trip_ms).await;
        bench.forget_servers().await;
        all.push(AtDistance {
            round_trip_ms,
            series: series?,
        });
    }
    Ok(all)
}

async fn loads(bench: &Bench, round_trip_ms: u64) -> anyhow::Result<Vec<Series>> {
    let (_proxy, redis_port) = at_distance(bench.redis.port(), round_trip_ms)?;
    let options = StartOptions {
        redis_port,
        ..bench.options()
    };
    let mut servers = Vec::new();
    for peer in Peer::COMPONENTS {
        let server = Server::start(&bench.programs, peer, options).await?;
        warm_up(bench).put_on(bench, &server, 0).await?;
        servers.push(server);
    }
    let servers: Vec<&Server> = servers.iter().collect();
    let mut all = Vec::new();
    for load in [uncontended(bench), reads(bench)] {
        all.extend(in_rounds(bench, &servers, load, bench.plan.series_rounds).await?);
    }
    Ok(all)
}
