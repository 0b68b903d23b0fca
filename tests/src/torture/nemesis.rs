//! The nemesis (Jepsen's word): injects the faults, one after the other, and at the end looks for
//! leftovers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::history::{InjectedFault, Operation, Verb};
use super::plan::{self, ABANDONED_EXPIRE, Fault, FaultKind};
use super::{Run, USERS, start_redis};
use crate::{Network, Proxy, RedisServer, Service};

/// How long a fault that affects one command waits for a command.
const PATIENCE: Duration = Duration::from_secs(1);

/// By then every lock has expired: the longest time to live, and the time of a cleanup.
const LAST_EXPIRY: Duration = ABANDONED_EXPIRE.saturating_add(Duration::from_secs(5));

pub(super) struct Nemesis {
    run: Arc<Run>,
    redis: RedisServer,
    proxies: [Proxy; 2],
    services: [Service; 2],
}

impl Nemesis {
    pub(super) fn new(
        run: Arc<Run>,
        redis: RedisServer,
        proxies: [Proxy; 2],
        services: [Service; 2],
    ) -> Self {
        Self {
            run,
            redis,
            proxies,
            services,
        }
    }

    /// Injects all faults of the plan until the run is over.
    pub(super) async fn run(mut self) -> Self {
        let options = self.run.options;
        for fault in plan::faults(options.seed, options.faults, options.actions) {
            while self.run.answered.load(Ordering::Relaxed) < fault.after_actions {
                if !self.run.is_running() {
                    return self;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let replica = match fault.kind {
                FaultKind::PromoteReplica => Some(self.replica().await),
                _ => None,
            };
            let from = self.run.recorder.now();
            match replica {
                Some(replica) => self.promote(replica).await,
                None => self.inject(fault).await,
            }
            let injected = InjectedFault {
                kind: fault.kind,
                service: fault.service,
                from,
                to: self.run.recorder.now(),
            };
            self.run
                .recorder
                .note(|history| history.faults.push(injected));
        }
        self
    }

    async fn inject(&mut self, fault: Fault) {
        let proxy = &self.proxies[fault.service];
        let mut network = Network::default();
        match fault.kind {
            FaultKind::KillRedis => {
                self.redis.kill();
                self.redis.forget();
                tokio::time::sleep(fault.duration).await;
                self.redis.restart().await;
            }
            FaultKind::RestartRedis => {
                self.redis.kill();
                tokio::time::sleep(fault.duration).await;
                self.redis.restart().await;
            }
            // It has begun before.
            FaultKind::PromoteReplica => {}
            FaultKind::FullRedis => {
                self.run_on_redis(&["CONFIG", "SET", "maxmemory", "1"])
                    .await;
                tokio::time::sleep(fault.duration).await;
                self.run_on_redis(&["CONFIG", "SET", "maxmemory", "0"])
                    .await;
            }
            FaultKind::StopRedis => {
                self.redis.pause();
                tokio::time::sleep(fault.duration).await;
                self.redis.resume();
            }
            FaultKind::CutAll => proxy.cut_all(),
            FaultKind::CutCommand => {
                proxy.cut_next_command();
                self.until_spent(fault).await;
            }
            FaultKind::CutReply => {
                proxy.cut_next_reply();
                self.until_spent(fault).await;
            }
            FaultKind::LateCommand => {
                let held = proxy.hold_next_command(&lock(fault.user));
                self.until_spent(fault).await;
                tokio::time::sleep(fault.duration).await;
                held.deliver();
            }
            FaultKind::Delay => {
                network.delay = fault.duration / 5;
                self.with_network(fault, network).await;
            }
            FaultKind::Blackhole => {
                network.blackhole = true;
                self.with_network(fault, network).await;
            }
            FaultKind::Swallow => {
                network.swallow = true;
                self.with_network(fault, network).await;
            }
            FaultKind::Halves => {
                network.halves = true;
                self.with_network(fault, network).await;
            }
            FaultKind::FlushScripts => self.run_on_redis(&["SCRIPT", "FLUSH"]).await,
            FaultKind::KillClients => {
                self.run_on_redis(&["CLIENT", "KILL", "TYPE", "normal"])
                    .await;
            }
            FaultKind::DeleteLock => self.run_on_redis(&["DEL", &lock(fault.user)]).await,
            FaultKind::KillService => {
                let waiters = self.waiters().await;
                self.run
                    .recorder
                    .note(|history| history.killed_waiters += waiters);
                let service = &mut self.services[fault.service];
                service.kill();
                tokio::time::sleep(fault.duration).await;
                tokio::task::block_in_place(|| service.restart());
            }
        }
    }

    /// A replica that has all data of the primary.
    async fn replica(&self) -> RedisServer {
        let replica = start_redis().await;
        replica.follow(&self.redis).await;
        replica
    }

    /// A replica takes over from the primary, and the services are led to it.
    async fn promote(&mut self, replica: RedisServer) {
        self.redis.kill();
        replica.promote().await;
        for proxy in &self.proxies {
            proxy.set_upstream(replica.port());
            proxy.cut_all();
        }
        self.run.redis_port.store(replica.port(), Ordering::Relaxed);
        self.redis = replica;
    }

    /// How many wait for a lock.
    async fn waiters(&self) -> u64 {
        let mut waiters = 0;
        for user in 1..=USERS {
            let queue = format!("{{{}}}:queue", lock(user));
            waiters += self.redis.run::<u64>(&["ZCARD", &queue]).await;
        }
        waiters
    }

    async fn with_network(&self, fault: Fault, network: Network) {
        let proxy = &self.proxies[fault.service];
        proxy.set_network(network);
        tokio::time::sleep(fault.duration).await;
        proxy.set_network(Network::default());
    }

    async fn until_spent(&self, fault: Fault) {
        let proxy = &self.proxies[fault.service];
        let began = self.run.recorder.now();
        while !proxy.is_spent() && self.run.recorder.now() < began + PATIENCE {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        proxy.disarm();
    }

    async fn run_on_redis(&self, words: &[&str]) {
        self.redis.run::<redis::Value>(words).await;
    }

    /// Waits until every lock must be free. Then it records leftovers and each user's last action.
    pub(super) async fn settle(&mut self) {
        let began = self.run.recorder.now();
        while !self.held_locks().await.is_empty() && self.run.recorder.now() < began + LAST_EXPIRY {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let mut leftovers = self.held_locks().await;
        for key in self.redis.keys_without_expiry().await {
            leftovers.push(format!("{key} has no expiry"));
        }
        let connections = self.proxies.iter().map(Proxy::accepted).sum();
        self.run.recorder.note(|history| {
            history.leftovers = leftovers;
            history.connections = connections;
        });
        for user in 1..=USERS {
            self.read(user).await;
        }
    }

    async fn held_locks(&self) -> Vec<String> {
        let mut held = Vec::new();
        for user in 1..=USERS {
            if self.redis.exists(&lock(user)).await {
                held.push(format!("{} is held at the end", lock(user)));
            }
        }
        held
    }

    async fn read(&self, user: u64) {
        let sent = self.run.recorder.now();
        let key = format!("{{{}}}:cache:last-action", lock(user));
        let last = self.redis.get(&key).await;
        // A line with format and entity tag, then the JSON.
        let last = last.and_then(|stored| {
            let (_, json) = stored.split_once('\n')?;
            serde_json::from_str::<serde_json::Value>(json).ok()
        });
        let operation = Operation {
            id: format!("end-{user}"),
            verb: Verb::Read,
            user,
            service: 0,
            sent,
            answered: self.run.recorder.now(),
            answer: Some(
                if last.is_some() {
                    "200"
                } else {
                    "404 not-found"
                }
                .to_owned(),
            ),
            fencing_token: last.and_then(|last| last["fencing_token"].as_i64()),
            lease: None,
            expire: Duration::ZERO,
            key: None,
            limit: Duration::MAX,
        };
        self.run
            .recorder
            .note(|history| history.operations.push(operation));
    }
}

pub(super) fn lock(user: u64) -> String {
    format!("user:{user}:lock")
}
