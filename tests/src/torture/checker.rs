//! Checks a history. The checker is pure: the same history gives the same verdict.
//!
//! What it checks, and why the design promises exactly this:
//!
//! - **Exclusion.** Two actions that were both answered 200 never overlap, whatever the faults. The
//!   same holds for such an action and a lease that is known to have been held. A commit is carried
//!   out only if its token holds the lock under the fencing token of its acquisition. So its holder
//!   has held the lock without interruption from before the origin was asked until after the origin
//!   answered. A renewal that keeps its fencing token proves the same of a lease. After a foreign
//!   DEL or a loss of data the *work* of two holders can overlap, as with any lock in one Redis:
//!   then at most one of them commits, and the origin can tell the other by its fencing token. Such
//!   overlaps are counted and are no violation.
//! - **Order.** Those actions and leases, by time, are in the order of their fencing tokens. A
//!   request that is sent after a fencing token was seen gets a greater one, even if Redis has lost
//!   its data in between (the tokens follow its clock). No token is given twice.
//! - **Leases.** Nobody renews or releases a lease after another holder's fencing token was seen. A
//!   renewal keeps the fencing token. We leave out leases that were requested more than once, by
//!   the client or by a command that a cut connection delivers late: a client's token may acquire
//!   the lock again, under a new fencing token. So it may where a replica took over in between.
//! - **Durability.** `last-action` never goes back, and is never older than an action that was
//!   answered 200 before it was read. That would be a lost commit. Only a loss of data between the
//!   two excuses it. It only shows actions that the origin has seen, and none that was answered 409
//!   before.
//! - **Answers.** Every request is answered in time, with a status that the contract has for it.
//!   The limit is its `timeout`, the action's work, `redis_timeout` for each call to Redis, and
//!   some slack for a busy machine. Only a service that is being killed may leave a request
//!   unanswered. An action that was answered 423 or `failed` never ran. 502 was the origin's own
//!   refusal.
//! - **Liveness.** A 423 after a long wait says that somebody alive had the lock for all of that
//!   time, but for three seconds. Somebody dead counts until the lock expires that he had. A fault
//!   that keeps the waiter's service from Redis, or everybody, is an excuse. One that keeps another
//!   service from Redis is none.
//! - **Leases that nobody received** are free again within 2.5 s. Only an answer that was on its way
//!   when the client hung up is an excuse, and a service that was killed. An observer of Redis sees
//!   them, by their long time to live.
//! - **Connections.** A waiter listens over one connection to Redis, until a fault breaks that.
//! - **Registers.** Cache entries are linearizable, with their conditions, and so are the records of
//!   idempotency keys: the first success writes one, and every other success shows it.
//! - **Computing.** One client at a time has the task to compute an entry: after another one was
//!   given the task, nothing is stored with the token of the one before, nor after its time is up.
//!   A 423 after a long wait says that somebody alive had the task.
//! - **In the end** no lock is held and every key has an expiry.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Display;
use std::time::Duration;

use super::history::{At, Execution, History, InjectedFault, Operation, Verb};
use super::plan::FaultKind;
use acquisitions::{Known, acquisitions};

mod acquisitions;
mod answers;
mod computing;
mod connections;
mod durability;
mod leases;
mod linearizable;
mod liveness;
mod registers;
#[cfg(test)]
mod tests;
mod undelivered;

/// A broken promise, and the lines of the history that show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The promise.
    pub rule: &'static str,
    /// The history lines that show it.
    pub lines: Vec<String>,
}

/// The verdict.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// The broken promises.
    pub violations: Vec<Violation>,
    /// Actions answered 200 that `last-action` did not show afterwards, without a loss of data.
    /// Each is a violation, too.
    pub lost_commits: usize,
    /// Those that a loss of data excuses.
    pub lost_with_data: usize,
    /// Actions that began while another action of their user ran that had lost its lock, or was
    /// about to.
    pub overlaps_after_loss: usize,
    /// Waits for longer than three seconds that were answered 423.
    pub waits: usize,
    /// The longest time in such a wait in which nobody alive had the lock.
    pub longest_idle: Duration,
    /// Values that were computed and stored.
    pub computed: usize,
    /// Leases that nobody received.
    pub undelivered: usize,
    /// Waiters that listened.
    pub listeners: usize,
    /// Cache entries and idempotency keys that were checked.
    pub registers: usize,
    /// Those among them whose check was given up.
    pub undecided: usize,
}

/// Two holders at the same time.
pub const EXCLUSION: &str = "holders do not overlap";
/// Holders out of order.
pub const ORDER: &str = "holders are in the order of their fencing tokens";
/// A fencing token that is not greater than one that was known before the request.
pub const GROWTH: &str = "a later acquisition has a greater fencing token";
/// A fencing token given twice.
pub const UNIQUENESS: &str = "no fencing token is given twice";
/// Something that is left at the end.
pub const END: &str = "at the end no lock is held and every key has an expiry";

/// Checks a history.
pub fn check(history: &History) -> Verdict {
    let mut verdict = Verdict::default();
    let index = Index::new(history);
    for user in index.users() {
        exclusion_and_order(&index, user, &mut verdict);
        uniqueness(&index, user, &mut verdict);
        growth(&index, user, &mut verdict);
        leases::check(&index, user, &mut verdict);
        durability::check(&index, user, &mut verdict);
        liveness::check(&index, user, &mut verdict);
        verdict.overlaps_after_loss += overlaps_after_loss(&index, user);
    }
    answers::check(&index, &mut verdict);
    undelivered::check(&index, &mut verdict);
    connections::check(&index, &mut verdict);
    registers::check(&index, &mut verdict);
    computing::check(&index, &mut verdict);
    for leftover in &history.leftovers {
        verdict.add(END, &[leftover]);
    }
    verdict
}

impl Verdict {
    fn add(&mut self, rule: &'static str, lines: &[&dyn Display]) {
        self.violations.push(Violation {
            rule,
            lines: lines.iter().map(ToString::to_string).collect(),
        });
    }
}

/// The history, indexed.
struct Index<'a> {
    history: &'a History,
    operations: HashMap<&'a str, &'a Operation>,
    executions: HashMap<&'a str, &'a Execution>,
    /// Releases of leases, by the request that acquired it.
    released: HashMap<&'a str, &'a Operation>,
}

impl<'a> Index<'a> {
    fn new(history: &'a History) -> Self {
        let operations = history.operations.iter();
        let executions = history.executions.iter();
        let release = |operation: &&Operation| {
            operation.verb == Verb::Release && operation.answer.as_deref() == Some("204")
        };
        let released = operations.clone().filter(release);
        Self {
            released: released
                .filter_map(|operation| Some((operation.lease.as_deref()?, operation)))
                .collect(),
            history,
            operations: operations
                .map(|operation| (operation.id.as_str(), operation))
                .collect(),
            executions: executions
                .map(|execution| (execution.id.as_str(), execution))
                .collect(),
        }
    }

    fn users(&self) -> Vec<u64> {
        let mut users: Vec<u64> = self.history.operations.iter().map(|o| o.user).collect();
        users.sort_unstable();
        users.dedup();
        users
    }

    fn operations_of(&self, user: u64) -> impl Iterator<Item = &'a Operation> {
        let operations = self.history.operations.iter();
        operations.filter(move |operation| operation.user == user)
    }

    fn executions_of(&self, user: u64) -> impl Iterator<Item = &'a Execution> {
        let executions = self.history.executions.iter();
        executions.filter(move |execution| execution.user == user)
    }

    fn has_committed(&self, execution: &Execution) -> bool {
        let operation = self.operations.get(execution.id.as_str());
        operation.is_some_and(|operation| operation.is_commit())
    }

    fn faults(&self, kind: FaultKind) -> impl Iterator<Item = &'a InjectedFault> {
        let faults = self.history.faults.iter();
        faults.filter(move |fault| fault.kind == kind)
    }
}

/// An interval during which a lock was certainly held.
struct Hold<'a> {
    from: At,
    to: At,
    fencing_token: i64,
    line: &'a dyn Display,
}

fn holds<'a>(index: &Index<'a>, user: u64) -> Vec<Hold<'a>> {
    let executions = index
        .executions_of(user)
        .filter(|execution| index.has_committed(execution));
    let mut holds: Vec<Hold<'a>> = executions
        .map(|execution| Hold {
            from: execution.began,
            to: execution.ended,
            fencing_token: execution.fencing_token,
            line: execution,
        })
        .collect();
    // Each renewal adds a longer interval of the same lease: the last one contains the others.
    let mut leases = BTreeMap::new();
    for interval in index
        .history
        .lease_intervals
        .iter()
        .filter(|interval| interval.user == user)
    {
        leases.insert(&interval.id, interval);
    }
    holds.extend(leases.into_values().map(|interval| Hold {
        from: interval.from,
        to: interval.to,
        fencing_token: interval.fencing_token,
        line: interval,
    }));
    holds.sort_by_key(|hold| (hold.from, hold.to));
    holds
}

fn exclusion_and_order(index: &Index<'_>, user: u64, verdict: &mut Verdict) {
    let holds = holds(index, user);
    for pair in holds.windows(2) {
        let [first, second] = pair else { continue };
        if second.from < first.to {
            verdict.add(EXCLUSION, &[first.line, second.line]);
        }
        if second.fencing_token <= first.fencing_token {
            verdict.add(ORDER, &[first.line, second.line]);
        }
    }
}

fn uniqueness(index: &Index<'_>, user: u64, verdict: &mut Verdict) {
    let mut given = HashMap::new();
    for acquired in acquisitions(index, user) {
        if let Some(first) = given.insert(acquired.fencing_token, acquired.line) {
            verdict.add(UNIQUENESS, &[first, acquired.line]);
        }
    }
}

fn growth(index: &Index<'_>, user: u64, verdict: &mut Verdict) {
    let known = Known::new(acquisitions(index, user));
    for acquired in acquisitions(index, user) {
        let before = known.greatest_before(acquired.sent);
        if let Some(greater) = before.filter(|it| it.fencing_token >= acquired.fencing_token) {
            verdict.add(GROWTH, &[greater.line, acquired.line]);
        }
    }
}

fn overlaps_after_loss(index: &Index<'_>, user: u64) -> usize {
    let mut executions: Vec<&Execution> = index
        .executions_of(user)
        .filter(|execution| !execution.refused)
        .collect();
    executions.sort_by_key(|execution| execution.began);
    let mut latest = Duration::ZERO;
    let mut overlaps = 0;
    for execution in executions {
        overlaps += usize::from(execution.began < latest);
        latest = latest.max(execution.ended);
    }
    overlaps
}

/// The fencing tokens of these executions.
fn tokens<'a>(executions: impl Iterator<Item = &'a Execution>) -> HashSet<i64> {
    executions
        .map(|execution| execution.fencing_token)
        .collect()
}
