//! The report in Markdown: the targets first, then the tables.

use super::cells::{Table, number, spread};
use super::tables::{arrivals, commands, contention, starts, waiters};
use super::targets::{Limit, Target, judge};
use super::{Findings, Measured};
use crate::load::{LoadResult, Series};
use crate::peers::{Peer, Runner};
use crate::stats::Spread;

/// The whole report.
pub(super) fn render(findings: &Findings) -> String {
    let mut text = head(findings);
    text += &targets(&judge(findings));
    let parts = [
        (findings.loads.is_empty(), loads(&findings.loads)),
        (
            findings.connections.is_empty(),
            series(
                "Series over connections",
                "perform-action.",
                &findings.connections,
            ),
        ),
        (
            findings.users.is_empty(),
            series(
                "Series over cached users",
                "The service alone, with a cached value of 64 bytes per user. Each number of users \
                 has its own server and Redis, and they take turns.",
                &findings.users,
            ),
        ),
        (findings.contention.is_empty(), contention(findings)),
        (findings.waiters.is_empty(), waiters(findings)),
        (findings.starts.is_empty(), starts(findings)),
        (findings.commands.is_empty(), commands(findings)),
        (findings.arrivals.is_empty(), arrivals(findings)),
    ];
    for (empty, part) in parts {
        if !empty {
            text += &part;
        }
    }
    text
}

fn head(findings: &Findings) -> String {
    let machine = &findings.machine;
    let runner = match findings.runner {
        Runner::Host => "this project's host",
        Runner::Spin => "Spin",
    };
    let quick = if findings.plan.quick {
        " This was the quick plan: its figures are unreliable."
    } else {
        ""
    };
    format!(
        "# Benchmark: {}\n\nMeasured {} on {} processors ({}), Linux {}, Redis {}; \
         load average before: {:.2}. Components ran on {runner}. \
         Load generator, Redis and server shared the machine.{quick} \
         [bench/README.md](../README.md) explains each figure.\n",
        findings.label,
        machine.when,
        machine.processors,
        machine.model,
        machine.kernel,
        machine.redis,
        machine.load_before,
    )
}

fn targets(targets: &[Target]) -> String {
    let mut table = Table::new(
        "Targets",
        "Ratios are medians of the rounds, with the extremes in brackets. \
         For a worst case the brackets have the extremes of all cases.",
        &["target", "limit", "found", "met"],
    );
    for target in targets {
        let limit = match target.limit {
            Limit::AtLeast(least) => format!("≥ {}", number(least)),
            Limit::AtMost(most) => format!("≤ {}", number(most)),
        };
        let met = match target.met {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "not measured",
        };
        table.row(&[target.what, &limit, &spread(target.found), met]);
    }
    table.0
}

/// What else the machine did: the first thing to look at if a figure surprises.
fn others(loads: &[Measured]) -> String {
    let all = loads.iter().flat_map(|load| &load.series);
    let all: Vec<f64> = all.flat_map(|it| it.each(|it| it.other_cores)).collect();
    Spread::of(&all).map_or_else(String::new, |it| {
        let low = number(it.low);
        format!(
            " Other processes used {} cores (median, from {low} to {}).",
            number(it.median),
            number(it.high)
        )
    })
}

fn loads(loads: &[Measured]) -> String {
    let caption = format!(
        "Medians of the rounds, requests/s with the extremes. CPU is the server's, per request. \
         The last two columns are the service's requests/s and p99, divided by this peer's.{}",
        others(loads)
    );
    let mut table = Table::new(
        "Loads",
        &caption,
        &[
            &["case", "peer"],
            &FIGURES[..],
            &["service: requests/s ×", "service: p99 ×"],
        ]
        .concat(),
    );
    for load in loads {
        for series in &load.series {
            let mut cells = vec![case_of(series), series.peer.to_string()];
            cells.extend(figures(series));
            let [rate, p99]: [fn(&LoadResult) -> f64; 2] = [|it| it.per_second, |it| it.p99_ms];
            for figure in [rate, p99] {
                cells.push(match series.peer {
                    Peer::Service => String::new(),
                    peer => spread(load.ratio(peer, figure)),
                });
            }
            table.row(&cells);
        }
    }
    table.0
}

fn series(title: &str, caption: &str, all: &[Series]) -> String {
    let mut table = Table::new(
        title,
        caption,
        &[&["case", "connections", "users", "peer"], &FIGURES[..]].concat(),
    );
    for series in all {
        let mut cells = vec![
            case_of(series),
            series.load.connections.to_string(),
            series.load.users.to_string(),
            series.peer.to_string(),
        ];
        cells.extend(figures(series));
        table.row(&cells);
    }
    table.0
}

/// The request, and the size of the values.
fn case_of(series: &Series) -> String {
    use crate::load::Request;
    let bytes = series.load.bytes;
    let size = if bytes >= 1024 {
        format!("{} KB", bytes / 1024)
    } else {
        format!("{bytes} B")
    };
    match series.load.request {
        Request::PerformAction => "perform-action".to_owned(),
        Request::AttemptAction => "attempt-action".to_owned(),
        Request::Get => format!("GET {size}"),
        Request::Put => format!("PUT {size}"),
        Request::Mixed => format!("90 % GET, 10 % PUT, {size}"),
    }
}

/// The columns of a series' figures.
const FIGURES: [&str; 5] = ["requests/s", "p50 ms", "p99 ms", "CPU µs", "failed"];

fn figures(series: &Series) -> [String; 5] {
    let middle = |figure: fn(&LoadResult) -> f64| {
        let spread = Spread::of(&series.each(figure));
        spread.map_or_else(String::new, |it| number(it.median))
    };
    [
        spread(Spread::of(&series.each(|it| it.per_second))),
        middle(|it| it.p50_ms),
        middle(|it| it.p99_ms),
        middle(|it| it.cpu_us),
        series.failed().to_string(),
    ]
}
