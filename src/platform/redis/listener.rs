//! Listening for a signal, on a connection that nobody else uses meanwhile.
//!
//! A listener blocks in `BLPOP` again and again over one connection. Redis ends a `BLPOP` up to a
//! tick (100 ms at `hz 10`) and a round trip late, so a caller's wait does not end with one: the
//! call goes on and the next wait takes it up. Where blocking is refused, or there is no room for
//! another connection, the listener sleeps instead. Both are remembered for the node.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use spin_sdk::redis::Connection;

use super::link::Link;
use super::node::Blocking;
use super::{Node, Redis, RedisError, RedisErrorKind, binary};
use crate::platform::time_limit::within;
use crate::types::random;

/// How long one `BLPOP` blocks at the most. Some clients of Redis give up on an answer after 500
/// ms.
const BLOCK: Duration = Duration::from_millis(450);

/// How long one blocks where Redis knows no decimals: Redis 5.
const BLOCK_WHOLE: Duration = Duration::from_secs(1);

/// How long one blocks at least: nobody listens that late, and 0 is for ever.
const LEAST_BLOCK: Duration = Duration::from_millis(10);

/// Nobody opens a connection for what is left of a wait, if that is less.
const WORTH_OPENING: Duration = Duration::from_millis(50);

/// How long to pause where there is no listening: at least and at most, in milliseconds. With a
/// look after each that is under five commands a second.
const PAUSE_MS: (u64, u64) = (205, 235);

/// How often a listener checks whether there is still room for its connection.
const ROOM_CHECK: Duration = Duration::from_millis(100);

/// The most connections that are kept for the next waiters.
pub(super) const MOST_IDLE: usize = 4;

impl Redis {
    /// Listens for signals at the list `key`. Nothing is opened yet.
    pub(crate) fn listener(&self, key: String) -> Listener {
        Listener {
            node: self.link.node_for(Some(key.as_bytes())),
            link: Arc::clone(&self.link),
            timeout: self.timeout,
            key,
            connection: None,
            call: None,
        }
    }
}

/// One who waits for signals. Its connection is its own until it is dropped, and then another's.
pub(crate) struct Listener {
    link: Arc<Link>,
    /// The server that has the key, as far as is known: the lock was just asked for there.
    node: Arc<Node>,
    timeout: Duration,
    key: String,
    /// Its connection, while no call is under way.
    connection: Option<Connection>,
    call: Option<Call>,
}

/// A `BLPOP` under way, with the opening of its connection if it has none.
struct Call {
    answer: Pin<Box<dyn Future<Output = Answer> + Send>>,
    /// Without an answer by then, the connection is of no use any more.
    given_up_at: Instant,
}

/// What came of a call.
enum Answer {
    Signal(Connection),
    Nothing(Connection),
    /// There is no listening, at the moment or at all.
    Failed,
}

impl Listener {
    /// Returns when there may be a signal, or after `limit`; a signal that was sent before counts.
    /// Where there is no listening it returns after 235 ms at the latest. Nobody waits any more
    /// after `deadline`.
    ///
    /// # Cancellation
    /// Dropping the future loses nothing: the next wait takes up the call under way.
    pub(crate) async fn wait(&mut self, limit: Duration, deadline: Instant) {
        let until = (Instant::now() + limit).min(deadline);
        loop {
            let now = Instant::now();
            if now >= until {
                return;
            }
            self.node.give_way().await;
            if !self.node.may_listen(now) {
                self.connection = None;
                self.call = None;
                return self.pause(until).await;
            }
            let call = match &mut self.call {
                Some(call) => call,
                None => {
                    let left = deadline - now;
                    if !self.is_worth_blocking(left) {
                        return self.pause(until).await;
                    }
                    let call = self.block(now, left);
                    self.call.insert(call)
                }
            };
            let slice = until.min(now + ROOM_CHECK).min(call.given_up_at);
            let answer = within(slice.saturating_duration_since(now), call.answer.as_mut()).await;
            match answer {
                None if Instant::now() < call.given_up_at => continue,
                None => self.call = None,
                Some(answer) => {
                    self.call = None;
                    match answer {
                        Answer::Signal(connection) => {
                            self.connection = Some(connection);
                            return;
                        }
                        Answer::Nothing(connection) => self.connection = Some(connection),
                        Answer::Failed => return self.pause(until).await,
                    }
                }
            }
        }
    }

    /// Whether to block for what is left of a wait. In whole seconds, a `BLPOP` would outlast it and
    /// keep the connection from the next waiter.
    fn is_worth_blocking(&self, left: Duration) -> bool {
        match self.node.blocking() {
            Blocking::WholeSeconds => left >= BLOCK_WHOLE,
            Blocking::Decimals => {
                left >= WORTH_OPENING || self.connection.is_some() || self.node.has_idle(1)
            }
        }
    }

    async fn pause(&self, until: Instant) {
        let (least, most) = PAUSE_MS;
        let pause = Duration::from_millis(least + random::bits64() % (most - least + 1));
        let pause = (pause * self.node.commands_per_call()).max(self.node.turn_pause());
        let left = until.saturating_duration_since(Instant::now());
        spin_sdk::time::sleep(left.min(pause)).await;
    }

    fn block(&mut self, now: Instant, left: Duration) -> Call {
        let node = self.link.node_for(Some(self.key.as_bytes()));
        if !Arc::ptr_eq(&node, &self.node) {
            self.connection = None;
            self.node = node;
        }
        let open_limit = self.node.open_limit().min(self.timeout);
        let answer = block(
            Arc::clone(&self.node),
            self.connection.take(),
            self.key.clone(),
            left.clamp(LEAST_BLOCK, BLOCK),
            open_limit,
        );
        Call {
            answer: Box::pin(answer),
            given_up_at: now + open_limit + BLOCK_WHOLE + self.timeout,
        }
    }
}

/// Blocks once, for `limit` where Redis knows decimals, over `used`, an idle connection, or a new
/// one.
async fn block(
    node: Arc<Node>,
    used: Option<Connection>,
    key: String,
    limit: Duration,
    open_limit: Duration,
) -> Answer {
    let mut used = used.or_else(|| node.idle_connection());
    loop {
        let is_new = used.is_none();
        let connection = match used.take() {
            Some(connection) => connection,
            None => match node.open_to_listen(open_limit).await {
                Some(connection) => connection,
                None => return Answer::Failed,
            },
        };
        let seconds = match node.blocking() {
            // Less than a second.
            Blocking::Decimals => format!("0.{:03}", limit.as_millis()),
            Blocking::WholeSeconds => BLOCK_WHOLE.as_secs().to_string(),
        };
        let arguments = [binary(key.as_bytes()), binary(seconds.as_bytes())];
        let error = match connection.execute("BLPOP", arguments).await {
            Ok(reply) if reply.len() == 2 => return Answer::Signal(connection),
            Ok(_) => return Answer::Nothing(connection),
            Err(error) => RedisError::from_spin(error, true),
        };
        match error.kind() {
            RedisErrorKind::Refused(_) if error.knows_no_decimals() => {
                node.knows_no_decimals();
                used = Some(connection);
            }
            RedisErrorKind::Refused(_) if error.forbids_command() => {
                node.refuses_blocking();
                return Answer::Failed;
            }
            // One that lay idle may have been closed meanwhile.
            RedisErrorKind::Unreachable if !is_new => {}
            _ => return Answer::Failed,
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // What is kept for the next waiter keeps an instance that has one request alive after it, and
        // a host that gives each request an instance of its own would have many of those.
        if !self.link.is_shared() {
            return;
        }
        if let Some(connection) = self.connection.take() {
            self.node.keep(connection, MOST_IDLE);
        }
        let Some(mut call) = self.call.take() else {
            return;
        };
        // The call ends soon, and then its connection is another's.
        let node = Arc::clone(&self.node);
        wit_bindgen::spawn(async move {
            loop {
                let now = Instant::now();
                if now >= call.given_up_at || !node.may_listen(now) || node.has_idle(MOST_IDLE) {
                    return;
                }
                let slice = call.given_up_at.min(now + ROOM_CHECK);
                let left = slice.saturating_duration_since(now);
                match within(left, call.answer.as_mut()).await {
                    None => node.give_way().await,
                    Some(Answer::Signal(connection) | Answer::Nothing(connection)) => {
                        return node.keep(connection, MOST_IDLE);
                    }
                    Some(Answer::Failed) => return,
                }
            }
        });
    }
}
