//! The report in Markdown: the targets first, then the tables.

use super::cells::{Table, number, spread};
use super::loads::{distance, loads, open_loop, series};
use super::locks::{contention, hand_over, leases, waiter, waiters};
use super::tables::{arrivals, commands, reading, secured, starts};
use super::targets::{Limit, Target, judge};
use super::{Failure, Findings};
use crate::peers::Runner;

/// The whole report.
pub(super) fn render(findings: &Findings) -> String {
    let mut text = head(findings);
    text += &failures(&findings.failures);
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
        (findings.open_loop.is_empty(), open_loop(findings)),
        (findings.distance.is_empty(), distance(findings)),
        (findings.contention.is_empty(), contention(findings)),
        (findings.waiters.is_empty(), waiters(findings)),
        (findings.waiter.is_empty(), waiter(findings)),
        (findings.hand_over.is_empty(), hand_over(findings)),
        (findings.leases.is_empty(), leases(findings)),
        (findings.starts.is_empty(), starts(findings)),
        (findings.secured.is_empty(), secured(findings)),
        (findings.commands.is_empty(), commands(findings)),
        (findings.reading.is_none(), reading(findings)),
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

/// The cases that failed, and why: each on a line of its own.
fn failures(failures: &[Failure]) -> String {
    if failures.is_empty() {
        return String::new();
    }
    let title = "Cases that failed";
    let mut table = Table::new(title, "They have no figures, or not all.", &["case", "why"]);
    for Failure { case, why } in failures {
        let why = why.replace('|', "\\|");
        let lines: Vec<&str> = why.lines().map(str::trim).collect();
        table.row(&[case.to_string(), lines.join(" ")]);
    }
    table.0
}

fn targets(targets: &[Target]) -> String {
    let mut table = Table::new(
        "Targets",
        "Ratios are medians of the rounds, with the extremes in brackets. \
         For a worst case the brackets have the extremes of all cases. bench/README.md says which \
         targets were taken out, and why.",
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Case;

    #[test]
    fn a_failed_case_is_named_with_the_reason_on_one_line() {
        let failed = Failure {
            case: Case::Get1k,
            why: "webdis does not serve:\n  a | b\n".to_owned(),
        };
        let text = failures(&[failed]);
        assert!(text.contains("| get-1k | webdis does not serve: a \\| b |\n"));
        assert_eq!(failures(&[]), "");
    }
}
