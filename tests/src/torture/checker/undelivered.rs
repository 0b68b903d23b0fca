//! Whether a lease that nobody received is free again in time.

use std::time::Duration;

use super::{Index, Verdict};
use crate::torture::history::{LongHold, Verb};
use crate::torture::plan::FaultKind;

/// A lease that stayed though nobody received it.
pub(super) const FREED: &str = "a lease that nobody received is free again in time";

/// How long it may stay, with what a loaded machine takes.
const LIMIT: Duration = Duration::from_millis(2500 + 500);

/// How long a service takes to find its connections again after a fault.
const RECOVERY: Duration = Duration::from_secs(1);

/// A client that hangs up within this time of the grant may have been sent the answer before, which
/// is lost on the way.
const ON_THE_WAY: Duration = Duration::from_millis(250);

pub(super) fn check(index: &Index<'_>, verdict: &mut Verdict) {
    for hold in &index.history.long_holds {
        if index.history.received.contains(&hold.token) {
            continue;
        }
        verdict.undelivered += 1;
        if hold.to - hold.from > LIMIT + kept_from_redis(index, hold) && !is_excused(index, hold) {
            verdict.add(FREED, &[hold]);
        }
    }
}

/// For how long the services could not give it back.
fn kept_from_redis(index: &Index<'_>, hold: &LongHold) -> Duration {
    let faults = index.history.faults.iter();
    faults
        .filter(|fault| fault.keeps_from_redis(0) || fault.keeps_from_redis(1))
        .filter(|fault| fault.touches(hold.from, hold.to))
        .map(|fault| fault.to - fault.from + RECOVERY)
        .sum()
}

fn is_excused(index: &Index<'_>, hold: &LongHold) -> bool {
    let since = hold.from.saturating_sub(ON_THE_WAY);
    // Nobody is left to give it back, or Redis does not know that it was given back.
    let killed = [FaultKind::KillService, FaultKind::PromoteReplica];
    let faults = index.history.faults.iter();
    let mut faults = faults.filter(|fault| killed.contains(&fault.kind));
    let on_the_way = |at| since <= at && at <= hold.from + ON_THE_WAY;
    faults.any(|fault| fault.touches(since, hold.to))
        || index
            .operations_of(hold.user)
            .any(|operation| operation.verb == Verb::Abandon && on_the_way(operation.answered))
}
