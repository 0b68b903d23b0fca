//! Answers that arrive in two pieces. If a server sends the head before the body is ready, without
//! `TCP_NODELAY`, the body waits until the client acknowledges the head, which clients delay by
//! about 40 ms. The longest latencies come from that, and a load generator can't tell them apart.

use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::task::JoinSet;

use crate::client::{Answer, Client};
use crate::peers::Peer;
use crate::plan::Bench;
use crate::server::Server;
use crate::stats::{ms, percentile, sorted};

/// Concurrent connections.
const CONNECTIONS: u64 = 32;

/// A body that arrives this long after its head has waited for an acknowledgement.
const LATE: Duration = Duration::from_millis(20);

/// How answers arrived.
#[derive(Serialize)]
pub(crate) struct AnswerArrivals {
    pub(crate) peer: Peer,
    pub(crate) answers: usize,
    /// Answers other than 200.
    pub(crate) failed: usize,
    /// The share of answers whose body arrived after the head.
    pub(crate) split: f64,
    /// The share of answers whose body arrived 20 ms or more after the head.
    pub(crate) late: f64,
    /// Milliseconds from the request to the end of the body.
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// Milliseconds from the head to the body, for bodies that arrived after the head.
    pub(crate) trail_p50_ms: f64,
    pub(crate) trail_p99_ms: f64,
}

/// Measures the answers to `perform-action`.
///
/// # Errors
/// If a connection is closed.
pub(crate) async fn arrivals(bench: &Bench, server: &Server) -> anyhow::Result<AnswerArrivals> {
    let end = Instant::now() + Duration::from_secs(bench.plan.seconds.into());
    let mut clients = JoinSet::new();
    for number in 0..CONNECTIONS {
        clients.spawn(ask(server.address().to_owned(), number, end));
    }
    let mut answers = Vec::new();
    while let Some(client) = clients.join_next().await {
        answers.extend(client??);
    }
    bench.forget_keys().await;
    Ok(summarise(server.peer(), &answers))
}

async fn ask(address: String, number: u64, end: Instant) -> anyhow::Result<Vec<Answer>> {
    let mut client = Client::connect(&address).await?;
    let mut answers = Vec::new();
    while Instant::now() < end {
        // No two connections act for one user, so nobody waits for a lock.
        let user = number + CONNECTIONS * (answers.len() as u64 % 3000);
        let path = format!("/api/v1/users/perform-action?user_id={user}");
        answers.push(client.call("POST", &path).await?);
    }
    Ok(answers)
}

fn summarise(peer: Peer, answers: &[Answer]) -> AnswerArrivals {
    let share = |matches: &dyn Fn(&Answer) -> bool| {
        let count = answers.iter().filter(|answer| matches(answer)).count();
        count as f64 / answers.len().max(1) as f64
    };
    let took: Vec<f64> = answers.iter().map(|answer| ms(answer.took())).collect();
    let split = answers.iter().filter(|answer| answer.split);
    let trails: Vec<f64> = split.map(|answer| ms(answer.trail())).collect();
    let (took, trails) = (sorted(&took), sorted(&trails));
    let of = |values: &[f64], percent| percentile(values, percent).unwrap_or(0.0);
    AnswerArrivals {
        peer,
        answers: answers.len(),
        failed: answers.iter().filter(|it| it.status != 200).count(),
        split: share(&|answer| answer.split),
        late: share(&|answer| answer.trail() >= LATE),
        p50_ms: of(&took, 50.0),
        p99_ms: of(&took, 99.0),
        trail_p50_ms: of(&trails, 50.0),
        trail_p99_ms: of(&trails, 99.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_all_answers() {
        let sent = Instant::now();
        let head = sent + Duration::from_millis(1);
        let whole = Answer {
            status: 200,
            sent,
            head,
            end: head,
            split: false,
        };
        let late = Answer {
            end: head + Duration::from_millis(42),
            split: true,
            ..whole
        };
        let seen = summarise(Peer::Least, &[whole, whole, whole, late]);
        assert_eq!((seen.answers, seen.failed), (4, 0));
        assert_eq!((seen.split, seen.late), (0.25, 0.25));
        assert_eq!(seen.trail_p50_ms, 42.0);
        assert_eq!(seen.p50_ms, 1.0);
    }

    #[test]
    fn no_answers_are_no_shares() {
        assert_eq!(summarise(Peer::Least, &[]).split, 0.0);
    }
}
