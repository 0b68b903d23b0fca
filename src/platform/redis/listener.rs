//! Blocking for a signal, on a connection that nobody else uses meanwhile.

use std::sync::Arc;
use std::time::{Duration, Instant};

use spin_sdk::redis::Connection;

use super::{Node, Redis, binary};
use crate::platform::time_limit::within;

/// How much later than Redis itself the time is up here, before a connection is given up.
const GRACE: Duration = Duration::from_millis(20);

/// How long to pause where there is no blocking: Redis refuses it, or no connection can be had.
const WITHOUT_SIGNAL: Duration = Duration::from_millis(100);

/// The most connections that are kept for the next ones who wait: as many as wait in an instance at
/// once.
const MOST_IDLE: usize = 16;

impl Redis {
    /// Listens for signals at the list `key`. Nothing is opened yet.
    pub(crate) fn listener(&self, key: String) -> Listener {
        Listener {
            node: self.link.node_for(Some(key.as_bytes())),
            key,
            connection: None,
        }
    }
}

/// What came of waiting for a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A signal.
    Signal,
    /// Nothing, and the time is up.
    Nothing,
    /// There may have been a signal: it could not be listened to, or not to the end.
    Unsure,
}

/// One who waits for signals. Its connection is its own until it is dropped, and then another's.
pub(crate) struct Listener {
    /// The server that has the key, as far as is known: the lock was just asked for there.
    node: Arc<Node>,
    key: String,
    connection: Option<Connection>,
}

impl Listener {
    /// Returns when there is a signal, or after `limit`; a signal that was sent before counts.
    /// Where Redis can't be listened to it returns after a while of at most 100 ms.
    ///
    /// # Cancellation
    /// Dropping the future loses a signal that comes later; its list expires.
    pub(crate) async fn wait(&mut self, limit: Duration) -> Heard {
        let until = Instant::now() + limit;
        match within(limit + GRACE, self.signal(until)).await {
            Some(heard) => heard,
            None => {
                // A `BLPOP` without an answer: the connection is of no more use.
                self.connection = None;
                Heard::Unsure
            }
        }
    }

    async fn signal(&mut self, until: Instant) -> Heard {
        loop {
            let used = self.connection.take().or_else(|| self.node.idle().pop());
            let is_new = used.is_none();
            let connection = match used {
                Some(connection) => connection,
                None => match self.node.open().await {
                    Some(connection) => connection,
                    None => break,
                },
            };
            let left = until.saturating_duration_since(Instant::now());
            // 0 would be for ever.
            let seconds = format!("{:.3}", left.as_secs_f64().max(0.001));
            let arguments = [binary(self.key.as_bytes()), binary(seconds.as_bytes())];
            if let Ok(reply) = connection.execute("BLPOP", arguments).await {
                self.connection = Some(connection);
                let is_signal = matches!(reply.as_slice(), [_, _]);
                return if is_signal {
                    Heard::Signal
                } else {
                    Heard::Nothing
                };
            }
            // One that lay idle may have been closed meanwhile.
            if is_new {
                break;
            }
        }
        let left = until.saturating_duration_since(Instant::now());
        spin_sdk::time::sleep(left.min(WITHOUT_SIGNAL)).await;
        Heard::Unsure
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut idle = self.node.idle();
        if idle.len() < MOST_IDLE {
            idle.extend(self.connection.take());
        }
    }
}
