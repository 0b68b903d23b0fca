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
            let first = (index * SLOTS / NODES).to_string();
            let last = ((index + 1) * SLOTS / NODES - 1).to_string();
            let add = ["CLUSTER", "ADDSLOTSRANGE", &first, &last];
            node.run::<()>(&add).await;
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

    /// Gives a key's slot to another node and tells all nodes. The slot must be empty.
    pub async fn give(&self, key: &str, to: usize) {
        let slot: usize = self.nodes[0].run(&["CLUSTER", "KEYSLOT", key]).await;
        let id: String = self.nodes[to].run(&["CLUSTER", "MYID"]).await;
        let slot = slot.to_string();
        for node in &self.nodes {
            let set = ["CLUSTER", "SETSLOT", &slot, "NODE", &id];
            node.run::<()>(&set).await;
        }
    }
}
