//! How long a contended lock is idle between two actions, near Redis and far from it.

use std::time::Duration;

use serde::Serialize;

use crate::cases::contention::{ContentionResult, Contest};
use crate::cases::waiter::ROUND_TRIPS_MS;
use crate::delay::at_distance;
use crate::peers::Peer;
use crate::plan::Bench;

/// Competing clients: there is always somebody who waits.
const CLIENTS: usize = 4;

/// The length of an action, in milliseconds. The origin sees its start and its end.
const ACTION_MS: u64 = 10;

/// Enough for some ten turns at the greatest distance.
const SHORTEST: Duration = Duration::from_secs(2);

/// One peer at one distance.
#[derive(Serialize)]
pub(crate) struct HandOver {
    /// The round trip to Redis, in milliseconds.
    pub(crate) round_trip_ms: u64,
    pub(crate) contention: ContentionResult,
}

/// Each of these peers at each distance.
///
/// # Errors
/// If a server can't be started.
pub(crate) async fn hand_over(bench: &Bench, peers: &[Peer]) -> anyhow::Result<Vec<HandOver>> {
    let mut all = Vec::new();
    for round_trip_ms in ROUND_TRIPS_MS {
        for peer in bench.contending(peers) {
            let (_proxy, redis_port) = at_distance(bench.redis.port(), round_trip_ms)?;
            let contest = Contest {
                peer: *peer,
                clients: CLIENTS,
                action_ms: ACTION_MS,
                redis_port,
                length: SHORTEST + Duration::from_secs(bench.plan.contention_seconds.into()) / 2,
            };
            all.push(HandOver {
                round_trip_ms,
                contention: contest.run(bench).await?,
            });
        }
    }
    Ok(all)
}
