//! One request: it acquires, holds and renews, then commits or releases. And what it does when an
//! answer does not arrive.

use crate::TTL;
use crate::redis::{Call, Patience, Reply, Script};

/// A client, with a token of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Session {
    /// Its current phase.
    pub phase: Phase,
    /// The connections that still have something to deliver. New calls use the last one, if it is
    /// open.
    pub connections: Vec<Connection>,
    /// The reply that is on its way, if it is awaited.
    pub answer: Option<Reply>,
    /// The awaited call was repeated already. It is not repeated twice.
    pub repeated: bool,
}

/// The phase of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The request has not arrived yet.
    #[default]
    Idle,
    /// It requests the lock.
    Acquiring {
        /// Time since the call was sent, up to [`TTL`].
        age: u8,
        /// What it does if another session holds the lock.
        patience: Patience,
    },
    /// It waits in the queue.
    Waiting {
        /// When it arrived, by the server's clock.
        arrived_at: u8,
        /// It has looked in this unit of time.
        looked: bool,
    },
    /// Its action runs.
    Holding {
        /// The fencing token of its acquisition.
        number: u8,
        /// How long the lock is certainly its own, by its own clock.
        valid: u8,
        /// A renewal has been under way for this long.
        renewing: Option<u8>,
    },
    /// The action has succeeded.
    Committing {
        /// The fencing token of its acquisition.
        number: u8,
    },
    /// The action has failed.
    Releasing,
    /// It was answered, or has crashed.
    Ended(Outcome),
}

/// The answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// 200
    Success,
    /// 409 `lock-lost`
    Lost,
    /// 423
    Held,
    /// 200, as an earlier request with the same `Idempotency-Key`.
    Replayed,
    /// The action failed. The lock is released.
    Failed,
    /// 503: Redis failed
    Unavailable,
    /// None.
    Crashed,
}

/// A connection. What is sent over it runs in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Connection {
    /// The client can still use it.
    pub open: bool,
    /// Sent, and not run yet.
    pub scripts: Vec<Script>,
}

impl Session {
    /// The script whose answer is awaited.
    pub fn awaited(&self) -> Option<Script> {
        match self.phase {
            Phase::Acquiring { patience, .. } => Some(Script::Acquire(patience)),
            Phase::Holding {
                number,
                renewing: Some(_),
                ..
            } => Some(Script::Renew(number)),
            Phase::Committing { number } => Some(Script::Commit(number)),
            Phase::Releasing => Some(Script::Release(Call::Release)),
            _ => None,
        }
    }

    /// The request arrives, or a waiter polls.
    pub fn ask(&mut self, patience: Patience) {
        self.phase = Phase::Acquiring { age: 0, patience };
        self.call(Script::Acquire(patience));
    }

    /// A third of the time to live has passed.
    pub fn renew(&mut self) {
        if let Phase::Holding {
            number, renewing, ..
        } = &mut self.phase
        {
            *renewing = Some(0);
            let script = Script::Renew(*number);
            self.call(script);
        }
    }

    /// The action has succeeded. A renewal under way is no longer awaited.
    pub fn commit(&mut self) {
        if let Phase::Holding { number, .. } = self.phase {
            self.phase = Phase::Committing { number };
            self.call(Script::Commit(number));
        }
    }

    /// The action has failed or was stopped.
    pub fn release(&mut self) {
        self.phase = Phase::Releasing;
        self.call(Script::Release(Call::Release));
    }

    /// The awaited reply arrives.
    pub fn receive(&mut self) {
        let Some(reply) = self.answer.take() else {
            return;
        };
        match (&mut self.phase, reply) {
            (Phase::Acquiring { age, .. }, Reply::Granted(number)) => {
                self.phase = Phase::Holding {
                    number,
                    valid: TTL - *age,
                    renewing: None,
                };
            }
            (
                Phase::Acquiring {
                    patience: Patience::Wait(_),
                    ..
                },
                Reply::Held(arrived_at),
            ) => {
                self.phase = Phase::Waiting {
                    arrived_at,
                    looked: true,
                };
            }
            (Phase::Acquiring { .. }, Reply::ResultExists) => self.end(Outcome::Replayed),
            (_, Reply::Refused) => self.fail(),
            (Phase::Acquiring { .. }, _) => self.end(Outcome::Held),
            (
                Phase::Holding {
                    valid, renewing, ..
                },
                Reply::Yes,
            ) => *valid = TTL - renewing.take().unwrap_or(TTL),
            (Phase::Committing { .. }, Reply::Yes) => self.end(Outcome::Success),
            (Phase::Releasing, Reply::Yes) => self.end(Outcome::Failed),
            _ => self.end(Outcome::Lost),
        }
    }

    /// The current connection is cut. The awaited call is repeated once over another.
    pub fn cut(&mut self) {
        if let Some(connection) = self.connections.last_mut() {
            connection.open = false;
        }
        self.answer = None;
        match self.awaited() {
            Some(script) if !self.repeated => {
                self.send(script);
                self.repeated = true;
            }
            Some(_) => self.fail(),
            None => {}
        }
    }

    /// The awaited answer is given up. In the background, the acquisition is cancelled or the lock
    /// released, over another connection. The unanswered call may still be on its way.
    pub fn fail(&mut self) {
        self.answer = None;
        self.leave_connection();
        let script = match &mut self.phase {
            Phase::Holding { renewing, .. } => {
                // The next renewal uses another connection. The lock is still held.
                *renewing = None;
                return;
            }
            Phase::Acquiring { .. } => Script::Cancel,
            _ => Script::Release(Call::Cleanup),
        };
        self.end(Outcome::Unavailable);
        self.send(script);
    }

    /// The client ends without cleaning up. What was sent is on its way.
    pub fn crash(&mut self) {
        self.answer = None;
        self.end(Outcome::Crashed);
    }

    /// Whether time changes it.
    pub fn ages(&self) -> bool {
        match self.phase {
            Phase::Acquiring { age, .. } => age < TTL,
            Phase::Holding {
                valid, renewing, ..
            } => valid > 0 || renewing.is_some_and(|age| age < TTL),
            _ => false,
        }
    }

    /// One unit of time passes on its own clock.
    pub fn tick(&mut self) {
        match &mut self.phase {
            Phase::Acquiring { age, .. } => *age = TTL.min(*age + 1),
            Phase::Holding {
                valid, renewing, ..
            } => {
                *valid = valid.saturating_sub(1);
                if let Some(age) = renewing {
                    *age = TTL.min(*age + 1);
                }
            }
            Phase::Waiting { looked, .. } => *looked = false,
            _ => {}
        }
    }

    /// Whether it lives and waits.
    pub fn waits(&self) -> bool {
        let patience = match self.phase {
            Phase::Waiting { .. } => return true,
            Phase::Acquiring { patience, .. } => patience,
            _ => return false,
        };
        matches!(patience, Patience::Wait(_))
    }

    /// Whether it waits, has arrived, and has not been granted the lock.
    pub fn has_arrived(&self) -> bool {
        let patience = match self.phase {
            Phase::Waiting { .. } => return true,
            Phase::Acquiring { patience, .. } => patience,
            _ => return false,
        };
        let is_granted = matches!(self.answer, Some(Reply::Granted(_)));
        !is_granted && matches!(patience, Patience::Wait(Some(_)) | Patience::Last(Some(_)))
    }

    /// Whether it lives.
    pub fn lives(&self) -> bool {
        !matches!(self.phase, Phase::Idle | Phase::Ended(_))
    }

    /// Drops connections that have nothing to deliver and are not in use.
    pub fn tidy(&mut self) {
        let ended = matches!(self.phase, Phase::Ended(_));
        let last = self.connections.len().saturating_sub(1);
        let mut index = 0;
        self.connections.retain(|connection| {
            let in_use = index == last && connection.open && !ended;
            index += 1;
            in_use || !connection.scripts.is_empty()
        });
    }

    fn call(&mut self, script: Script) {
        self.answer = None;
        self.repeated = false;
        self.send(script);
    }

    fn send(&mut self, script: Script) {
        match self.connections.last_mut() {
            Some(connection) if connection.open => connection.scripts.push(script),
            _ => self.connections.push(Connection {
                open: true,
                scripts: vec![script],
            }),
        }
    }

    fn leave_connection(&mut self) {
        if let Some(connection) = self.connections.last_mut() {
            connection.open = false;
        }
    }

    fn end(&mut self, outcome: Outcome) {
        self.repeated = false;
        self.phase = Phase::Ended(outcome);
    }
}
