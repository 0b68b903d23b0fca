//! The tables of starts, commands, readings and arrivals.

use std::fmt::Write as _;

use super::Findings;
use super::cells::{Table, number, number_or_dash, spread};
use crate::stats::Spread;

pub(super) fn starts(findings: &Findings) -> String {
    let mut table = Table::new(
        "Starts and size",
        "In milliseconds. The last two columns are for requests with a fresh instance each.",
        &[
            "peer",
            "component, bytes",
            "process to first answer",
            "first request",
            "fresh instance, median",
            "fresh instance, p99",
        ],
    );
    for it in &findings.starts {
        let size = findings.sizes.iter().find(|size| size.peer == it.peer);
        let fresh = findings.fresh.iter().find(|fresh| fresh.peer == it.peer);
        table.row(&[
            it.peer.to_string(),
            size.map_or_else(String::new, |size| size.bytes.to_string()),
            spread(Spread::of(&it.to_first_answer_ms)),
            spread(Spread::of(&it.first_request_ms)),
            fresh.map_or_else(String::new, |fresh| spread(Spread::of(&fresh.p50_ms))),
            fresh.map_or_else(String::new, |fresh| spread(Spread::of(&fresh.p99_ms))),
        ]);
    }
    table.0
}

pub(super) fn secured(findings: &Findings) -> String {
    let mut table = Table::new(
        "Fresh instances whose Redis wants TLS and a password",
        "In milliseconds. Each request gets a fresh instance, and so a handshake and a login.",
        &["peer", "median", "p99"],
    );
    for it in &findings.secured {
        table.row(&[
            it.peer.to_string(),
            spread(Spread::of(&it.p50_ms)),
            spread(Spread::of(&it.p99_ms)),
        ]);
    }
    table.0
}

pub(super) fn commands(findings: &Findings) -> String {
    let mut table = Table::new(
        "Redis, per request",
        "Without contention, scripts loaded. Commands that a script calls are not counted.",
        &[
            "peer",
            "request",
            "commands per request",
            "commands in total",
        ],
    );
    for it in &findings.commands {
        let list: Vec<String> = it
            .commands
            .iter()
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        table.row(&[
            it.peer.to_string(),
            it.request.to_owned(),
            number(it.per_request()),
            format!("{} in {} requests", joined(&list), it.requests),
        ]);
    }
    for it in &findings.redis_connections {
        let _ = write!(
            table.0,
            "\nConnections of {}: {} per instance that answers one request; \
             {} per 128 requests under load.\n",
            it.peer,
            number(it.per_fresh_instance),
            number(it.per_128_requests)
        );
    }
    table.0
}

fn joined(list: &[String]) -> String {
    if list.is_empty() {
        "none".to_owned()
    } else {
        list.join(", ")
    }
}

pub(super) fn reading(findings: &Findings) -> String {
    let mut table = Table::new(
        "Users read from an origin",
        "The service alone, with an origin that takes 20 ms, which are taken off the time of cold \
         users.",
        &[
            "hits/s",
            "hit p50 ms",
            "hit p99 ms",
            "commands per hit",
            "commands per miss",
            "readers of a cold user",
            "last answer, median ms",
            "longest ms",
            "fetches per user",
            "commands per reader",
        ],
    );
    if let Some(it) = &findings.reading {
        table.row(&[
            number(it.hits_per_second),
            number_or_dash(it.hit_p50_ms),
            number_or_dash(it.hit_p99_ms),
            number(it.commands_per_hit),
            number(it.commands_per_miss),
            it.readers.to_string(),
            number_or_dash(it.cold_p50_ms),
            number_or_dash(it.cold_longest_ms),
            number(it.fetches_per_user),
            number(it.commands_per_reader),
        ]);
    }
    table.0
}

pub(super) fn arrivals(findings: &Findings) -> String {
    let mut table = Table::new(
        "Answers in two pieces",
        "perform-action over 32 connections, with a client that records each part's arrival.",
        &[
            "peer",
            "answers",
            "failed",
            "body apart from head",
            "20 ms and more behind",
            "behind, median ms",
            "behind, p99 ms",
            "p50 ms",
            "p99 ms",
        ],
    );
    for it in &findings.arrivals {
        table.row(&[
            it.peer.to_string(),
            it.answers.to_string(),
            it.failed.to_string(),
            format!("{:.2} %", it.split * 100.0),
            format!("{:.2} %", it.late * 100.0),
            number(it.trail_p50_ms),
            number(it.trail_p99_ms),
            number(it.p50_ms),
            number(it.p99_ms),
        ]);
    }
    table.0
}
