//! Whether a waiter keeps one connection.

use std::collections::HashMap;
use std::time::Duration;

use super::{Index, Verdict};
use crate::torture::history::Listening;

/// A waiter that took another connection.
pub(super) const ONE: &str = "a waiter keeps one connection to Redis";

/// What the record is late.
const SLACK: Duration = Duration::from_millis(200);

pub(super) fn check(index: &Index<'_>, verdict: &mut Verdict) {
    // When each connection was first used to listen.
    let mut first_used: HashMap<(usize, u64), &Listening> = HashMap::new();
    let mut waiters: HashMap<&str, &Listening> = HashMap::new();
    for listening in &index.history.listening {
        let connection = (listening.service, listening.connection);
        first_used.entry(connection).or_insert(listening);
        let Some(before) = waiters.insert(&listening.list, listening) else {
            continue;
        };
        if before.connection == listening.connection {
            continue;
        }
        let first = first_used[&(before.service, before.connection)];
        let mut faults = index.history.faults.iter();
        // It may have been broken before, unnoticed.
        let broken = faults.any(|fault| {
            fault.breaks_connections(listening.service)
                && fault.touches(first.at.saturating_sub(SLACK), listening.at + SLACK)
        });
        if !broken {
            verdict.add(ONE, &[before, listening]);
        }
    }
    verdict.listeners = waiters.len();
}
