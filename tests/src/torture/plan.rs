//! The plan of a run. It depends on the seed alone.

use std::time::Duration;

use super::random::Random;
use super::{BESIEGED, USERS};

/// The longest time to live of a lock, but of the leases that nobody receives.
pub const LONGEST_EXPIRE: Duration = Duration::from_secs(1);

/// The time to live of the leases that nobody receives.
pub const ABANDONED_EXPIRE: Duration = Duration::from_secs(8);

/// The time to live of the locks of actions with an `Idempotency-Key`, which tells requests apart by
/// it.
pub const KEYED_EXPIRE: Duration = Duration::from_millis(300);

/// The longest waits for a lock, in milliseconds.
const TIMEOUTS: [u64; 7] = [0, 10, 100, 500, 2000, 5000, 10_000];

/// The kind of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// Redis is killed and later restarted. Its data is lost.
    KillRedis,
    /// Redis is killed and later restarted from its append-only file.
    RestartRedis,
    /// Redis is killed and a replica becomes the primary. What it had not got yet is lost.
    PromoteReplica,
    /// Redis is full for a while: it refuses what needs memory.
    FullRedis,
    /// Redis is paused (SIGSTOP), often for longer than locks live.
    StopRedis,
    /// All connections of a service to Redis are cut.
    CutAll,
    /// A connection is cut in the middle of a command.
    CutCommand,
    /// A connection is cut in the middle of a reply.
    CutReply,
    /// A connection is cut after a command, which arrives later.
    LateCommand,
    /// Everything between a service and Redis is delayed.
    Delay,
    /// Nothing passes between a service and Redis.
    Blackhole,
    /// Each connection between a service and Redis becomes a black hole for good: answers vanish, and
    /// nothing is closed. Only later ones work.
    Swallow,
    /// Everything between a service and Redis arrives in halves.
    Halves,
    /// Redis forgets all scripts.
    FlushScripts,
    /// Redis closes the connections of all clients.
    KillClients,
    /// A foreign client deletes a user's lock.
    DeleteLock,
    /// A service is killed while it holds locks, and later restarted.
    KillService,
}

const FAULT_KINDS: [FaultKind; 17] = [
    FaultKind::KillRedis,
    FaultKind::RestartRedis,
    FaultKind::PromoteReplica,
    FaultKind::FullRedis,
    FaultKind::StopRedis,
    FaultKind::CutAll,
    FaultKind::CutCommand,
    FaultKind::CutReply,
    FaultKind::LateCommand,
    FaultKind::Delay,
    FaultKind::Blackhole,
    FaultKind::Swallow,
    FaultKind::Halves,
    FaultKind::FlushScripts,
    FaultKind::KillClients,
    FaultKind::DeleteLock,
    FaultKind::KillService,
];

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its kind.
    pub kind: FaultKind,
    /// It starts as soon as this many actions were answered.
    pub after_actions: u64,
    /// The affected service, if it affects one.
    pub service: usize,
    /// The user whose lock is affected, if it affects one.
    pub user: u64,
    /// Its duration, if it has one.
    pub duration: Duration,
}

/// The faults of a run, spread evenly over its actions. All kinds occur once in random order, then
/// once again, and so on.
pub fn faults(seed: u64, count: usize, actions: u64) -> Vec<Fault> {
    let mut random = Random::new(seed, 0);
    let mut kinds = Vec::new();
    while kinds.len() < count {
        let mut round = FAULT_KINDS;
        random.shuffle(&mut round);
        kinds.extend(round);
    }
    let count = count as u64;
    let numbered = (0..count).zip(kinds);
    numbered
        .map(|(index, kind)| Fault {
            kind,
            after_actions: actions * (index + 1) / (count + 1),
            service: random.between(0, 1) as usize,
            user: random.between(1, USERS),
            duration: Duration::from_millis(match kind {
                FaultKind::StopRedis => random.between(200, 1500),
                FaultKind::Blackhole | FaultKind::LateCommand => random.between(200, 1200),
                FaultKind::KillRedis | FaultKind::RestartRedis | FaultKind::KillService => {
                    random.between(0, 200)
                }
                _ => random.between(100, 500),
            }),
        })
        .collect()
}

/// A client's next task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task {
    /// The user.
    pub user: u64,
    /// The service that it is sent to.
    pub service: usize,
    /// The lock's time to live.
    pub expire: Duration,
    /// The longest wait for the lock.
    pub timeout: Duration,
    /// What it consists of.
    pub kind: TaskKind,
}

/// What a task consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskKind {
    /// `perform-action`, with this much work at the origin.
    Perform(Duration),
    /// `attempt-action`, with this much work at the origin.
    Attempt(Duration),
    /// A lease: acquired, held, renewed through alternating services, and released or left to
    /// expire.
    Lease {
        /// How long it is held before each renewal, and before the release.
        hold: Duration,
        /// How many renewals.
        renewals: u64,
        /// Whether it is released, or left to expire.
        release: bool,
    },
    /// An action with an `Idempotency-Key` that others use, too.
    Keyed {
        /// `perform-action`, or else `attempt-action`.
        waits: bool,
    },
    /// A lease that nobody receives: the client hangs up after this long.
    Abandon(Duration),
    /// Reads `last-action`.
    Read,
    /// One access to a cache entry that others use, too.
    Register(Access),
    /// Reads a cache entry that one client computes while the others wait.
    Compute {
        /// How long the value takes to compute.
        work: Duration,
        /// What becomes of the task.
        end: ComputeEnd,
    },
}

/// What a client does that was given a value to compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComputeEnd {
    /// It stores the value.
    Store,
    /// It gives up.
    GiveUp,
    /// It is never heard of again.
    Vanish,
}

/// An access to a cache entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reads it.
    Read,
    /// Writes it, whatever is there.
    Write,
    /// Writes it if it is absent.
    Create,
    /// Writes it if it is what the client read last.
    Swap,
    /// Removes it if it is what the client read last.
    Remove,
}

/// One client's tasks, without end.
pub struct Workload {
    random: Random,
    besieges: bool,
}

impl Workload {
    /// The workload of this client. One that besieges has to do with one user alone, whose lock is
    /// held for seconds and waited for for long.
    pub fn new(seed: u64, client: u64, besieges: bool) -> Self {
        Self {
            random: Random::new(seed, client + 1),
            besieges,
        }
    }

    fn siege(&mut self) -> Task {
        let random = &mut self.random;
        let kind = if random.percent(20) {
            TaskKind::Lease {
                hold: Duration::from_millis(300),
                renewals: random.between(3, 40),
                release: random.percent(85),
            }
        } else {
            TaskKind::Perform(Duration::from_millis(random.one_of(&[0, 10, 200])))
        };
        Task {
            user: BESIEGED,
            service: random.between(0, 1) as usize,
            expire: LONGEST_EXPIRE,
            timeout: Duration::from_millis(random.between(3500, 10_000)),
            kind,
        }
    }

    fn work(&mut self) -> Duration {
        let random = &mut self.random;
        Duration::from_millis(match random.between(1, 100) {
            1..=70 => 0,
            71..=98 => random.between(1, 15),
            _ => random.between(100, 600),
        })
    }

    /// Mostly short, sometimes longer than most locks live.
    fn hold(&mut self) -> Duration {
        let random = &mut self.random;
        Duration::from_millis(if random.percent(85) {
            random.between(0, 60)
        } else {
            random.between(200, 700)
        })
    }

    fn access(&mut self) -> Access {
        let all = [Access::Read, Access::Write, Access::Create, Access::Swap];
        if self.random.percent(10) {
            Access::Remove
        } else {
            self.random.one_of(&all)
        }
    }

    fn kind(&mut self) -> TaskKind {
        match self.random.between(1, 100) {
            1..=50 => TaskKind::Perform(self.work()),
            51..=75 => TaskKind::Attempt(self.work()),
            76..=85 => TaskKind::Keyed {
                waits: self.random.percent(70),
            },
            86..=89 => TaskKind::Lease {
                hold: self.hold(),
                renewals: self.random.between(0, 3),
                release: self.random.percent(85),
            },
            90 => TaskKind::Abandon(Duration::from_millis(self.random.between(0, 1500))),
            91..=93 => TaskKind::Read,
            94..=97 => TaskKind::Register(self.access()),
            _ => self.compute(),
        }
    }

    fn compute(&mut self) -> TaskKind {
        let work = self.hold();
        let end = match self.random.between(1, 100) {
            1..=70 => ComputeEnd::Store,
            71..=85 => ComputeEnd::GiveUp,
            _ => ComputeEnd::Vanish,
        };
        TaskKind::Compute { work, end }
    }
}

impl Iterator for Workload {
    type Item = Task;

    fn next(&mut self) -> Option<Task> {
        if self.besieges {
            return Some(self.siege());
        }
        let kind = self.kind();
        let computes = matches!(kind, TaskKind::Compute { .. });
        let random = &mut self.random;
        Some(Task {
            // Values are computed for one user, so that clients meet.
            user: if computes {
                1
            } else {
                random.between(1, BESIEGED - 1)
            },
            service: random.between(0, 1) as usize,
            expire: Duration::from_millis(random.one_of(&[150, 300, 300, 600, 1000])),
            timeout: Duration::from_millis(random.one_of(&TIMEOUTS)),
            kind,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_decides_the_same() {
        assert_eq!(faults(7, 40, 1000), faults(7, 40, 1000));
        assert_ne!(faults(7, 40, 1000), faults(8, 40, 1000));
        let workload = |seed, client| {
            let workload = Workload::new(seed, client, client == 4);
            workload.take(50).collect::<Vec<_>>()
        };
        assert_eq!(workload(7, 3), workload(7, 3));
        assert_ne!(workload(7, 3), workload(7, 4));
        assert_ne!(workload(7, 3), workload(8, 3));
    }

    #[test]
    fn every_kind_of_fault_occurs_before_one_recurs() {
        let mut kinds: Vec<FaultKind> = faults(1, FAULT_KINDS.len(), 100)
            .iter()
            .map(|f| f.kind)
            .collect();
        kinds.sort_unstable();
        assert_eq!(kinds, FAULT_KINDS);
    }
}
