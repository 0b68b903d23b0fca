//! The connections that all requests of one component instance share: one, and against a cluster
//! one for each node that a `MOVED` has named.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use spin_sdk::redis::Connection;

use super::cluster::{self, Moved};
use super::{RedisError, Sent};

/// More nodes are not remembered: Spin opens 1024 connections for an instance at most.
const MOST_NODES: usize = 256;

/// The way to Redis that all requests of one component instance share.
pub struct Link {
    /// The node at the configured address, which is all there is outside a cluster.
    first: Arc<Node>,
    others: Mutex<Others>,
}

/// What is known of a cluster's other nodes. Empty outside a cluster.
#[derive(Default)]
struct Others {
    nodes: Vec<Arc<Node>>,
    /// For each slot, the place in `nodes` of the one that has it, counted from 1; with 0, the
    /// first node has it or knows who has.
    slots: Vec<u16>,
}

/// One server, and the connection to it.
pub(super) struct Node {
    address: String,
    current: Mutex<Option<Arc<Connection>>>,
    /// Held while a connection is being opened, so that a burst of first requests opens one and not
    /// sixteen.
    opening: futures::lock::Mutex<()>,
    /// Connections on which nobody blocks at the moment.
    idle: Mutex<Vec<Connection>>,
}

impl Link {
    /// A link to `redis[s]://[user:password@]host:port/db`. Nothing is opened yet.
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            first: Arc::new(Node::new(address.into())),
            others: Mutex::default(),
        }
    }

    /// The node to ask for a key.
    pub(super) fn node_for(&self, key: Option<&[u8]>) -> Arc<Node> {
        let others = self.others();
        let place = match key {
            Some(key) if !others.slots.is_empty() => others.slots.get(cluster::slot_of(key)),
            _ => None,
        };
        let known = place.and_then(|place| others.nodes.get(usize::from(*place).checked_sub(1)?));
        Arc::clone(known.unwrap_or(&self.first))
    }

    /// Notes that a slot has moved, and returns the node that has it. `None` where there are too
    /// many of them.
    pub(super) fn follow(&self, moved: &Moved) -> Option<Arc<Node>> {
        let address = cluster::address_of(&self.first.address, &moved.node)?;
        let mut others = self.others();
        others.slots.resize(cluster::SLOTS, 0);
        let slot = moved.slot;
        if address == self.first.address {
            *others.slots.get_mut(slot)? = 0;
            return Some(Arc::clone(&self.first));
        }
        let known = others.nodes.iter().position(|node| node.address == address);
        let place = match known {
            Some(place) => place,
            None if others.nodes.len() >= MOST_NODES => return None,
            None => {
                others.nodes.push(Arc::new(Node::new(address)));
                others.nodes.len() - 1
            }
        };
        *others.slots.get_mut(slot)? = place as u16 + 1;
        others.nodes.get(place).cloned()
    }

    /// Forgets which slots a node was said to have: another may have taken over. The first node
    /// knows.
    pub(super) fn forget(&self, node: &Arc<Node>) {
        let mut others = self.others();
        let place = others
            .nodes
            .iter()
            .position(|other| Arc::ptr_eq(other, node));
        if let Some(place) = place {
            let gone = place as u16 + 1;
            for has in others.slots.iter_mut().filter(|has| **has == gone) {
                *has = 0;
            }
        }
    }

    fn others(&self) -> MutexGuard<'_, Others> {
        self.others.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Node {
    fn new(address: String) -> Self {
        Self {
            address,
            current: Mutex::new(None),
            opening: futures::lock::Mutex::new(()),
            idle: Mutex::default(),
        }
    }

    /// A connection of one's own.
    pub(super) async fn open(&self) -> Option<Connection> {
        Connection::open(&self.address).await.ok()
    }

    /// The connections on which nobody blocks at the moment.
    pub(super) fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn connection(&self, sent: &Sent) -> Result<Arc<Connection>, RedisError> {
        if let Some(connection) = self.current() {
            return Ok(connection);
        }
        let _opening = self.opening.lock().await;
        if let Some(connection) = self.current() {
            return Ok(connection);
        }
        let opened = Connection::open(&self.address).await;
        let connection =
            Arc::new(opened.map_err(|error| RedisError::from_spin(error, sent.any()))?);
        *self.slot() = Some(Arc::clone(&connection));
        Ok(connection)
    }

    /// Forgets a connection, unless another has taken its place. Requests that still wait on it
    /// keep it until then.
    pub(super) fn discard(&self, connection: &Arc<Connection>) {
        let mut slot = self.slot();
        if slot
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, connection))
        {
            *slot = None;
        }
    }

    fn current(&self) -> Option<Arc<Connection>> {
        self.slot().clone()
    }

    fn slot(&self) -> MutexGuard<'_, Option<Arc<Connection>>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
