//! Whether only holders renew and release leases.

use super::acquisitions::{Known, acquisitions};
use super::{Index, Verdict};
use crate::torture::history::{Operation, Verb};
use crate::torture::plan::FaultKind;

/// A lost lease that was renewed or released.
pub(super) const HELD: &str = "a lost lease is neither renewed nor released";
/// A renewal that acquired the lock anew.
pub(super) const SAME_TOKEN: &str = "a renewal keeps the fencing token";

pub(super) fn check(index: &Index<'_>, user: u64, verdict: &mut Verdict) {
    let known = Known::new(acquisitions(index, user));
    for operation in index.operations_of(user) {
        let answer = operation.answer.as_deref();
        let (renewed, released) = match operation.verb {
            Verb::Renew => (answer == Some("200"), false),
            Verb::Release => (false, answer == Some("204")),
            _ => continue,
        };
        let Some(grant) = grant(index, operation).filter(|_| renewed || released) else {
            continue;
        };
        if renewed && operation.fencing_token != grant.fencing_token {
            verdict.add(SAME_TOKEN, &[grant, operation]);
        }
        let before = known.greatest_before(operation.sent);
        let greater = before.filter(|it| Some(it.fencing_token) > grant.fencing_token);
        if let Some(greater) = greater {
            verdict.add(HELD, &[grant, &greater.line, operation]);
        }
    }
}

/// The only request that can have acquired this lease. A replica that takes over may not know of
/// the acquisition yet: then the waiter gets the lock again, under another fencing token.
fn grant<'a>(index: &Index<'a>, operation: &Operation) -> Option<&'a Operation> {
    let grant = index.operations.get(operation.lease.as_deref()?)?;
    let late = index
        .faults(FaultKind::LateCommand)
        .any(|late| late.from <= operation.answered && grant.sent <= late.to);
    let forgotten = index
        .faults(FaultKind::PromoteReplica)
        .any(|fault| fault.touches(grant.sent, operation.answered));
    (!late && !forgotten).then_some(*grant)
}
