//! One server: the connection that all requests of a component instance share, and those that its
//! waiters listen over.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use spin_sdk::redis::{Connection, Error};

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

/// One server, and the connection to it.
pub(super) struct Node {
    pub(super) address: String,
    current: Mutex<Option<Arc<Connection>>>,
    /// Held while a connection is being opened, so that a burst of first requests opens one and not
    /// sixteen.
    opening: futures::lock::Mutex<()>,
    idle: Mutex<Idle>,
    listening: Mutex<Listening>,
    room: Room,
    /// Held while a connection is being opened to listen.
    opening_to_listen: futures::lock::Mutex<()>,
}

/// Connections on which nobody blocks at the moment.
#[derive(Default)]
struct Idle {
    /// Each, and since when.
    connections: Vec<(Instant, Connection)>,
    /// A task closes them in time, as far as is known. It may end with the request that began it.
    watched_until: Option<Instant>,
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

impl Node {
    /// A server at this address. Nothing is opened yet.
    pub(super) fn new(address: String) -> Self {
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
    /// nobody listens for a while. A server that cannot be reached is tried again by the next call.
    pub(super) async fn open_to_listen(&self, open_limit: Duration) -> Option<Connection> {
        // One at a time: each looks whether it leaves room.
        let _opening = self.opening_to_listen.lock().await;
        if !self.may_listen(Instant::now()) {
            return None;
        }
        let began = Instant::now();
        match within(open_limit, Connection::open(&self.address)).await {
            Some(Ok(connection)) if self.room.is_there().await => {
                self.opened_in(began.elapsed());
                Some(connection)
            }
            // Redis is away for now: that says nothing of the room.
            Some(Err(error)) if !matches!(error, Error::TooManyConnections) => None,
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
        self.idle().connections.clear();
    }

    /// Keeps a connection for the next one who listens, if there are fewer than `most`. It is kept
    /// for a second.
    pub(super) fn keep(self: &Arc<Self>, connection: Connection, most: usize) {
        let now = Instant::now();
        let may_listen = self.may_listen(now);
        let mut idle = self.idle();
        if !may_listen || idle.connections.len() >= most {
            return;
        }
        idle.connections.push((now, connection));
        if idle.watched_until.is_none_or(|until| until < now) {
            idle.watched_until = Some(now + IDLE);
            let node = Arc::clone(self);
            wit_bindgen::spawn(async move { node.close_idle().await });
        }
    }

    /// Closes idle connections in time, until there are none.
    async fn close_idle(&self) {
        loop {
            spin_sdk::time::sleep(IDLE_CHECK).await;
            self.give_way().await;
            let now = Instant::now();
            let mut idle = self.idle();
            idle.connections.retain(|(since, _)| now < *since + IDLE);
            if idle.connections.is_empty() {
                idle.watched_until = None;
                return;
            }
            idle.watched_until = Some(now + IDLE);
        }
    }

    /// A connection on which nobody blocks at the moment, if there is one.
    pub(super) fn idle_connection(&self) -> Option<Connection> {
        self.idle()
            .connections
            .pop()
            .map(|(_, connection)| connection)
    }

    /// Whether there are as many as this.
    pub(super) fn has_idle(&self, count: usize) -> bool {
        self.idle().connections.len() >= count
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
            self.take_turns();
        }
    }

    /// Looks as [`Node::give_way`] does, for an instance that rests between two calls. The shared
    /// connection may be all that it has, so that is closed at once.
    pub(super) async fn give_way_at_rest(&self) {
        let now = Instant::now();
        if self.room.is_due(now) && !self.room.is_there().await {
            self.nobody_listens(NO_ROOM_MEMORY);
            self.take_turns();
        }
    }

    /// How many commands a call is: the shared connection may be kept only as long as a call needs
    /// it.
    pub(super) fn commands_per_call(&self) -> u32 {
        if self.room.is_scarce() {
            1 + opening_commands(&self.address)
        } else {
            1
        }
    }

    /// How long to pause at least between two calls where instances have to take turns: as long as
    /// the last opening took, so that those who wait ask for fewer connections than there are.
    pub(super) fn turn_pause(&self) -> Duration {
        self.room.turn_pause()
    }

    /// From now on keeps the shared connection only as long as a call needs it.
    fn take_turns(&self) {
        self.room.note_scarce();
        let mut slot = self.slot();
        if slot
            .as_ref()
            .is_some_and(|ours| Arc::strong_count(ours) == 1)
        {
            *slot = None;
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

    fn idle(&self) -> MutexGuard<'_, Idle> {
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
        self.room.note_opening(began.elapsed());
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

/// How many commands of ours open a connection to `redis[s]://[user:password@]host:port/db`: a login
/// and the selection of the database. What the host's client tells of itself is not counted.
fn opening_commands(address: &str) -> u32 {
    let logs_in = address.contains('@');
    let selects = !address.ends_with("/0");
    u32::from(logs_in) + u32::from(selects)
}

#[cfg(test)]
mod tests {
    use super::opening_commands;

    #[test]
    fn a_login_and_a_database_are_a_command_each() {
        for (address, commands) in [
            ("redis://127.0.0.1:6379/0", 0),
            ("rediss://:secret@redis.example:6379/0", 1),
            ("redis://127.0.0.1:6379/10", 1),
            ("redis://anna:secret@redis.example:6379/3", 2),
        ] {
            assert_eq!(opening_commands(address), commands, "{address}");
        }
    }
}
