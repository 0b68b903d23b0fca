//! What is going to happen, decided by the seed alone.

use std::time::Duration;

use super::USERS;
use super::random::Random;

/// A fault's kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
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
    /// What passes between a service and Redis is late.
    Delay,
    /// Nothing passes between a service and Redis.
    Blackhole,
    /// What passes between a service and Redis comes in halves.
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

const KINDS: [Kind; 13] = [
    Kind::KillRedis,
    Kind::StopRedis,
    Kind::CutAll,
    Kind::CutCommand,
    Kind::CutReply,
    Kind::LateCommand,
    Kind::Delay,
    Kind::Blackhole,
    Kind::Halves,
    Kind::FlushScripts,
    Kind::KillClients,
    Kind::DeleteLock,
    Kind::KillService,
];

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What happens.
    pub kind: Kind,
    /// When: as soon as so many actions were answered.
    pub after_actions: u64,
    /// Which service it happens to, where it happens to one.
    pub service: usize,
    /// Whose lock it happens to, where it happens to one.
    pub user: u64,
    /// How long it lasts, where it lasts.
    pub lasts: Duration,
}

/// The faults of a run, spread evenly over its actions: all kinds in some order, again and again.
pub fn faults(seed: u64, count: usize, actions: u64) -> Vec<Fault> {
    let mut random = Random::new(seed, 0);
    let mut kinds = Vec::new();
    while kinds.len() < count {
        let mut round = KINDS;
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
            lasts: Duration::from_millis(match kind {
                Kind::StopRedis => random.between(200, 1500),
                Kind::Blackhole | Kind::LateCommand => random.between(200, 1200),
                Kind::KillRedis | Kind::KillService => random.between(0, 200),
                _ => random.between(100, 500),
            }),
        })
        .collect()
}

/// What a client does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// For whom.
    pub user: u64,
    /// By which service.
    pub service: usize,
    /// The lock's time to live.
    pub expire: Duration,
    /// How long it waits for the lock.
    pub timeout: Duration,
    /// What it does.
    pub what: What,
}

/// What a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
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

/// One client's moves, without an end.
pub struct Moves(Random);

impl Moves {
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

    fn what(&mut self) -> What {
        match self.0.between(1, 100) {
            1..=55 => What::Perform(self.work()),
            56..=85 => What::Attempt(self.work()),
            86..=91 => What::Lease {
                hold: self.hold(),
                renewals: self.0.between(0, 3),
                give_back: self.0.percent(85),
            },
            _ => What::Read,
        }
    }
}

impl Iterator for Moves {
    type Item = Move;

    fn next(&mut self) -> Option<Move> {
        let what = self.what();
        let random = &mut self.0;
        Some(Move {
            user: random.between(1, USERS),
            service: random.between(0, 1) as usize,
            expire: Duration::from_millis(random.one_of(&[150, 300, 300, 600, 1000])),
            timeout: Duration::from_millis(random.one_of(&[0, 10, 50, 100, 500])),
            what,
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
        let moves = |seed, client| Moves::new(seed, client).take(50).collect::<Vec<_>>();
        assert_eq!(moves(7, 3), moves(7, 3));
        assert_ne!(moves(7, 3), moves(7, 4));
        assert_ne!(moves(7, 3), moves(8, 3));
    }

    #[test]
    fn every_kind_of_fault_comes_before_one_comes_again() {
        let mut kinds: Vec<Kind> = faults(1, KINDS.len(), 100).iter().map(|f| f.kind).collect();
        kinds.sort_unstable();
        assert_eq!(kinds, KINDS);
    }
}
