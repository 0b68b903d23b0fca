//! The connections that all requests of one component instance share: one, and against a cluster
//! one for each node that a `MOVED` has named.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use spin_sdk::redis::Connection;

use super::cluster::{self, Moved};
use super::room::Room;
use super::{RedisError, Sent};
use crate::platform::time_limit::within;

/// How long it is remembered that a node lets nobody block.
const REFUSAL_MEMORY: Duration = Duration::from_secs(60);

/// How long it is remembered that there was no room for another connection.
const NO_ROOM_MEMORY: Duration = Duration::from_secs(10);

/// How long a connection on which nobody blocks is kept.
const IDLE: Duration = Duration::from_secs(1);

/// How often it is looked at those.
const IDLE_CHECK: Duration = Duration::from_millis(250);

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
    /// Connections on which nobody blocks at the moment, and since when.
    idle: Mutex<Vec<(Instant, Connection)>>,
    listening: Mutex<Listening>,
    room: Room,
    /// Held while a connection is being opened to listen.
    opening_to_listen: futures::lock::Mutex<()>,
}

/// What is known of listening at a node.
#[derive(Debug, Clone, Copy, Default)]
struct Listening {
    blocking: Blocking,
    /// Nobody listens until then: blocking is refused, or there is no room for another connection.
    not_before: Option<Instant>,
    /// The least time that it took to open a connection.
    opened_in: Option<Duration>,
}

/// How a node can be told how long to block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Blocking {
    /// In seconds with decimals.
    #[default]
    Decimals,
    /// In whole seconds: Redis 5.
    WholeSeconds,
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
            room: Room::new(&address),
            address,
            current: Mutex::new(None),
            opening: futures::lock::Mutex::new(()),
            idle: Mutex::default(),
            listening: Mutex::default(),
            opening_to_listen: futures::lock::Mutex::new(()),
        }
    }

    /// A connection to listen over. `None` where there is none to be had now: one is opened at a
    /// time, and where that takes longer than `open_limit`, or leaves no room for another one,
    /// nobody listens for a while.
    pub(super) async fn open_to_listen(&self, open_limit: Duration) -> Option<Connection> {
        let _opening = self.opening_to_listen.try_lock()?;
        let began = Instant::now();
        match within(open_limit, Connection::open(&self.address)).await {
            Some(Ok(connection)) if self.room.is_there().await => {
                self.opened_in(began.elapsed());
                Some(connection)
            }
            Some(_) | None => {
                self.nobody_listens(NO_ROOM_MEMORY);
                None
            }
        }
    }

    /// How long it may take to open a connection to listen over. A host that has none left lets
    /// `open` wait for one, so taking much longer than usual means that there is no room. Waiting
    /// must not take the last ones: then all connections but the shared one are closed.
    pub(super) fn open_limit(&self) -> Duration {
        4 * self.listening().opened_in.unwrap_or_default() + Duration::from_millis(200)
    }

    fn opened_in(&self, took: Duration) {
        let mut listening = self.listening();
        listening.opened_in = Some(listening.opened_in.map_or(took, |least| least.min(took)));
    }

    /// Whether it is worth a try to listen.
    pub(super) fn may_listen(&self, now: Instant) -> bool {
        self.listening().not_before.is_none_or(|then| then <= now)
    }

    /// How to say how long to block.
    pub(super) fn blocking(&self) -> Blocking {
        self.listening().blocking
    }

    /// Notes that seconds have no decimals.
    pub(super) fn knows_no_decimals(&self) {
        self.listening().blocking = Blocking::WholeSeconds;
    }

    /// Notes that blocking is refused.
    pub(super) fn refuses_blocking(&self) {
        self.nobody_listens(REFUSAL_MEMORY);
    }

    fn nobody_listens(&self, memory: Duration) {
        self.listening().not_before = Some(Instant::now() + memory);
        self.idle().clear();
    }

    /// Keeps a connection for the next one who listens, if there are fewer than `most`. It is kept
    /// for a second.
    pub(super) fn keep(self: &Arc<Self>, connection: Connection, most: usize) {
        let now = Instant::now();
        let may_listen = self.may_listen(now);
        let mut idle = self.idle();
        if !may_listen || idle.len() >= most {
            return;
        }
        if idle.is_empty() {
            let node = Arc::clone(self);
            wit_bindgen::spawn(async move { node.close_idle().await });
        }
        idle.push((now, connection));
    }

    /// Closes idle connections in time, until there are none.
    async fn close_idle(&self) {
        loop {
            spin_sdk::time::sleep(IDLE_CHECK).await;
            self.give_way().await;
            let mut idle = self.idle();
            idle.retain(|(since, _)| since.elapsed() < IDLE);
            if idle.is_empty() {
                return;
            }
        }
    }

    /// A connection on which nobody blocks at the moment, if there is one.
    pub(super) fn idle_connection(&self) -> Option<Connection> {
        self.idle().pop().map(|(_, connection)| connection)
    }

    /// Whether there are as many as this.
    pub(super) fn has_idle(&self, count: usize) -> bool {
        self.idle().len() >= count
    }

    /// Looks now and then whether there is room for another connection, and makes some where there
    /// is none: all close those that they listen over. Where that was not enough, an instance keeps
    /// its shared connection only as long as a call needs it.
    pub(super) async fn give_way(&self) {
        let now = Instant::now();
        if !self.room.is_due(now) || self.room.is_there().await {
            return;
        }
        if self.may_listen(now) {
            self.nobody_listens(NO_ROOM_MEMORY);
        } else {
            self.room.note_scarce();
        }
    }

    /// Closes the shared connection after a call over it, if others need the room and no other call
    /// is under way.
    pub(super) fn leave(&self, connection: Arc<Connection>) {
        // One is ours, one the node's.
        if self.room.is_scarce() && Arc::strong_count(&connection) <= 2 {
            self.discard(&connection);
        }
    }

    fn listening(&self) -> MutexGuard<'_, Listening> {
        self.listening
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Instant, Connection)>> {
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
        let began = Instant::now();
        let opened = self.room.watch(Connection::open(&self.address)).await;
        let connection =
            Arc::new(opened.map_err(|error| RedisError::from_spin(error, sent.any()))?);
        self.opened_in(began.elapsed());
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
