//! The tables of locks: contention, waiting, and leases.

use super::Findings;
use super::cells::{Table, number, number_or_dash, spread, statuses};
use crate::cases::leases::{Leases, Store};
use crate::stats::{Spread, ratios};

pub(super) fn contention(findings: &Findings) -> String {
    let mut table = Table::new(
        "Contention for one lock",
        "",
        &[
            "action ms",
            "clients",
            "peer",
            "completions/s",
            "hand-off median ms",
            "p99 ms",
            "wait median ms",
            "longest ms",
            "longest/median",
            "longest stall ms",
            "commands per completion",
            "failed",
            "overlaps",
        ],
    );
    for it in &findings.contention {
        table.row(&[
            it.action_ms.to_string(),
            it.clients.to_string(),
            it.peer.to_string(),
            number(it.per_second),
            number_or_dash(it.handoff_p50_ms),
            number_or_dash(it.handoff_p99_ms),
            number_or_dash(it.wait_p50_ms),
            number_or_dash(it.wait_longest_ms),
            number_or_dash(it.unfairness),
            number_or_dash(it.stall_longest_ms),
            number_or_dash(it.commands_per_completion),
            statuses(&it.failures),
            it.overlaps.to_string(),
        ]);
    }
    table.0
}

pub(super) fn waiters(findings: &Findings) -> String {
    let mut table = Table::new(
        "Waiting for a lock that stays held",
        "",
        &[
            "peer",
            "waiters",
            "answers",
            "commands/s per waiter",
            "cores of Redis",
            "cores of the server",
            "server's memory, MiB",
        ],
    );
    for it in &findings.waiters {
        table.row(&[
            it.peer.to_string(),
            it.waiters.to_string(),
            statuses(&it.answers),
            number(it.commands_per_second),
            number(it.redis_cores),
            number(it.server_cores),
            (it.resident >> 20).to_string(),
        ]);
    }
    table.0
}

pub(super) fn waiter(findings: &Findings) -> String {
    let mut table = Table::new(
        "One waiter",
        "The service alone. The lock stays held. A connection is one that was opened to Redis \
         during the wait.",
        &[
            "round trip to Redis, ms",
            "seconds",
            "connections",
            "commands/s",
        ],
    );
    for it in &findings.waiter {
        table.row(&[
            it.round_trip_ms.to_string(),
            number(it.seconds),
            it.connections.to_string(),
            number(it.commands_per_second),
        ]);
    }
    table.0
}

pub(super) fn hand_over(findings: &Findings) -> String {
    let mut table = Table::new(
        "Hand-over, near Redis and far from it",
        "From the end of one action to the start of the next, in milliseconds, as the origin saw \
         them. Four clients, actions of 10 ms.",
        &[
            "round trip to Redis, ms",
            "peer",
            "actions",
            "median ms",
            "p99 ms",
            "commands per action",
            "failed",
            "overlaps",
        ],
    );
    for it in &findings.hand_over {
        let found = &it.contention;
        table.row(&[
            it.round_trip_ms.to_string(),
            found.peer.to_string(),
            found.completions.to_string(),
            number_or_dash(found.handoff_p50_ms),
            number_or_dash(found.handoff_p99_ms),
            number_or_dash(found.commands_per_completion),
            statuses(&found.failures),
            found.overlaps.to_string(),
        ]);
    }
    table.0
}

pub(super) fn leases(findings: &Findings) -> String {
    let mut table = Table::new(
        "Leases",
        "Taken and given back, by 16 clients: two requests here, three with etcd. etcd is durable: \
         it writes to a disk (fsync) before it answers. Redis here is not, except where the table \
         says so. The last column is the first row's leases/s, divided by this row's.",
        &[
            "store",
            "leases/s",
            "p50 ms",
            "p99 ms",
            "in memory: leases/s ×",
        ],
    );
    let of = |store| findings.leases.iter().find(|it| it.store == store);
    for it in &findings.leases {
        let ratio = match of(Store::Memory) {
            Some(memory) if it.store != Store::Memory => {
                spread(ratios(&memory.per_second, &it.per_second))
            }
            _ => String::new(),
        };
        table.row(&[
            store(it).to_owned(),
            spread(Spread::of(&it.per_second)),
            spread(Spread::of(&it.p50_ms)),
            spread(Spread::of(&it.p99_ms)),
            ratio,
        ]);
    }
    table.0
}

fn store(leases: &Leases) -> &'static str {
    match leases.store {
        Store::Memory => "edgelatch, Redis in memory",
        Store::Disk => "edgelatch, Redis with an append-only file and fsync always",
        Store::Etcd => "etcd",
    }
}
