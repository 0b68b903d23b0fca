//! A real Redis Cluster of a test's own: three nodes on 127.0.0.1, without replicas.

use crate::redis::RedisServer;
use crate::wait::until;

/// The number of slots of a cluster.
const SLOTS: usize = 16_384;

/// Three nodes, each with a third of the slots.
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
}

impl RedisCluster {
    /// Starts the nodes, joins them, and waits until each knows all slots.
    ///
    /// # Panics
    /// If the cluster does not form.
    pub async fn start() -> Self {
        const NODES: usize = 3;
        let mut nodes = Vec::new();
        for _ in 0..NODES {
            let arguments = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"];
            // A node that fails takes its own slots with it, but not the whole cluster.
            let alone = ["--cluster-require-full-coverage", "no"];
            let arguments: Vec<_> = arguments.into_iter().chain(alone).collect();
            nodes.push(RedisServer::start_with(&arguments).await);
        }
        for (index, node) in nodes.iter().enumerate() {
            node.add_slots(index * SLOTS / NODES..(index + 1) * SLOTS / NODES)
                .await;
            // If two nodes claim an epoch, the later one wins.
            let epoch = (index + 1).to_string();
            node.run::<()>(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch])
                .await;
        }
        for node in &nodes[1..] {
            let port = nodes[0].port().to_string();
            node.run::<()>(&["CLUSTER", "MEET", "127.0.0.1", &port])
                .await;
        }
        let cluster = Self { nodes };
        for node in &cluster.nodes {
            until("a node knows all slots", async || {
                let info: String = node.run(&["CLUSTER", "INFO"]).await;
                info.contains("cluster_state:ok")
                    && info.contains("cluster_slots_assigned:16384")
                    && info.contains("cluster_known_nodes:3")
            })
            .await;
        }
        cluster
    }

    /// The nodes, in the order of their slots.
    pub fn nodes(&self) -> &[RedisServer] {
        &self.nodes
    }

    /// The nodes, for tests that break one.
    pub fn nodes_mut(&mut self) -> &mut [RedisServer] {
        &mut self.nodes
    }

    /// Which node has a key.
    pub async fn node_of(&self, key: &str) -> usize {
        let slot: usize = self.nodes[0].run(&["CLUSTER", "KEYSLOT", key]).await;
        slot * self.nodes.len() / SLOTS
    }

    /// Gives a key's slot to another node and tells all nodes, the new one first. The slot must be
    /// empty where it was.
    pub async fn give(&self, key: &str, to: usize) {
        let slot = self.slot_of(key).await;
        let id = self.id_of(to).await;
        let others = (0..self.nodes.len()).filter(|index| *index != to);
        for index in std::iter::once(to).chain(others) {
            let set = ["CLUSTER", "SETSLOT", &slot, "NODE", &id];
            self.nodes[index].run::<()>(&set).await;
        }
    }

    /// Begins to move a key's slot. No key is moved yet.
    pub async fn begin_to_move(&self, key: &str, to: usize) {
        let (from, slot) = (self.node_of(key).await, self.slot_of(key).await);
        let importing = ["CLUSTER", "SETSLOT", &slot, "IMPORTING"];
        let giver = self.id_of(from).await;
        self.nodes[to]
            .run::<()>(&[&importing[..], &[&giver]].concat())
            .await;
        let migrating = ["CLUSTER", "SETSLOT", &slot, "MIGRATING"];
        let receiver = self.id_of(to).await;
        self.nodes[from]
            .run::<()>(&[&migrating[..], &[&receiver]].concat())
            .await;
    }

    /// Moves a key whose slot is being moved.
    pub async fn move_key(&self, key: &str, to: usize) {
        let from = &self.nodes[self.node_of(key).await];
        let port = self.nodes[to].port().to_string();
        let migrate = ["MIGRATE", "127.0.0.1", &port, key, "0", "5000"];
        assert_eq!(from.run::<String>(&migrate).await, "OK", "{key}");
    }

    /// Moves all keys that are left in the slot of `key`.
    pub async fn move_keys(&self, key: &str, to: usize) {
        let (from, slot) = (self.node_of(key).await, self.slot_of(key).await);
        let left = ["CLUSTER", "GETKEYSINSLOT", &slot, "1000"];
        for key in self.nodes[from].run::<Vec<String>>(&left).await {
            self.move_key(&key, to).await;
        }
    }

    /// Leaves a slot that is being moved where it is. None of its keys may have been moved.
    pub async fn give_up_move(&self, key: &str) {
        let slot = self.slot_of(key).await;
        for node in &self.nodes {
            node.run::<()>(&["CLUSTER", "SETSLOT", &slot, "STABLE"])
                .await;
        }
    }

    async fn slot_of(&self, key: &str) -> String {
        let slot: i64 = self.nodes[0].run(&["CLUSTER", "KEYSLOT", key]).await;
        slot.to_string()
    }

    async fn id_of(&self, node: usize) -> String {
        self.nodes[node].run(&["CLUSTER", "MYID"]).await
    }
}
