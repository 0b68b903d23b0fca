//! What to measure, for how long, and where: the command line, and what follows from it.

use std::fmt;

use clap::{Parser, ValueEnum};
use edgelatch_tests::RedisServer;
use serde::Serialize;

use crate::peers::{Peer, Runner};
use crate::programs::Programs;
use crate::server::{Server, StartOptions};

/// Measures the service beside the least possible component, a native server, FastAPI and others
#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
pub(crate) struct Arguments {
    /// Measure everything briefly, in some three minutes. The figures are unreliable
    #[arg(long)]
    pub(crate) quick: bool,
    /// Measure only this case; may be repeated
    #[arg(long = "case", value_name = "NAME")]
    cases: Vec<Case>,
    /// What runs the components
    #[arg(long, value_enum, default_value_t = Runner::Host)]
    pub(crate) runner: Runner,
    /// The name of the files in bench/results
    #[arg(long, value_name = "NAME", default_value = "latest", value_parser = parse_label)]
    pub(crate) label: String,
}

impl Arguments {
    /// Whether this case is to be measured.
    pub(crate) fn selects(&self, case: Case) -> bool {
        self.cases.is_empty() || self.cases.contains(&case)
    }
}

/// A label is a part of a file name.
fn parse_label(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if text.is_empty() || text.starts_with('.') || !text.bytes().all(plain) {
        return Err("letters, digits, `-`, `_` and `.`, not beginning with a dot".to_owned());
    }
    Ok(text.to_owned())
}

/// The cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Case {
    /// perform-action without contention, 100 000 random users
    PerformAction,
    /// perform-action, also on a least component that runs the service's scripts
    Scripts,
    /// attempt-action, the same users
    AttemptAction,
    /// Read a cached kilobyte
    #[value(name = "get-1k")]
    #[serde(rename = "get-1k")]
    Get1k,
    /// Write a kilobyte
    #[value(name = "put-1k")]
    #[serde(rename = "put-1k")]
    Put1k,
    /// Read a cached 100 KB
    #[value(name = "get-100k")]
    #[serde(rename = "get-100k")]
    Get100k,
    /// Write 100 KB
    #[value(name = "put-100k")]
    #[serde(rename = "put-100k")]
    Put100k,
    /// Nine reads for each write, a kilobyte each
    Mixed,
    /// perform-action with 1, 4, 16, 64 and 256 connections
    Connections,
    /// Cost per request with a thousand to a million cached users
    Users,
    /// Several clients compete for one user's lock
    Contention,
    /// A thousand clients wait for a lock that stays held
    Waiters,
    /// Start time of a server and of an instance, and the size of the component
    Starts,
    /// Redis commands per request, connections per instance
    Commands,
    /// Users read from an origin: a hit, and a hundred readers of one cold user
    Reading,
    /// Answers whose body arrives after the head
    Segments,
    /// One waiter's connections and commands, 0, 10 and 80 ms from Redis
    Waiter,
    /// From one action's end to the next one's start, 0, 10 and 80 ms from Redis
    HandOver,
    /// perform-action and reads of a kilobyte, 1 and 10 ms from Redis
    Distance,
    /// Requests at a fixed rate, whatever the answers do
    OpenLoop,
    /// Leases taken and given back, beside etcd
    Leases,
    /// A fresh instance whose Redis wants TLS and a password
    Secured,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.pad(value.as_ref().map_or("", |value| value.get_name()))
    }
}

/// The extent of the measurements.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Plan {
    /// Rounds of each load. In each, all peers take turns.
    pub(crate) rounds: usize,
    /// Rounds of the series over connections and users, far from Redis, and at a fixed rate.
    pub(crate) series_rounds: usize,
    /// Seconds per load.
    pub(crate) seconds: u32,
    /// Concurrent connections, unless a case says otherwise.
    pub(crate) connections: u32,
    /// The longest time that clients compete for one lock, in seconds.
    pub(crate) contention_seconds: u32,
    /// How long waiting clients are observed, in seconds.
    pub(crate) waiting_seconds: u32,
    /// How long one waiter is observed, in seconds.
    pub(crate) waiter_seconds: u32,
    /// How long requests are sent at a fixed rate, in seconds.
    pub(crate) open_seconds: u32,
    /// Rounds of starts.
    pub(crate) starts: usize,
    /// Requests per round that each get a fresh instance.
    pub(crate) fresh_requests: usize,
    /// Whether this is the quick plan.
    pub(crate) quick: bool,
}

impl Plan {
    /// For reliable figures, in about fifteen minutes.
    pub(crate) const FULL: Self = Self {
        rounds: 5,
        series_rounds: 2,
        seconds: 2,
        connections: 64,
        contention_seconds: 8,
        waiting_seconds: 6,
        waiter_seconds: 10,
        open_seconds: 2,
        starts: 5,
        fresh_requests: 300,
        quick: false,
    };

    /// Shows that everything works.
    pub(crate) const QUICK: Self = Self {
        rounds: 1,
        series_rounds: 1,
        seconds: 1,
        connections: 64,
        contention_seconds: 1,
        waiting_seconds: 1,
        waiter_seconds: 2,
        open_seconds: 1,
        starts: 1,
        fresh_requests: 100,
        quick: true,
    };
}

/// The setting of all measurements. The peers use one Redis in turn.
pub(crate) struct Bench {
    /// The Redis.
    pub(crate) redis: RedisServer,
    /// The peers' programs.
    pub(crate) programs: Programs,
    /// The extent.
    pub(crate) plan: Plan,
}

impl Bench {
    /// The same with a new, empty Redis.
    pub(crate) async fn with_own_redis(&self) -> Self {
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
        let options = StartOptions {
            arguments,
            ..self.options()
        };
        Server::start(&self.programs, peer, options).await
    }

    /// A server with our Redis, and nothing else.
    pub(crate) fn options(&self) -> StartOptions<'static> {
        StartOptions {
            redis_port: self.redis.port(),
            ..StartOptions::default()
        }
    }

    /// Starts these peers.
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

    /// These peers. The quick plan has time for the service only.
    pub(crate) fn contending<'a>(&self, peers: &'a [Peer]) -> impl Iterator<Item = &'a Peer> {
        let quick = self.plan.quick;
        let peers = peers.iter();
        peers.filter(move |peer| !quick || **peer == Peer::Service)
    }

    /// The steps of a series. The quick plan skips every other one.
    pub(crate) fn steps<'a, T>(&self, all: &'a [T]) -> impl Iterator<Item = &'a T> {
        all.iter().step_by(if self.plan.quick { 2 } else { 1 })
    }

    /// Deletes all keys and keeps loaded scripts.
    pub(crate) async fn forget_keys(&self) {
        self.redis.run::<String>(&["FLUSHALL"]).await;
    }

    /// Leaves nothing of servers that have stopped: neither a call that is still under way, nor
    /// waiters and locks. Servers that run would lose their connections.
    pub(crate) async fn forget_servers(&self) {
        self.redis.kill_clients().await;
        self.forget_keys().await;
    }

    /// The process id of the Redis.
    ///
    /// # Errors
    /// If `INFO` does not have it.
    pub(crate) async fn redis_pid(&self) -> anyhow::Result<u32> {
        Ok(u32::try_from(
            self.redis_info("server", "process_id").await?,
        )?)
    }

    /// A number in `INFO <section>`.
    ///
    /// # Errors
    /// If it is not there.
    pub(crate) async fn redis_info(&self, section: &str, name: &str) -> anyhow::Result<u64> {
        let info: String = self.redis.run(&["INFO", section]).await;
        let value = info
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.parse().ok());
        value.ok_or_else(|| anyhow::anyhow!("INFO {section} has no {name}"))
    }
}

/// The peers in another order each round, since the first one meets an idle machine.
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
    fn each_peer_goes_first_once() {
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
