//! What is to be measured, for how long, and where: the command line, and what follows from it.

use clap::{Parser, ValueEnum};
use edgelatch_tests::RedisServer;
use serde::Serialize;

use crate::peers::{Peer, Programs, Runner, Server, With};

/// Measures the service beside the least possible component, a native server and FastAPI
#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
pub(crate) struct Arguments {
    /// Everything, but briefly: in under two minutes, and with figures that are not to be relied on
    #[arg(long)]
    pub(crate) quick: bool,
    /// Measure only this; may be repeated
    #[arg(long = "case", value_name = "NAME")]
    cases: Vec<Case>,
    /// What runs the components
    #[arg(long, value_enum, default_value_t = Runner::Host)]
    pub(crate) runner: Runner,
    /// Names the files that are written to bench/results
    #[arg(long, value_name = "NAME", default_value = "latest", value_parser = parse_label)]
    pub(crate) label: String,
}

impl Arguments {
    /// Whether this is to be measured.
    pub(crate) fn wants(&self, case: Case) -> bool {
        self.cases.is_empty() || self.cases.contains(&case)
    }
}

/// A label is a part of a file's name.
fn parse_label(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if text.is_empty() || text.starts_with('.') || !text.bytes().all(plain) {
        return Err("letters, digits, `-`, `_` and `.`, not beginning with a dot".to_owned());
    }
    Ok(text.to_owned())
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Case {
    /// perform-action without contention, 100 000 random users
    PerformAction,
    /// perform-action, beside a least component that runs the service's scripts, too
    Scripts,
    /// attempt-action, the same users
    AttemptAction,
    /// A cached kilobyte read
    #[value(name = "get-1k")]
    #[serde(rename = "get-1k")]
    Get1k,
    /// A kilobyte written
    #[value(name = "put-1k")]
    #[serde(rename = "put-1k")]
    Put1k,
    /// A cached 100 KB read
    #[value(name = "get-100k")]
    #[serde(rename = "get-100k")]
    Get100k,
    /// 100 KB written
    #[value(name = "put-100k")]
    #[serde(rename = "put-100k")]
    Put100k,
    /// Nine reads for each write, a kilobyte each
    Mixed,
    /// perform-action with 1, 4, 16, 64 and 256 connections
    Connections,
    /// Cost per request as cached users grow from a thousand to a million
    Users,
    /// Several clients want one user's lock
    Contention,
    /// A thousand clients wait for a lock in vain
    Waiters,
    /// How long a server and an instance take to start, and the size of the component
    Starts,
    /// Redis commands per request, connections per instance
    Commands,
    /// Users read from an origin: a hit, and a hundred readers of one cold user
    Reading,
    /// Answers whose body arrives apart from the head
    Segments,
}

/// How much of everything is measured.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Plan {
    /// Rounds of each load, in which all peers take turns.
    pub(crate) rounds: usize,
    /// Rounds of the series along connections and users.
    pub(crate) series_rounds: usize,
    /// Seconds that one load takes.
    pub(crate) seconds: u32,
    /// Connections at the same time, unless a case says otherwise.
    pub(crate) connections: u32,
    /// The longest that clients contend for one lock, in seconds.
    pub(crate) contention_seconds: u32,
    /// How long waiting clients are watched, in seconds.
    pub(crate) waiting_seconds: u32,
    /// Rounds of starts.
    pub(crate) starts: usize,
    /// Requests that each get an instance of their own, in each round.
    pub(crate) fresh_requests: usize,
    /// Whether this is the quick form.
    pub(crate) quick: bool,
}

impl Plan {
    /// For figures to rely on, in some ten minutes.
    pub(crate) const FULL: Self = Self {
        rounds: 5,
        series_rounds: 2,
        seconds: 2,
        connections: 64,
        contention_seconds: 10,
        waiting_seconds: 6,
        starts: 5,
        fresh_requests: 300,
        quick: false,
    };

    /// To see that everything works.
    pub(crate) const QUICK: Self = Self {
        rounds: 1,
        series_rounds: 1,
        seconds: 1,
        connections: 64,
        contention_seconds: 1,
        waiting_seconds: 1,
        starts: 1,
        fresh_requests: 100,
        quick: true,
    };
}

/// Where everything is measured: one Redis, which those that are compared use in turn.
pub(crate) struct Bench {
    /// The Redis.
    pub(crate) redis: RedisServer,
    /// What is compared.
    pub(crate) programs: Programs,
    /// For how long.
    pub(crate) plan: Plan,
}

impl Bench {
    /// The same with another Redis, which has nothing in it.
    pub(crate) async fn with_a_redis_of_its_own(&self) -> Self {
        Self {
            redis: RedisServer::start().await,
            programs: self.programs.clone(),
            plan: self.plan,
        }
    }

    /// Starts a peer with these arguments of `up`.
    ///
    /// # Errors
    /// If it does not serve.
    pub(crate) async fn start(&self, peer: Peer, arguments: &[&str]) -> anyhow::Result<Server> {
        let with = With {
            redis_port: self.redis.port(),
            origin: None,
            arguments,
        };
        Server::start(&self.programs, peer, with).await
    }

    /// Starts all of these.
    ///
    /// # Errors
    /// If one does not serve.
    pub(crate) async fn start_all(&self, peers: &[Peer]) -> anyhow::Result<Vec<Server>> {
        let mut servers = Vec::new();
        for peer in peers {
            servers.push(self.start(*peer, &[]).await?);
        }
        Ok(servers)
    }

    /// These peers; in the quick form, which has no time for them, the service alone.
    pub(crate) fn worth_it<'a>(&self, peers: &'a [Peer]) -> impl Iterator<Item = &'a Peer> {
        let quick = self.plan.quick;
        let peers = peers.iter();
        peers.filter(move |peer| !quick || **peer == Peer::Service)
    }

    /// Steps of a series; in the quick form, every other one.
    pub(crate) fn steps<'a, T>(&self, all: &'a [T]) -> impl Iterator<Item = &'a T> {
        all.iter().step_by(if self.plan.quick { 2 } else { 1 })
    }

    /// Forgets all keys, and leaves scripts that were loaded.
    pub(crate) async fn forget_keys(&self) {
        self.redis.run::<String>(&["FLUSHALL"]).await;
    }

    /// The process of the Redis.
    ///
    /// # Errors
    /// If it does not tell.
    pub(crate) async fn redis_pid(&self) -> anyhow::Result<u32> {
        Ok(u32::try_from(
            self.redis_info("server", "process_id").await?,
        )?)
    }

    /// A number that `INFO <section>` tells under this name.
    ///
    /// # Errors
    /// If it does not.
    pub(crate) async fn redis_info(&self, section: &str, name: &str) -> anyhow::Result<u64> {
        let info: String = self.redis.run(&["INFO", section]).await;
        let value = info
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.parse().ok());
        value.ok_or_else(|| anyhow::anyhow!("INFO {section} does not tell {name}"))
    }
}

/// The peers in another order each round: whoever goes first would meet a machine at rest.
pub(crate) fn in_turn<T>(peers: &[T], round: usize) -> impl Iterator<Item = &T> {
    let start = round % peers.len().max(1);
    peers.iter().cycle().skip(start).take(peers.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        <Arguments as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn everybody_goes_first_once() {
        let peers = [1, 2, 3];
        let order = |round| in_turn(&peers, round).copied().collect::<Vec<_>>();
        assert_eq!(order(0), [1, 2, 3]);
        assert_eq!(order(1), [2, 3, 1]);
        assert_eq!(order(2), [3, 1, 2]);
        assert_eq!(order(3), [1, 2, 3]);
        assert_eq!(in_turn::<u8>(&[], 1).count(), 0);
    }

    #[test]
    fn labels_stay_in_their_folder() {
        assert!(parse_label("before").is_ok());
        assert!(parse_label("v0.1-spin").is_ok());
        for label in ["", ".", "../x", "a/b", "a b"] {
            assert!(parse_label(label).is_err(), "{label:?}");
        }
    }
}
