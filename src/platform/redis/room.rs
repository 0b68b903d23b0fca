//! Whether the host has room for another connection.
//!
//! `max_connections` caps the connections of all instances of a host, and at the cap `open` waits.
//! No instance knows the cap or the others. But `open` waits for room before it looks at the
//! address (`crates/factor-outbound-redis` in Spin, and this repository's host). So an `open` of an
//! address that names no database tells: it fails at once where there is room, and never connects.

use std::future::Future;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::future::{Either, select};
use spin_sdk::redis::{Connection, Error};

use crate::platform::time_limit::within;

/// How often those who wait look whether there is room. Others wait for a connection for
/// `redis_timeout` at most.
const INTERVAL: Duration = Duration::from_millis(250);

/// How long a look may take where there is room.
const LIMIT: Duration = Duration::from_millis(50);

/// An `open` that takes longer than this may be waiting for room.
const SLOW: Duration = Duration::from_millis(100);

/// How long it is remembered that there is no room, though nobody listens.
const MEMORY: Duration = Duration::from_secs(10);

/// How long a pause and the opening after it may take together: a waiter that is silent for 1.5 s
/// counts as dead.
const LONGEST_TURN: Duration = Duration::from_millis(1300);

/// What is known of the room for connections to a node.
pub(super) struct Room {
    /// An address of the node that is never connected to.
    address: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    looked: Option<Instant>,
    scarce_until: Option<Instant>,
    /// How long the last opening of a connection took, with the wait for its turn.
    opening: Duration,
}

impl Room {
    /// The room for connections to `redis[s]://[user:password@]host:port/db`.
    pub(super) fn new(address: &str) -> Self {
        let server = address
            .rsplit_once('/')
            .map_or(address, |(server, _)| server);
        Self {
            address: format!("{server}/none"),
            state: Mutex::default(),
        }
    }

    /// Whether another connection could be opened now.
    pub(super) async fn is_there(&self) -> bool {
        let opened = within(LIMIT, Connection::open(&self.address)).await;
        !matches!(opened, None | Some(Err(Error::TooManyConnections)))
    }

    /// Whether it is time to look. Of those who ask at the same time, one is told so.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let mut state = self.state();
        let due = state.looked.is_none_or(|looked| now >= looked + INTERVAL);
        if due {
            state.looked = Some(now);
        }
        due
    }

    /// Notes that instances have to take turns.
    pub(super) fn note_scarce(&self) {
        self.state().scarce_until = Some(Instant::now() + MEMORY);
    }

    /// Whether instances have to take turns.
    pub(super) fn is_scarce(&self) -> bool {
        let until = self.state().scarce_until;
        until.is_some_and(|until| Instant::now() < until)
    }

    /// Notes how long it took to open a connection, with the wait for room.
    pub(super) fn note_opening(&self, took: Duration) {
        self.state().opening = took;
    }

    /// How long to pause before the next call, if instances have to take turns: as long as the last
    /// opening took, and so much shorter that both together are no longer than [`LONGEST_TURN`].
    pub(super) fn turn_pause(&self) -> Duration {
        if self.is_scarce() {
            let opening = self.state().opening;
            opening.min(LONGEST_TURN.saturating_sub(opening))
        } else {
            Duration::ZERO
        }
    }

    /// Awaits the opening of a connection, and notes if it is room that it waits for.
    pub(super) async fn watch<T>(&self, opening: impl Future<Output = T>) -> T {
        let look = pin!(async {
            spin_sdk::time::sleep(SLOW).await;
            if !self.is_there().await {
                self.note_scarce();
            }
        });
        match select(pin!(opening), look).await {
            Either::Left((opened, _)) => opened,
            Either::Right(((), opening)) => opening.await,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
