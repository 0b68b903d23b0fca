//! The targets, and whether they were met.

use serde::Serialize;

use super::Findings;
use crate::cases::waiters::WaitingCost;
use crate::load::{Request, Series};
use crate::peers::{Peer, Runner};
use crate::plan::Case;
use crate::stats::{Spread, ratios};

/// The limit for the component, in bytes.
const LARGEST: f64 = 450_000.0;

/// The limit for Redis with a thousand waiters, in cores.
const REDIS_CORES: f64 = 0.20;

/// The number of waiters that this limit is for.
const WAITERS: usize = 1000;

/// The limit for the cost with a million users, relative to a thousand: equal, within noise.
const NOISE: f64 = 1.10;

/// On which side of its limit a figure has to be.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Limit {
    AtLeast(f64),
    AtMost(f64),
}

/// A target.
#[derive(Debug, Serialize)]
pub(crate) struct Target {
    /// What is measured.
    pub(crate) what: &'static str,
    pub(crate) limit: Limit,
    /// The figure, with the spread of the rounds.
    pub(crate) found: Option<Spread>,
    /// Whether the median meets the limit. `None` if it was not measured.
    pub(crate) met: Option<bool>,
}

impl Target {
    fn new(what: &'static str, limit: Limit, found: Option<Spread>) -> Self {
        let met = found.map(|found| match limit {
            Limit::AtLeast(least) => found.median >= least,
            Limit::AtMost(most) => found.median <= most,
        });
        Self {
            what,
            limit,
            found,
            met,
        }
    }
}

/// Compares the results with every target.
pub(crate) fn judge(findings: &Findings) -> Vec<Target> {
    use Limit::{AtLeast, AtMost};
    let action = findings.load(Case::PerformAction);
    let ratio = |peer, figure| action.and_then(|load| load.ratio(peer, figure));
    let rate = |case, peer| {
        let load = findings.load(case);
        load.and_then(|load| load.ratio(peer, |it| it.per_second))
    };
    let contended = || {
        let all = findings.contention.iter();
        all.filter(|contended| contended.peer == Peer::Service)
    };
    let bytes = findings.sizes.iter().find(|it| it.peer == Peer::Service);
    let crowd = crowd(findings);
    // Spin adds its own cost to each request, and webdis has none of it.
    let webdis = (findings.runner == Runner::Host).then(|| {
        Target::new(
            "GET 100 KB: requests/s, relative to webdis",
            AtLeast(0.8),
            rate(Case::Get100k, Peer::Webdis),
        )
    });
    let mut all = vec![
        Target::new(
            "perform-action: requests/s, relative to the least, with the service's scripts",
            AtLeast(0.97),
            rate(Case::Scripts, Peer::Scripted),
        ),
        Target::new(
            "perform-action: processor time of Redis, relative to the least component",
            AtMost(2.6),
            ratio(Peer::Least, |it| it.redis_us),
        ),
        Target::new(
            "perform-action: p99, relative to the least component",
            AtMost(1.10),
            ratio(Peer::Least, |it| it.p99_ms),
        ),
        Target::new(
            "perform-action: requests/s, relative to FastAPI",
            AtLeast(3.0),
            ratio(Peer::Fastapi, |it| it.per_second),
        ),
        Target::new(
            "perform-action: CPU per request, relative to FastAPI",
            AtMost(0.4),
            ratio(Peer::Fastapi, |it| it.cpu_us),
        ),
        Target::new(
            "GET 100 KB: requests/s, relative to the least component",
            AtLeast(0.72),
            rate(Case::Get100k, Peer::Least),
        ),
        Target::new(
            "GET 100 KB: requests/s, relative to FastAPI",
            AtLeast(2.0),
            rate(Case::Get100k, Peer::Fastapi),
        ),
        Target::new(
            "PUT 100 KB: requests/s, relative to the least component",
            AtLeast(0.65),
            rate(Case::Put100k, Peer::Least),
        ),
        Target::new(
            "GET 1 KB: requests/s, relative to the least component",
            AtLeast(0.78),
            rate(Case::Get1k, Peer::Least),
        ),
        Target::new(
            "hand-off under contention, median, worst case, ms",
            AtMost(3.0),
            worst(contended().filter_map(|it| it.handoff_p50_ms)),
        ),
        Target::new(
            "hand-off under contention, p99, worst case, ms",
            AtMost(15.0),
            worst(contended().filter_map(|it| it.handoff_p99_ms)),
        ),
        Target::new(
            "longest wait over median wait, worst case",
            AtMost(2.0),
            worst(contended().filter_map(|it| it.unfairness)),
        ),
        Target::new(
            "Redis commands per second for each waiter",
            AtMost(5.0),
            worst(crowd.iter().map(|it| it.commands_per_second)),
        ),
        Target::new(
            "one waiter: connections to Redis, at 0, 10 and 80 ms, worst case",
            AtMost(1.0),
            worst(findings.waiter.iter().map(|it| it.connections as f64)),
        ),
        Target::new(
            "one waiter: Redis commands per second, at 0, 10 and 80 ms, worst case",
            AtMost(5.0),
            worst(findings.waiter.iter().map(|it| it.commands_per_second)),
        ),
        Target::new(
            "1 000 waiters: cores of Redis",
            AtMost(REDIS_CORES),
            // With fewer waiters, the figure is scaled up.
            worst(
                crowd
                    .iter()
                    .map(|it| it.redis_cores * WAITERS as f64 / it.waiters as f64),
            ),
        ),
        Target::new(
            "size of the component, bytes",
            AtMost(LARGEST),
            worst(bytes.map(|it| it.bytes as f64).into_iter()),
        ),
        Target::new(
            "a fresh instance's first request, relative to the least component",
            AtMost(1.5),
            fresh(findings),
        ),
        Target::new(
            "CPU per request with 1 000 000 users, relative to 1 000",
            AtMost(NOISE),
            along_users(findings),
        ),
    ];
    all.extend(webdis);
    all
}

/// The worst of several figures, as the median of a spread: if it meets a limit, all do.
fn worst(figures: impl Iterator<Item = f64>) -> Option<Spread> {
    let all: Vec<f64> = figures.collect();
    let spread = Spread::of(&all)?;
    Some(Spread {
        median: spread.high,
        ..spread
    })
}

/// The largest crowd that the service has served.
fn crowd(findings: &Findings) -> Option<&WaitingCost> {
    let bore = |it: &&WaitingCost| {
        it.peer == Peer::Service && it.answers.keys().all(|status| *status == 423)
    };
    let all = findings.waiters.iter().filter(bore);
    all.max_by_key(|it| it.waiters)
}

fn fresh(findings: &Findings) -> Option<Spread> {
    let of = |peer| findings.fresh.iter().find(|it| it.peer == peer);
    ratios(&of(Peer::Service)?.p50_ms, &of(Peer::Least)?.p50_ms)
}

/// The worse of reads and actions.
fn along_users(findings: &Findings) -> Option<Spread> {
    let of = |request: Request| {
        let all = findings.users.iter();
        let all: Vec<&Series> = all.filter(|it| it.load.request == request).collect();
        let few = all.iter().min_by_key(|it| it.load.users)?;
        let many = all.iter().max_by_key(|it| it.load.users)?;
        ratios(&many.each(|it| it.cpu_us), &few.each(|it| it.cpu_us))
    };
    let both = [of(Request::Get), of(Request::PerformAction)];
    let both = both.into_iter().flatten();
    both.max_by(|a, b| a.median.total_cmp(&b.median))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_met_by_the_median() {
        let found = Spread::of(&[0.90, 0.96, 0.97]);
        let target = Target::new("", Limit::AtLeast(0.95), found);
        assert_eq!(target.met, Some(true));
        let target = Target::new("", Limit::AtMost(0.95), found);
        assert_eq!(target.met, Some(false));
    }

    #[test]
    fn unmeasured_targets_are_not_judged() {
        let target = Target::new("", Limit::AtMost(1.0), None);
        assert_eq!(target.met, None);
    }

    #[test]
    fn the_worst_case_counts() {
        let found = worst([1.0, 5.0, 2.0].into_iter());
        assert_eq!(found.map(|it| (it.low, it.median)), Some((1.0, 5.0)));
        assert_eq!(worst(std::iter::empty()), None);
    }
}
