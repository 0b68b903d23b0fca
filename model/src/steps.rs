//! The steps: what may happen next.

use stateright::{Model, Property};

use crate::redis::{Patience, Redis, Scripts};
use crate::session::{Failure, Phase, Session};
use crate::witness::Witness;
use crate::{LockModel, Mutation, SessionId, State, properties};

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
    /// Redis loses all its data.
    LoseData,
}

impl Model for LockModel {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            redis: Redis::default(),
            sessions: vec![Session::default(); self.sessions],
            budget: self.budget,
            witness: Witness {
                holds: vec![None; self.sessions],
                ..Witness::default()
            },
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
            (
                Step::LoseData,
                budget.data_losses > 0 && redis.fence.is_some(),
            ),
        ];
        steps.extend(faults.iter().filter(|(_, may)| *may).map(|(step, _)| *step));
    }

    fn next_state(&self, before: &State, step: Step) -> Option<State> {
        let mut state = before.clone();
        let budget = &mut state.budget;
        match step {
            Step::Begin(me) => {
                let patience = if self.budget.polls > 0 {
                    Patience::Wait
                } else {
                    Patience::Once
                };
                state.sessions[me].ask(patience);
            }
            Step::Poll(me) => {
                budget.polls -= 1;
                state.sessions[me].ask(Patience::Wait);
            }
            Step::LastPoll(me) => state.sessions[me].ask(Patience::Last),
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
                let elsewhere = self.mutation == Some(Mutation::CleanupElsewhere);
                state.sessions[me].fail(Failure::TimedOut, elsewhere);
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
            Step::LoseData => {
                budget.data_losses -= 1;
                let clock = state.redis.clock;
                state.redis = Redis {
                    clock,
                    ..Redis::default()
                };
                state.witness.note_taken();
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
        let reply = Scripts(self.mutation).run(&mut state.redis, me, script);
        state
            .witness
            .note_script(&before, &state.redis, me, script, reply);
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
        Phase::Waiting => {
            steps.push(Step::LastPoll(me));
            if budget.polls > 0 {
                steps.push(Step::Poll(me));
            }
        }
        Phase::Holding { renewing, .. } => {
            steps.extend([Step::Commit(me), Step::Release(me)]);
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

/// Whether time changes anything.
fn passes(state: &State) -> bool {
    let redis = state.redis.lock.is_some_and(|lock| lock.left.is_some());
    let holds = state.witness.holds.iter().any(Option::is_some);
    redis || holds || state.sessions.iter().any(Session::ages)
}

fn tick(state: &mut State) {
    state.redis.tick();
    state.sessions.iter_mut().for_each(Session::tick);
    state.witness.tick();
}
