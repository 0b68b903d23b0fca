//! TaskKind is going to happen, decided by the seed alone.

use std::time::Duration;

use super::USERS;
use super::random::Random;

/// A fault's kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// Redis is killed and, after a while, started again: its data is lost.
    KillRedis,
    /// Redis stands still (SIGSTOP), often for longer than locks live.
    StopRedis,
    /// All connections of a service to Redis are cut.
    CutAll,
    /// A connection is cut in the middle of a command.
    CutCommand,
    /// A connection is cut in the middle of a reply.
    CutReply,
    /// A connection is cut behind a command, which arrives later all the same.
    LateCommand,
    /// TaskKind passes between a service and Redis is late.
    Delay,
    /// Nothing passes between a service and Redis.
    Blackhole,
    /// TaskKind passes between a service and Redis comes in halves.
    Halves,
    /// Redis forgets all scripts.
    FlushScripts,
    /// Redis closes the connections of all clients.
    KillClients,
    /// A stranger deletes a user's lock.
    DeleteLock,
    /// A service is killed while it holds locks and, after a while, started again.
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
    /// TaskKind happens.
    pub kind: FaultKind,
    /// When: as soon as so many actions were answered.
    pub after_actions: u64,
    /// Which service it happens to, where it happens to one.
    pub service: usize,
    /// Whose lock it happens to, where it happens to one.
    pub user: u64,
    /// How long it duration, where it duration.
    pub duration: Duration,
}

/// The faults of a run, spread evenly over its actions: all kinds in some order, again and again.
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

/// TaskKind a client does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task {
    /// For whom.
    pub user: u64,
    /// By which service.
    pub service: usize,
    /// The lock's time to live.
    pub expire: Duration,
    /// How long it waits for the lock.
    pub timeout: Duration,
    /// TaskKind it does.
    pub kind: TaskKind,
}

/// TaskKind a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskKind {
    /// `perform-action`, of which the origin makes so much work.
    Perform(Duration),
    /// `attempt-action`, of which the origin makes so much work.
    Attempt(Duration),
    /// A lease: acquired, held, renewed so often by either service, and perhaps given back.
    Lease {
        /// How long it is held before each renewal, and before it is given back.
        hold: Duration,
        /// How often it is renewed.
        renewals: u64,
        /// Whether it is given back, or left to expire.
        give_back: bool,
    },
    /// Reads `last-action`.
    Read,
}

/// One client's workload, without an end.
pub struct Workload(Random);

impl Workload {
    /// Of this client.
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

    /// Mostly short; at times longer than most locks live.
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
                give_back: self.0.percent(85),
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
    fn every_kind_of_fault_comes_before_one_comes_again() {
        let mut kinds: Vec<FaultKind> = faults(1, FAULT_KINDS.len(), 100)
            .iter()
            .map(|f| f.kind)
            .collect();
        kinds.sort_unstable();
        assert_eq!(kinds, FAULT_KINDS);
    }
}
