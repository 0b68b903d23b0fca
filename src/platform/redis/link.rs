//! The connections that all requests of one component instance share: one, and against a cluster
//! one for each node that a `MOVED` has named.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::cluster::{self, Place};
use super::node::Node;

/// More nodes are not remembered: Spin opens 1024 connections for an instance at most.
const MOST_NODES: usize = 256;

/// The way to Redis that all requests of one component instance share.
pub struct Link {
    /// The node at the configured address, which is all there is outside a cluster.
    first: Arc<Node>,
    others: Mutex<Others>,
    /// How many handles there have been: one for each request.
    handles: AtomicU64,
}

/// What is known of a cluster's other nodes. Empty outside a cluster.
#[derive(Default)]
struct Others {
    nodes: Vec<Arc<Node>>,
    /// For each slot, the place in `nodes` of the one that has it, counted from 1; with 0, the
    /// first node has it or knows who has.
    slots: Vec<u16>,
}

impl Link {
    /// A link to `redis[s]://[user:password@]host:port/db`. Nothing is opened yet.
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            first: Arc::new(Node::new(address.into())),
            others: Mutex::default(),
            handles: AtomicU64::new(0),
        }
    }

    /// Counts a handle.
    pub(super) fn note_handle(&self) {
        self.handles.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the instance has had more than one request.
    pub(super) fn is_shared(&self) -> bool {
        self.handles.load(Ordering::Relaxed) > 1
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

    /// All nodes that are known.
    pub(super) fn nodes(&self) -> Vec<Arc<Node>> {
        let mut nodes = vec![Arc::clone(&self.first)];
        nodes.extend(self.others().nodes.iter().cloned());
        nodes
    }

    /// Notes that a slot has moved, and returns the node that has it. `None` where there are too
    /// many of them.
    pub(super) fn follow(&self, moved: &Place) -> Option<Arc<Node>> {
        let (node, number) = self.find(moved)?;
        let mut others = self.others();
        others.slots.resize(cluster::SLOTS, 0);
        *others.slots.get_mut(moved.slot)? = number;
        Some(node)
    }

    /// The node that a slot is being moved to. The slot stays where it is until the node that has
    /// it says `MOVED`. `None` where there are too many nodes.
    pub(super) fn node_at(&self, asked: &Place) -> Option<Arc<Node>> {
        self.find(asked).map(|(node, _)| node)
    }

    /// The node at a place, and its number in `slots`.
    fn find(&self, place: &Place) -> Option<(Arc<Node>, u16)> {
        let address = cluster::address_of(&self.first.address, &place.node)?;
        if address == self.first.address {
            return Some((Arc::clone(&self.first), 0));
        }
        let mut others = self.others();
        let known = others.nodes.iter().position(|node| node.address == address);
        let index = match known {
            Some(index) => index,
            None if others.nodes.len() >= MOST_NODES => return None,
            None => {
                others.nodes.push(Arc::new(Node::new(address)));
                others.nodes.len() - 1
            }
        };
        Some((Arc::clone(others.nodes.get(index)?), index as u16 + 1))
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
