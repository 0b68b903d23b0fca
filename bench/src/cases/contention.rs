//! Several clients request one user's lock again and again. We measure the throughput, how long the
//! lock is idle between two actions, and whether all clients get it equally.
//!
//! The **hand-off** is the time from the end of one action to the start of the next. With an
//! origin, the origin sees both. Without one, the action takes no time and nobody sees it: then it
//! is the time between two answers, which includes the whole turn.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::ensure;
use edgelatch_tests::{Origin, Reply};
use serde::Serialize;
use tokio::task::JoinSet;

use crate::client::Client;
use crate::peers::Peer;
use crate::plan::Bench;
use crate::server::{Server, StartOptions};
use crate::stalls::Stalls;
use crate::stats::{ms, percentile, sorted, unfairness};

/// Competing clients.
const CLIENTS: [usize; 3] = [2, 16, 256];

/// The length of an action, in milliseconds. 0 means no action.
const ACTIONS_MS: [u64; 3] = [0, 10, 100];

/// The average turns of a client before waits are compared.
const FAIR_TURNS: usize = 2;

/// The result for one number of clients and one length of action.
#[derive(Serialize)]
pub(crate) struct ContentionResult {
    pub(crate) peer: Peer,
    pub(crate) clients: usize,
    pub(crate) action_ms: u64,
    pub(crate) seconds: f64,
    pub(crate) completions: usize,
    pub(crate) per_second: f64,
    /// Answers other than 200, by status. 0 means no answer.
    pub(crate) failures: BTreeMap<u16, usize>,
    /// Actions that overlapped.
    pub(crate) overlaps: usize,
    /// Milliseconds. `None` if too little was done.
    pub(crate) handoff_p50_ms: Option<f64>,
    pub(crate) handoff_p99_ms: Option<f64>,
    /// Milliseconds from a request to its answer, without the action.
    pub(crate) wait_p50_ms: Option<f64>,
    pub(crate) wait_longest_ms: Option<f64>,
    /// The longest stall of the machine during the measurement, in milliseconds.
    pub(crate) stall_longest_ms: Option<f64>,
    /// The longest wait over the median wait. `None` if clients had too few turns.
    pub(crate) unfairness: Option<f64>,
    /// Redis commands per completion, including failed tries.
    pub(crate) commands_per_completion: Option<f64>,
}

/// Measures every number of clients with every length of action, and adds the results one by one.
///
/// # Errors
/// If a server can't be started, or its first action fails.
pub(crate) async fn contention(
    bench: &Bench,
    peers: &[Peer],
    all: &mut Vec<ContentionResult>,
) -> anyhow::Result<()> {
    for action_ms in ACTIONS_MS {
        for clients in CLIENTS {
            for peer in bench.contending(peers) {
                let contest = Contest {
                    peer: *peer,
                    clients,
                    action_ms,
                    redis_port: bench.redis.port(),
                    length: length(bench, clients, Duration::from_millis(action_ms)),
                };
                all.push(contest.run(bench).await?);
            }
        }
    }
    Ok(())
}

/// Clients that compete for one lock on one server.
pub(crate) struct Contest {
    pub(crate) peer: Peer,
    pub(crate) clients: usize,
    pub(crate) action_ms: u64,
    /// Where the server finds its Redis.
    pub(crate) redis_port: u16,
    pub(crate) length: Duration,
}

impl Contest {
    /// Runs it on a server of its own: clients that we cut off leave waiting requests behind.
    ///
    /// # Errors
    /// If the server can't be started, or the first action fails.
    pub(crate) async fn run(&self, bench: &Bench) -> anyhow::Result<ContentionResult> {
        let contended = contend(bench, self).await;
        bench.forget_servers().await;
        contended
    }
}

async fn contend(bench: &Bench, contest: &Contest) -> anyhow::Result<ContentionResult> {
    let &Contest {
        peer,
        clients,
        action_ms,
        redis_port,
        length,
    } = contest;
    let origin = Origin::start(Reply::json("{}").after(Duration::from_millis(action_ms))).await;
    let url = origin.url();
    let options = StartOptions {
        redis_port,
        origin: (action_ms > 0).then_some(url.as_str()),
        ..bench.options()
    };
    let server = Server::start(&bench.programs, peer, options).await?;
    // Another user's action loads scripts and modules first.
    let mut client = Client::connect(server.address()).await?;
    let first = client.call("POST", "/api/v1/users/perform-action?user_id=2");
    let status = first.await?.status;
    ensure!(
        status == 200,
        "{peer} answered {status} to the first action"
    );

    let mut monitor = bench.redis.monitor().await;
    let stalls = Stalls::watch();
    let began = Instant::now();
    let turns = turns(server.address(), clients, began + length).await;
    let seconds = began.elapsed().as_secs_f64();
    let stall_longest_ms = stalls.longest_ms();
    drop(server);
    let commands = monitor.commands().await.len();

    let seen = origin.seen();
    let actions = seen.iter().filter(|seen| seen.began >= began);
    let actions: Vec<_> = actions.map(|seen| (seen.began, seen.ended)).collect();
    let handoffs = match action_ms {
        0 => between_answers(&turns.ended),
        _ => between_actions(&actions),
    };
    let mut contended = turns.summarise(peer, clients, action_ms, seconds);
    contended.overlaps = origin.overlaps();
    contended.stall_longest_ms = stall_longest_ms;
    contended.handoff_p50_ms = percentile(&handoffs, 50.0);
    contended.handoff_p99_ms = percentile(&handoffs, 99.0);
    let completions = contended.completions;
    contended.commands_per_completion =
        (completions > 0).then(|| commands as f64 / completions as f64);
    Ok(contended)
}

/// Long enough for several turns of each client, within the plan.
fn length(bench: &Bench, clients: usize, pause: Duration) -> Duration {
    let most = Duration::from_secs(bench.plan.contention_seconds.into());
    let turn = pause + Duration::from_millis(3);
    let wanted = turn * u32::try_from(clients).unwrap_or(u32::MAX) * 4;
    wanted.clamp(most * 2 / 5, most)
}

/// The turns that clients had.
#[derive(Default)]
struct Turns {
    /// The wait of each successful turn, except each client's first: those started at the same
    /// time.
    waits: Vec<Duration>,
    /// When successful answers arrived.
    ended: Vec<Instant>,
    failures: BTreeMap<u16, usize>,
    /// The start of each client's current wait.
    pending: Vec<Option<Instant>>,
    /// The waits that were cut off.
    unfinished: Vec<Duration>,
}

async fn turns(address: &str, clients: usize, end: Instant) -> Turns {
    let turns = Arc::new(Mutex::new(Turns {
        pending: vec![None; clients],
        ..Turns::default()
    }));
    let mut tasks = JoinSet::new();
    for number in 0..clients {
        tasks.spawn(take_turns(address.to_owned(), number, Arc::clone(&turns)));
    }
    tokio::time::sleep_until(end.into()).await;
    let mut turns = std::mem::take(&mut *turns.lock().unwrap_or_else(PoisonError::into_inner));
    let now = Instant::now();
    turns.unfinished = turns.pending.iter().flatten().map(|it| now - *it).collect();
    // Dropping the tasks cuts the clients off.
    turns
}

async fn take_turns(address: String, number: usize, turns: Arc<Mutex<Turns>>) {
    let path = "/api/v1/users/perform-action?user_id=1&timeout=60";
    let mut open = None;
    let mut first = true;
    let note = |change: &dyn Fn(&mut Turns)| {
        change(&mut turns.lock().unwrap_or_else(PoisonError::into_inner));
    };
    loop {
        let sent = Instant::now();
        let pending = move |turns: &mut Turns, since| {
            turns
                .pending
                .get_mut(number)
                .into_iter()
                .for_each(|it| *it = since);
        };
        note(&|turns| pending(turns, Some(sent)));
        let answer = match &mut open {
            Some(client) => Client::call(client, "POST", path).await,
            none => match Client::connect(&address).await {
                Ok(client) => none.insert(client).call("POST", path).await,
                Err(error) => Err(error),
            },
        };
        note(&|turns| {
            pending(turns, None);
            match &answer {
                Ok(answer) if answer.status == 200 => {
                    turns.ended.push(answer.end);
                    if !first {
                        turns.waits.push(answer.took());
                    }
                }
                Ok(answer) => *turns.failures.entry(answer.status).or_insert(0) += 1,
                Err(_) => *turns.failures.entry(0).or_insert(0) += 1,
            }
        });
        first = false;
        if answer.is_err() {
            open = None;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Turns {
    fn summarise(
        &self,
        peer: Peer,
        clients: usize,
        action_ms: u64,
        seconds: f64,
    ) -> ContentionResult {
        let idle = |wait: &Duration| (ms(*wait) - action_ms as f64).max(0.0);
        let waits = sorted(&self.waits.iter().map(idle).collect::<Vec<_>>());
        let unfinished: Vec<f64> = self.unfinished.iter().map(idle).collect();
        let longest = waits.iter().chain(&unfinished).copied().reduce(f64::max);
        let completions = self.ended.len();
        let fair_enough = completions >= clients * FAIR_TURNS;
        ContentionResult {
            peer,
            clients,
            action_ms,
            seconds,
            completions,
            per_second: completions as f64 / seconds,
            failures: self.failures.clone(),
            overlaps: 0,
            handoff_p50_ms: None,
            handoff_p99_ms: None,
            wait_p50_ms: percentile(&waits, 50.0),
            wait_longest_ms: longest,
            stall_longest_ms: None,
            unfairness: fair_enough
                .then(|| unfairness(&waits, &unfinished))
                .flatten(),
            commands_per_completion: None,
        }
    }
}

/// Milliseconds between answers, sorted.
fn between_answers(ended: &[Instant]) -> Vec<f64> {
    let mut ended = ended.to_vec();
    ended.sort_unstable();
    let gaps = ended.iter().zip(ended.iter().skip(1));
    sorted(&gaps.map(|(a, b)| ms_between(*a, *b)).collect::<Vec<_>>())
}

/// Milliseconds from the end of each action to the start of the next, sorted. The actions are in
/// the order of their starts.
fn between_actions(actions: &[(Instant, Option<Instant>)]) -> Vec<f64> {
    let pairs = actions.iter().zip(actions.iter().skip(1));
    let gaps = pairs.filter_map(|((_, ended), (began, _))| Some(ms_between((*ended)?, *began)));
    sorted(&gaps.collect::<Vec<_>>())
}

fn ms_between(from: Instant, to: Instant) -> f64 {
    ms(to.saturating_duration_since(from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hand_off_is_from_an_end_to_the_next_start() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let actions = [
            (at(0), Some(at(10))),
            (at(13), Some(at(23))),
            (at(24), None),
        ];
        assert_eq!(between_actions(&actions), [1.0, 3.0]);
        assert_eq!(between_actions(&actions[..1]), [0.0; 0]);
    }

    #[test]
    fn answers_need_not_come_in_order() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(between_answers(&[at(9), at(0), at(4)]), [4.0, 5.0]);
    }

    #[test]
    fn fairness_needs_enough_turns() {
        let now = Instant::now();
        let mut turns = Turns {
            waits: vec![Duration::from_millis(20); 3],
            ended: vec![now; 3],
            unfinished: vec![Duration::from_millis(40)],
            ..Turns::default()
        };
        let few = turns.summarise(Peer::Service, 2, 10, 1.0);
        assert_eq!((few.completions, few.unfairness), (3, None));
        assert_eq!(few.wait_longest_ms, Some(30.0));
        turns.ended.push(now);
        let enough = turns.summarise(Peer::Service, 2, 10, 1.0);
        assert_eq!(enough.unfairness, Some(3.0));
    }
}
