//! Fencing tokens, and when each became known.

use std::fmt::Display;

use super::Index;
use crate::torture::history::{At, Execution, Operation, Verb};

/// A fencing token, and the request that acquired it.
#[derive(Clone, Copy)]
pub(super) struct Acquisition<'a> {
    pub(super) sent: At,
    known: At,
    pub(super) fencing_token: i64,
    pub(super) line: &'a dyn Display,
}

/// All acquisitions of a user's lock: by actions, as the origin has seen them, and by leases.
pub(super) fn acquisitions<'a>(index: &Index<'a>, user: u64) -> Vec<Acquisition<'a>> {
    let of_execution = |execution: &'a Execution| {
        let operation = index.operations.get(execution.id.as_str());
        Acquisition {
            sent: operation.map_or(execution.began, |operation| operation.sent),
            known: execution.began,
            fencing_token: execution.fencing_token,
            line: execution,
        }
    };
    let of_lease = |operation: &'a Operation| {
        let new = operation.verb == Verb::Acquire && operation.answer.as_deref() == Some("201");
        let fencing_token = operation.fencing_token.filter(|_| new)?;
        Some(Acquisition {
            sent: operation.sent,
            known: operation.answered,
            fencing_token,
            line: operation,
        })
    };
    let executions = index.executions_of(user).map(of_execution);
    executions
        .chain(index.operations_of(user).filter_map(of_lease))
        .collect()
}

/// The greatest known fencing token at any time.
pub(super) struct Known<'a>(Vec<Acquisition<'a>>);

impl<'a> Known<'a> {
    pub(super) fn new(mut acquired: Vec<Acquisition<'a>>) -> Self {
        acquired.sort_by_key(|acquired| acquired.known);
        let mut greatest = i64::MIN;
        acquired.retain(|acquired| {
            let greater = acquired.fencing_token > greatest;
            greatest = greatest.max(acquired.fencing_token);
            greater
        });
        Self(acquired)
    }

    /// The greatest token that was known before this time.
    pub(super) fn greatest_before(&self, at: At) -> Option<Acquisition<'a>> {
        let known = self.0.partition_point(|acquired| acquired.known < at);
        self.0[..known].last().copied()
    }
}
