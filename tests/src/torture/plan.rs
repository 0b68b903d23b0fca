//! The plan of a run. It depends on the seed alone.

use std::time::Duration;

use super::USERS;
use super::random::Random;

/// The kind of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// Redis is killed and later restarted. Its data is lost.
    KillRedis,
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

const FAULT_KINDS: [FaultKind; 13] = [
    FaultKind::KillRedis,
    FaultKind::StopRedis,
    FaultKind::CutAll,
    FaultKind::CutCommand,
    FaultKind::CutReply,
    FaultKind::LateCommand,
    FaultKind::Delay,
    FaultKind::Blackhole,
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
                FaultKind::KillRedis | FaultKind::KillService => random.between(0, 200),
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
    /// Reads `last-action`.
    Read,
}

/// One client's tasks, without end.
pub struct Workload(Random);

impl Workload {
    /// The workload of this client.
    pub fn new(seed: u64, client: u64) -> Self {
        Self(Random::new(seed, client + 1))
    }

    fn work(&mut self) -> Duration {
        let random = &mut self.0;
        Duration::from_millis(match random.between(1, 100) {
            1..=70 => 0,
            71..=98 => random.between(1, 15),
            _ => random.between(100, 600),
        })
    }

    /// Mostly short, sometimes longer than most locks live.
    fn hold(&mut self) -> Duration {
        let random = &mut self.0;
        Duration::from_millis(if random.percent(85) {
            random.between(0, 60)
        } else {
            random.between(200, 700)
        })
    }

    fn kind(&mut self) -> TaskKind {
        match self.0.between(1, 100) {
            1..=55 => TaskKind::Perform(self.work()),
            56..=85 => TaskKind::Attempt(self.work()),
            86..=91 => TaskKind::Lease {
                hold: self.hold(),
                renewals: self.0.between(0, 3),
                release: self.0.percent(85),
            },
            _ => TaskKind::Read,
        }
    }
}

impl Iterator for Workload {
    type Item = Task;

    fn next(&mut self) -> Option<Task> {
        let kind = self.kind();
        let random = &mut self.0;
        Some(Task {
            user: random.between(1, USERS),
            service: random.between(0, 1) as usize,
            expire: Duration::from_millis(random.one_of(&[150, 300, 300, 600, 1000])),
            timeout: Duration::from_millis(random.one_of(&[0, 10, 50, 100, 500])),
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
        let workload = |seed, client| Workload::new(seed, client).take(50).collect::<Vec<_>>();
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
