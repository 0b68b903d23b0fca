//! Whether nobody alive waits for somebody dead.

use std::time::Duration;

use super::{Index, Verdict};
use crate::torture::history::{At, Operation, Verb};

/// A 423 without anybody alive who had the lock.
pub(super) const LIVE: &str = "a 423 says that somebody alive had the lock, but for three seconds";

/// The longest that the dead may hold anybody up.
const LIMIT: Duration = Duration::from_secs(3);

/// How long the dead of one moment may hold anybody up.
const OF_ONE_MOMENT: Duration = Duration::from_millis(1500);

/// How long a service takes to find its connections again after a fault, and what a loaded machine
/// takes to do things that are not seen.
const RECOVERY: Duration = Duration::from_secs(1);

/// What a request may have done before it is seen to have the lock, or after.
pub(super) const UNSEEN: Duration = Duration::from_millis(200);

pub(super) fn check(index: &Index<'_>, user: u64, verdict: &mut Verdict) {
    let alive = alive(index, user);
    for wait in index.operations_of(user) {
        if wait.verb != Verb::Compute {
            check_wait(index, wait, &alive, verdict);
        }
    }
}

/// Checks a wait that was answered 423, given when somebody alive may have had what it was for.
pub(super) fn check_wait(
    index: &Index<'_>,
    wait: &Operation,
    alive: &[Interval],
    verdict: &mut Verdict,
) {
    let is_held = wait.answer.as_deref() == Some("423 lock-held");
    if is_held && wait.answered - wait.sent > LIMIT {
        verdict.waits += 1;
        let idle = idle(alive, &excuses(index, wait), wait);
        let longest = idle.iter().map(|(from, to)| *to - *from).max();
        let longest = longest.unwrap_or_default();
        let sum: Duration = idle.iter().map(|(from, to)| *to - *from).sum();
        verdict.longest_idle = verdict.longest_idle.max(longest);
        // Those who die at several moments hold others up at each.
        let moments = index.history.faults.iter();
        let moments = moments.filter(|fault| fault.touches(wait.sent, wait.answered));
        let allowed = LIMIT + OF_ONE_MOMENT * moments.count() as u32;
        if longest > LIMIT || sum > allowed {
            let mut gaps = String::from("nobody alive had the lock in");
            for (from, to) in idle.iter().filter(|(from, to)| *to - *from > UNSEEN) {
                gaps += &format!(" {:.3}-{:.3}", from.as_secs_f64(), to.as_secs_f64());
            }
            verdict.add(LIVE, &[wait, &gaps]);
        }
    }
}

pub(super) type Interval = (At, At);

/// When somebody alive may have had the lock, or somebody dead whose lock had not expired.
fn alive(index: &Index<'_>, user: u64) -> Vec<Interval> {
    let mut alive = Vec::new();
    for execution in index.executions_of(user) {
        let operation = index.operations.get(execution.id.as_str());
        let to = match operation {
            // It was given back before the answer.
            Some(action) if action.is_commit() => action.answered,
            Some(action) => execution.ended.max(action.answered) + action.expire,
            None => execution.ended + crate::torture::plan::LONGEST_EXPIRE,
        };
        alive.push((execution.began.saturating_sub(UNSEEN), to));
    }
    for operation in index.operations_of(user) {
        let Operation {
            answered, expire, ..
        } = *operation;
        let to = match (operation.verb, operation.answer.as_deref()) {
            (Verb::Release, Some("204")) => answered,
            (Verb::Acquire | Verb::Renew, Some("200" | "201")) => {
                released(index, operation).unwrap_or(answered + expire)
            }
            // Cut short. It may have the lock until that expires.
            (Verb::Perform | Verb::Attempt | Verb::Acquire, None) => answered + expire,
            (Verb::Perform | Verb::Attempt | Verb::Acquire, Some(answer))
                if answer.starts_with("503") =>
            {
                answered + expire
            }
            (Verb::Perform | Verb::Attempt, Some("502 origin-failed" | "409 lock-lost")) => {
                answered
            }
            _ => continue,
        };
        alive.push((answered.saturating_sub(UNSEEN), to));
    }
    // Judged on their own.
    let long = index.history.long_holds.iter();
    let long = long.filter(|hold| hold.user == user);
    alive.extend(long.map(|hold| (hold.from.saturating_sub(UNSEEN), hold.to)));
    alive.sort_unstable();
    alive
}

/// When the lease of this request was given back, if it was.
fn released(index: &Index<'_>, granted: &Operation) -> Option<At> {
    let released = index.released.get(granted.id.as_str())?;
    Some(released.answered)
}

/// When a fault may have kept the waiter, or everybody, from the lock.
fn excuses(index: &Index<'_>, wait: &Operation) -> Vec<Interval> {
    let faults = index.history.faults.iter();
    faults
        .filter(|fault| fault.keeps_from_redis(wait.service))
        .map(|fault| (fault.from, fault.to + RECOVERY))
        .collect()
}

/// The times within a wait in which nobody alive had the lock.
fn idle(alive: &[Interval], excuses: &[Interval], wait: &Operation) -> Vec<Interval> {
    let mut busy: Vec<Interval> = alive.iter().chain(excuses).copied().collect();
    busy.retain(|(from, to)| *from < wait.answered && *to > wait.sent);
    busy.sort_unstable();
    let mut idle = Vec::new();
    let mut free_since = wait.sent;
    for (from, to) in busy {
        if from > free_since {
            idle.push((free_since, from));
        }
        free_since = free_since.max(to);
    }
    if free_since < wait.answered {
        idle.push((free_since, wait.answered));
    }
    idle
}
