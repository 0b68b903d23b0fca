//! The tables of loads: at full speed, over connections and users, far from Redis, and at a fixed
//! rate.

use super::cells::{Table, number, number_or_dash, spread};
use super::{Findings, Measured};
use crate::load::{LoadResult, Series};
use crate::peers::Peer;
use crate::stats::{Spread, ratios};

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

pub(super) fn loads(loads: &[Measured]) -> String {
    let caption = format!(
        "Medians of the rounds, requests/s with the extremes. CPU is the server's, per request. \
         Redis µs is the processor time of Redis, per request. The last two columns are the \
         service's requests/s and p99, divided by this peer's.{}",
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

pub(super) fn series(title: &str, caption: &str, all: &[Series]) -> String {
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

pub(super) fn distance(findings: &Findings) -> String {
    let mut table = Table::new(
        "Redis behind 1 and 10 ms",
        "The components alone. The last column is the service's requests/s, divided by this \
         peer's.",
        &[
            &["round trip to Redis, ms", "case", "peer"],
            &FIGURES[..],
            &["service: requests/s ×"],
        ]
        .concat(),
    );
    for at in &findings.distance {
        for series in &at.series {
            let mut cells = vec![
                at.round_trip_ms.to_string(),
                case_of(series),
                series.peer.to_string(),
            ];
            cells.extend(figures(series));
            let same = |it: &&Series| it.load.request == series.load.request;
            let mut same = at.series.iter().filter(same);
            let service = same.find(|it| it.peer == Peer::Service);
            cells.push(match service {
                Some(service) if series.peer != Peer::Service => spread(ratios(
                    &service.each(|it| it.per_second),
                    &series.each(|it| it.per_second),
                )),
                _ => String::new(),
            });
            table.row(&cells);
        }
    }
    table.0
}

pub(super) fn open_loop(findings: &Findings) -> String {
    let mut table = Table::new(
        "Latency at a fixed rate",
        "Requests are sent at a fixed rate, whatever the answers do, over at most 256 connections. \
         Latency counts from when a request should have been sent, so a stall shows in all \
         requests that were due. The rate is a share of what the slowest of the compared peers \
         did in a closed loop.",
        &[
            "case",
            "share",
            "of",
            "rate, requests/s",
            "peer",
            "requests",
            "p50 ms",
            "p99 ms",
            "p99.9 ms",
            "longest ms",
            "failed",
        ],
    );
    for it in &findings.open_loop {
        let case = if it.request.reads() {
            "GET 1 KB"
        } else {
            "perform-action"
        };
        table.row(&[
            case.to_owned(),
            format!("{} %", it.share),
            it.slowest.to_string(),
            number(it.per_second),
            it.peer.to_string(),
            it.requests.to_string(),
            number_or_dash(it.p50_ms),
            number_or_dash(it.p99_ms),
            number_or_dash(it.p999_ms),
            number_or_dash(it.longest_ms),
            it.failed.to_string(),
        ]);
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
const FIGURES: [&str; 6] = [
    "requests/s",
    "p50 ms",
    "p99 ms",
    "CPU µs",
    "Redis µs",
    "failed",
];

fn figures(series: &Series) -> [String; 6] {
    let middle = |figure: fn(&LoadResult) -> f64| {
        let spread = Spread::of(&series.each(figure));
        spread.map_or_else(String::new, |it| number(it.median))
    };
    [
        spread(Spread::of(&series.each(|it| it.per_second))),
        middle(|it| it.p50_ms),
        middle(|it| it.p99_ms),
        middle(|it| it.cpu_us),
        middle(|it| it.redis_us),
        series.failed().to_string(),
    ]
}
