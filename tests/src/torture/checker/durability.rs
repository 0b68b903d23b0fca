//! What `last-action` shows, compared with the answers.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::{Index, Verdict, tokens};
use crate::torture::history::{At, Operation, Verb};

/// A commit that was answered 200 and is lost.
pub(super) const DURABILITY: &str = "an action answered 200 is not lost while Redis keeps its data";
/// A last action that the origin has not seen.
pub(super) const ORIGIN: &str = "last-action only shows actions that the origin has seen";
/// A last action that was answered 409.
pub(super) const TRUTH: &str = "last-action shows no action answered 409";

pub(super) fn check(index: &Index<'_>, user: u64, verdict: &mut Verdict) {
    let readings = readings(index, user);
    let lost = lost(index, user, &readings, true);
    for (known, reading) in &lost {
        verdict.add(DURABILITY, &[known, reading]);
    }
    let all = self::lost(index, user, &readings, false);
    let distinct = |lost: &[(&Operation, &Operation)]| {
        let commits: HashSet<&str> = lost.iter().map(|(known, _)| known.id.as_str()).collect();
        commits.len()
    };
    verdict.lost_commits += distinct(&lost);
    verdict.lost_with_data += distinct(&all) - distinct(&lost);

    let seen = tokens(
        index
            .executions_of(user)
            .filter(|execution| !execution.refused),
    );
    let refused = lost_locks(index, user);
    for reading in readings {
        let Some(number) = reading.fencing_token else {
            continue;
        };
        if !seen.contains(&number) {
            verdict.add(ORIGIN, &[reading]);
        }
        let answered = refused.get(&number);
        if let Some(operation) = answered.filter(|operation| operation.answered < reading.sent) {
            verdict.add(TRUTH, &[operation, reading]);
        }
    }
}

/// What reads of `last-action` found, including nothing.
fn readings<'a>(index: &Index<'a>, user: u64) -> Vec<&'a Operation> {
    let shown = |operation: &&Operation| {
        let answer = operation.answer.as_deref();
        operation.verb == Verb::Read && matches!(answer, Some("200" | "404 not-found"))
    };
    index.operations_of(user).filter(shown).collect()
}

/// Actions that were answered 409, by fencing token.
fn lost_locks<'a>(index: &Index<'a>, user: u64) -> HashMap<i64, &'a Operation> {
    let is_lost = |operation: &&Operation| operation.answer.as_deref() == Some("409 lock-lost");
    let lost = index.operations_of(user).filter(is_lost);
    let token = |operation: &'a Operation| {
        let execution = index.executions.get(operation.id.as_str())?;
        Some((execution.fencing_token, operation))
    };
    lost.filter_map(token).collect()
}

/// Reads that are older than what was known before they were sent: a commit, or another read. With
/// `excused`, a loss of data resets what was known.
fn lost<'a>(
    index: &Index<'a>,
    user: u64,
    readings: &[&'a Operation],
    excused: bool,
) -> Vec<(&'a Operation, &'a Operation)> {
    let losses: Vec<(At, At)> = if excused {
        let losses = index
            .history
            .faults
            .iter()
            .filter(|fault| fault.loses_data());
        losses.map(|loss| (loss.from, loss.to)).collect()
    } else {
        Vec::new()
    };
    let commits = index
        .operations_of(user)
        .filter(|operation| operation.is_commit());
    let mut known: Vec<&Operation> = commits.chain(readings.iter().copied()).collect();
    known.retain(|operation| operation.fencing_token.is_some());
    known.sort_by_key(|operation| operation.answered);
    let mut readings = readings.to_vec();
    readings.sort_by_key(|reading| reading.sent);

    let mut known = known.into_iter().peekable();
    let mut newest: Option<&Operation> = None;
    let mut lost = Vec::new();
    for reading in readings {
        // Find the last loss of data that began before this was answered. What was sent before its
        // end does not count.
        let losses = losses.iter().filter(|(from, _)| *from <= reading.answered);
        let since = losses.map(|(_, to)| *to).max().unwrap_or(Duration::ZERO);
        newest = newest.filter(|newest| newest.sent >= since);
        while let Some(earlier) = known.next_if(|earlier| earlier.answered < reading.sent) {
            let newer = newest.is_none_or(|newest| newest.fencing_token < earlier.fencing_token);
            if earlier.sent >= since && newer {
                newest = Some(earlier);
            }
        }
        if let Some(newest) = newest.filter(|newest| reading.fencing_token < newest.fencing_token) {
            lost.push((newest, reading));
        }
    }
    lost
}
