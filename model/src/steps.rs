//! The steps: what may happen next.

use stateright::{Model, Property};

use crate::redis::{Patience, Redis, Scripts};
use crate::session::{Phase, Session};
use crate::witness::{Hold, Witness};
use crate::{HELD_UP, LockModel, SessionId, State, TTL, properties};

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A request arrives and asks for the lock.
    Begin(SessionId),
    /// Redis runs the next script of a session's connection.
    Run(SessionId, usize),
    /// A reply arrives.
    Receive(SessionId),
    /// A waiter polls.
    Poll(SessionId),
    /// A waiter's time is over: it polls a last time.
    LastPoll(SessionId),
    /// The holder renews.
    Renew(SessionId),
    /// The action has succeeded: its holder commits.
    Commit(SessionId),
    /// The action has failed: its holder releases.
    Release(SessionId),
    /// A connection is cut.
    Cut(SessionId),
    /// A client stops waiting for an answer.
    TimeOut(SessionId),
    /// A client ends without cleaning up.
    Crash(SessionId),
    /// Time passes.
    Tick,
    /// The fence is evicted.
    Evict,
    /// The server's clock is set back.
    SetClockBack,
    /// A foreign client deletes the lock.
    ForeignDelete,
    /// An administrator breaks the lock.
    Break,
    /// The same call, repeated because its answer was lost.
    RepeatBreak,
    /// Redis loses all its data.
    LoseData,
    /// Redis becomes full.
    Fill,
    /// Somebody stores the entry that is being computed.
    Store,
    /// A client gives back the token that it brought.
    Withdraw,
}

impl Model for LockModel {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        // Their numbers follow those of the sessions.
        let all = self.sessions + usize::from(self.budget.dead);
        let mut sessions = vec![Session::default(); self.sessions];
        let mut holds = vec![None; all];
        let first = if self.budget.held { 0 } else { self.sessions };
        let waiters: Vec<SessionId> = (first..all).collect();
        let mut redis = Redis::with_waiters(&waiters);
        if self.budget.held {
            redis = redis.held_by(all);
            let number = redis.clock;
            holds.push(Some(Hold { left: TTL, number }));
            for (session, waiter) in sessions.iter_mut().zip(&redis.queue) {
                session.phase = Phase::Waiting {
                    arrived_at: waiter.arrived_at,
                    looked: true,
                };
            }
        }
        vec![State {
            witness: Witness {
                greatest: redis.clock,
                holds,
                arrivals: waiters,
                ..Witness::default()
            },
            redis,
            sessions,
            budget: self.budget,
        }]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        for me in 0..self.sessions {
            of_session(state, me, steps);
        }
        let (budget, redis) = (&state.budget, &state.redis);
        let faults = [
            (Step::Tick, passes(state)),
            (Step::Evict, budget.evictions > 0 && redis.fence.is_some()),
            (
                Step::SetClockBack,
                budget.clock_set_backs > 0 && redis.clock > 0,
            ),
            (
                Step::ForeignDelete,
                budget.foreign_deletes > 0 && redis.lock.is_some(),
            ),
            (Step::Break, budget.breaks > 0 && redis.lock.is_some()),
            (
                Step::RepeatBreak,
                redis.broken && budget.repeated_breaks > 0,
            ),
            (
                Step::LoseData,
                budget.data_losses > 0 && redis.fence.is_some(),
            ),
            (Step::Fill, budget.fulls > 0),
            (Step::Withdraw, budget.withdrawals > 0),
            (Step::Store, budget.stores > 0 && redis.record.is_none()),
        ];
        steps.extend(faults.iter().filter(|(_, may)| *may).map(|(step, _)| *step));
    }

    fn next_state(&self, before: &State, step: Step) -> Option<State> {
        let mut state = before.clone();
        let budget = &mut state.budget;
        match step {
            Step::Begin(me) => {
                let patience = if self.budget.polls > 0 || self.budget.punctual {
                    Patience::Wait(None)
                } else {
                    Patience::Once
                };
                state.sessions[me].ask(patience);
            }
            Step::Poll(me) => {
                budget.polls = budget.polls.saturating_sub(1);
                if let Phase::Waiting { arrived_at, .. } = state.sessions[me].phase {
                    state.sessions[me].ask(Patience::Wait(Some(arrived_at)));
                }
            }
            Step::LastPoll(me) => {
                if let Phase::Waiting { arrived_at, .. } = state.sessions[me].phase {
                    state.sessions[me].ask(Patience::Last(Some(arrived_at)));
                }
            }
            Step::Run(me, connection) => self.run(&mut state, me, connection),
            Step::Receive(me) => state.sessions[me].receive(),
            Step::Renew(me) => {
                budget.renewals -= 1;
                state.sessions[me].renew();
            }
            Step::Commit(me) => state.sessions[me].commit(),
            Step::Release(me) => state.sessions[me].release(),
            Step::Cut(me) => {
                budget.cuts -= 1;
                state.sessions[me].cut();
                state.witness.cut.push(me);
            }
            Step::TimeOut(me) => {
                budget.timeouts -= 1;
                state.sessions[me].fail();
            }
            Step::Crash(me) => {
                budget.crashes -= 1;
                state.sessions[me].crash();
            }
            Step::Tick => tick(&mut state),
            Step::Evict => {
                budget.evictions -= 1;
                state.redis.fence = None;
                state.witness.last = None;
            }
            Step::SetClockBack => {
                budget.clock_set_backs -= 1;
                state.redis.clock = 0;
            }
            Step::ForeignDelete => {
                budget.foreign_deletes -= 1;
                state.redis.lock = None;
                state.witness.note_taken();
            }
            Step::Break | Step::RepeatBreak => {
                let again = step == Step::RepeatBreak;
                if again {
                    budget.repeated_breaks -= 1;
                } else {
                    budget.breaks -= 1;
                }
                let before = state.redis.clone();
                Scripts(self.mutation, self.budget).break_lock(&mut state.redis);
                state.witness.note_broken(&before, &state.redis, again);
            }
            Step::LoseData => {
                budget.data_losses -= 1;
                // So are the marks of cancelled calls.
                state.witness.cancelled.clear();
                let clock = state.redis.clock;
                state.redis = Redis {
                    clock,
                    ..Redis::default()
                };
                state.witness.note_taken();
            }
            Step::Fill => {
                budget.fulls -= 1;
                state.redis.full = true;
            }
            Step::Withdraw => {
                budget.withdrawals -= 1;
                let before = state.redis.clone();
                Scripts(self.mutation, self.budget).withdraw(&mut state.redis);
                let token = self.budget.token(0);
                let arrived = |me: &SessionId| {
                    self.budget.token(*me) == token && state.sessions[*me].has_arrived()
                };
                let withdrawn: Vec<SessionId> = (0..self.sessions).filter(arrived).collect();
                state
                    .witness
                    .note_withdrawn(&before, &state.redis, token, withdrawn);
            }
            Step::Store => {
                budget.stores -= 1;
                Scripts(self.mutation, self.budget).store(&mut state.redis);
                if state.redis.lock.is_none() {
                    state.witness.note_taken();
                }
            }
        }
        state.sessions.iter_mut().for_each(Session::tidy);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}

impl LockModel {
    fn run(&self, state: &mut State, me: SessionId, connection: usize) {
        let session = &mut state.sessions[me];
        let current = connection + 1 == session.connections.len();
        let connection = &mut session.connections[connection];
        let (script, delivered) = (connection.scripts.remove(0), connection.open && current);
        let before = state.redis.clone();
        let reply = Scripts(self.mutation, self.budget).run(&mut state.redis, me, script);
        let token = self.budget.token(me);
        let witness = &mut state.witness;
        witness.note_script(&before, &state.redis, (me, token), script, reply);
        if delivered && session.awaited() == Some(script) {
            session.answer = Some(reply);
        }
    }
}

/// What a session may do, and what may happen to it.
fn of_session(state: &State, me: SessionId, steps: &mut Vec<Step>) {
    let (session, budget) = (&state.sessions[me], &state.budget);
    for (index, connection) in session.connections.iter().enumerate() {
        if !connection.scripts.is_empty() {
            steps.push(Step::Run(me, index));
        }
    }
    match session.phase {
        Phase::Idle => {
            // Sessions differ only in their number, so they begin in that order.
            if me == 0 || state.sessions[me - 1].phase != Phase::Idle {
                steps.push(Step::Begin(me));
            }
            return;
        }
        Phase::Ended(_) => return,
        Phase::Waiting { looked: true, .. } if budget.punctual => {}
        Phase::Waiting { .. } if budget.punctual => steps.push(Step::Poll(me)),
        Phase::Waiting { .. } => {
            steps.push(Step::LastPoll(me));
            if budget.polls > 0 {
                steps.push(Step::Poll(me));
            }
        }
        Phase::Holding { renewing, .. } => {
            if !budget.is_brought(me) {
                steps.push(Step::Commit(me));
            }
            steps.push(Step::Release(me));
            if renewing.is_none() && budget.renewals > 0 {
                steps.push(Step::Renew(me));
            }
        }
        _ => {}
    }
    if session.answer.is_some() {
        steps.push(Step::Receive(me));
    }
    if session.awaited().is_some() {
        if budget.cuts > 0 {
            steps.push(Step::Cut(me));
        }
        if budget.timeouts > 0 {
            steps.push(Step::TimeOut(me));
        }
    }
    if budget.crashes > 0 {
        steps.push(Step::Crash(me));
    }
}

/// Whether a living session waits, and no living one has the lock or is being served.
fn is_held_up(state: &State) -> bool {
    let owner_lives = |owner: SessionId| {
        let mut sessions = state.sessions.iter().enumerate();
        sessions.any(|(me, session)| state.budget.token(me) == owner && session.lives())
    };
    let dead = match state.redis.lock {
        // A session that crashed while it held the lock has it until it expires.
        Some(lock) => lock.unclaimed && !owner_lives(lock.owner),
        None => true,
    };
    dead && state.sessions.iter().any(Session::waits)
}

/// Whether time changes anything.
fn passes(state: &State) -> bool {
    if state.budget.punctual && state.sessions.iter().any(Session::waits) {
        // Every living waiter has polled.
        let is_late = |session: &Session| match session.phase {
            Phase::Acquiring { .. } => true,
            Phase::Waiting { looked, .. } => !looked,
            _ => false,
        };
        return !state.sessions.iter().any(is_late);
    }
    let redis = state.redis.lock.is_some_and(|lock| lock.left.is_some());
    let holds = state.witness.holds.iter().any(Option::is_some);
    redis || holds || state.sessions.iter().any(Session::ages)
}

fn tick(state: &mut State) {
    if is_held_up(state) {
        let held_up = &mut state.witness.held_up;
        *held_up = (HELD_UP + 1).min(*held_up + 1);
    }
    state.redis.tick();
    state.sessions.iter_mut().for_each(Session::tick);
    state.witness.tick();
}
