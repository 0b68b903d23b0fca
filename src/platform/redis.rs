//! The only caller of Spin's Redis: one shared connection per component instance, a time limit on
//! every call, typed errors, scripts.
//!
//! Spin's `open` makes a new TCP connection and its `execute` pipelines whatever is sent over one,
//! both without any limit of time (`crates/factor-outbound-redis` in Spin). So an instance opens
//! one connection on first use, all its requests share it, and every call here races a timer. A
//! connection that broke never works again: it is dropped, and the next command opens another. No
//! blocking command may ever go over it, since every other request would wait behind.
//!
//! Against a cluster, `MOVED` and `ASK` are followed to the node they name, if the component may
//! connect to that.

mod asking;
mod cluster;
mod error;
mod link;
mod listener;
mod node;
mod retryable_errors;
mod room;
pub(crate) mod script;
mod value;

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use spin_sdk::redis::{Connection, RedisParameter, RedisResult};

use crate::platform::request_deadline::RequestDeadline;
use crate::platform::time_limit::{within, within_since};
pub use error::{Code, RedisError, RedisErrorKind};
pub use link::Link;
pub(crate) use listener::Listener;
use node::Node;
pub use retryable_errors::Repeat;
use retryable_errors::{Remedy, remedy};
pub(crate) use script::lua;
pub use script::{Argument, Script};
pub(crate) use value::ValueAndTtl;

/// How often one call follows a `MOVED`.
const MOST_REDIRECTIONS: usize = 3;

/// How often a rest looks whether others need a connection.
const ROOM_CHECK: Duration = Duration::from_millis(250);

/// A handle on the shared connection that adds up the time spent waiting for Redis. Clones add to
/// the same sum: one handle and its clones belong to one request.
#[derive(Clone)]
pub struct Redis {
    link: Arc<Link>,
    timeout: Duration,
    deadline: RequestDeadline,
    spent_us: Arc<AtomicU64>,
}

impl Redis {
    /// A handle whose every call takes `timeout` at most, connecting and repeating included.
    pub fn new(link: Arc<Link>, timeout: Duration) -> Self {
        link.note_handle();
        Self {
            link,
            timeout,
            deadline: RequestDeadline::NONE,
            spent_us: Arc::default(),
        }
    }

    /// This handle for a request that has to be over by then: no call outlasts it, and
    /// [`Redis::deadline`] tells those who wait.
    #[must_use]
    pub(crate) fn ending_by(self, deadline: RequestDeadline) -> Self {
        Self { deadline, ..self }
    }

    /// This handle for work that may outlast the request.
    #[must_use]
    pub(crate) fn in_background(self) -> Self {
        self.ending_by(RequestDeadline::NONE)
    }

    /// When the request of this handle has to be over.
    pub(crate) fn deadline(&self) -> RequestDeadline {
        self.deadline
    }

    /// How long every call may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// How long this handle and its clones have waited for Redis so far. Calls at the same time
    /// count each.
    pub(crate) fn spent(&self) -> Duration {
        Duration::from_micros(self.spent_us.load(Ordering::Relaxed))
    }

    /// Sleeps until the next call. Where others find no room for a connection meanwhile, ours are
    /// closed: `max_connections` caps all instances of a host, and many may rest at once.
    pub(crate) async fn rest(&self, duration: Duration) {
        let until = Instant::now() + duration;
        let mut left = duration;
        while left > ROOM_CHECK {
            spin_sdk::time::sleep(ROOM_CHECK).await;
            left = until.saturating_duration_since(Instant::now());
            within(left, self.give_way_at_rest()).await;
            left = until.saturating_duration_since(Instant::now());
        }
        spin_sdk::time::sleep(left).await;
    }

    /// How many commands a call is: more than one where the host has too few connections for its
    /// instances, so that each call may open one of its own, log in and select the database.
    pub(crate) fn commands_per_call(&self) -> u32 {
        let nodes = self.link.nodes();
        let commands = nodes.iter().map(|node| node.commands_per_call());
        commands.max().unwrap_or(1)
    }

    /// What [`Redis::rest`] does now and then, for those who rest for a short time again and again.
    pub(crate) async fn give_way_at_rest(&self) {
        for node in self.link.nodes() {
            node.give_way_at_rest().await;
        }
    }

    /// Sends one command and returns its reply, flattened as Spin does it.
    ///
    /// A transport error is met once with a new connection where `repeat` allows it; a time-out
    /// never is.
    ///
    /// # Errors
    /// [`RedisError`], after `timeout` at the latest.
    ///
    /// # Cancellation
    /// Dropping the future drops the answer, not the command: once sent, it is carried out.
    pub async fn command(
        &self,
        command: &str,
        arguments: &[RedisParameter],
        repeat: Repeat,
    ) -> Result<Vec<RedisResult>, RedisError> {
        let began = Instant::now();
        let sent = Sent::default();
        let key = match arguments.first() {
            Some(RedisParameter::Binary(key)) => Some(key.as_slice()),
            _ => None,
        };
        let parameters = || arguments.iter().map(copy).collect();
        let call = self.repeating(began, key, command, &parameters, repeat, &sent);
        let (reply, _) = self.limited(began, &sent, call).await?;
        Ok(reply)
    }

    /// Runs a script by its digest (`EVALSHA`), and where the server does not know it yet, by its
    /// text (`EVAL`, which also teaches it).
    ///
    /// # Errors
    /// As [`Redis::command`]; both tries share one `timeout`.
    pub async fn script(
        &self,
        script: &Script,
        keys: &[&str],
        arguments: &[Argument<'_>],
        repeat: Repeat,
    ) -> Result<Vec<RedisResult>, RedisError> {
        let began = Instant::now();
        let (reply, _) = self
            .script_since(began, script, keys, arguments, repeat)
            .await?;
        Ok(reply)
    }

    /// As [`Redis::script`], called at `began`, which is now. Returns when the reply came, too: to
    /// ask for the time is a call of the host, and those who need it need it both times.
    pub(crate) async fn script_since(
        &self,
        began: Instant,
        script: &Script,
        keys: &[&str],
        arguments: &[Argument<'_>],
        repeat: Repeat,
    ) -> Result<(Vec<RedisResult>, Instant), RedisError> {
        let sent = Sent::default();
        let key = keys.first().map(|key| key.as_bytes());
        let call = async {
            let by_digest = || script.by_digest(keys, arguments);
            let outcome = self.repeating(began, key, "EVALSHA", &by_digest, repeat, &sent);
            match outcome.await {
                Err(error) if error.kind() == RedisErrorKind::Refused(Code::NoScript) => {
                    let by_text = || script.by_text(keys, arguments);
                    self.repeating(began, key, "EVAL", &by_text, repeat, &sent)
                        .await
                }
                outcome => outcome,
            }
        };
        self.limited(began, &sent, call).await
    }

    /// Races a call that begins now, at `began`, against the time limit and keeps the account of
    /// the time spent. Returns when the reply came, too.
    async fn limited<T>(
        &self,
        began: Instant,
        sent: &Sent,
        call: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<(T, Instant), RedisError> {
        let limit = self.deadline.clamp_call(began, self.timeout);
        if limit.is_zero() {
            return Err(RedisError::timed_out(limit, false));
        }
        let outcome = within_since(began, limit, call).await;
        let ended = Instant::now();
        let spent = ended.saturating_duration_since(began).as_micros() as u64;
        self.spent_us.fetch_add(spent, Ordering::Relaxed);
        let last = sent.take();
        let outcome = match (outcome, last) {
            (Some(outcome), None) => outcome,
            (Some(outcome), Some((node, connection))) => {
                node.leave(connection);
                outcome
            }
            (None, last) => {
                if let Some((node, connection)) = &last {
                    // It may be a black hole: others should not wait on it too. If it was merely
                    // slow, a new one costs little.
                    node.discard(connection);
                    self.link.forget(node);
                }
                Err(RedisError::timed_out(limit, last.is_some()))
            }
        };
        Ok((outcome?, ended))
    }

    /// Sends a command to the node that has `key`, and after a transport error once more over a new
    /// connection. Each try has its parameters made anew, since the host takes them.
    async fn repeating(
        &self,
        began: Instant,
        key: Option<&[u8]>,
        command: &str,
        parameters: &dyn Fn() -> Vec<RedisParameter>,
        repeat: Repeat,
        sent: &Sent,
    ) -> Result<Vec<RedisResult>, RedisError> {
        let mut repeats = usize::from(repeat == Repeat::Safe);
        // Opening has done nothing, so it may be repeated in any case.
        let mut openings = 1;
        let mut redirections = MOST_REDIRECTIONS;
        let mut node = self.link.node_for(key);
        loop {
            let connection = match node.connection(sent).await {
                Ok(connection) => connection,
                Err(error) => {
                    self.link.forget(&node);
                    if error.kind() != RedisErrorKind::Unreachable || openings == 0 {
                        return Err(error);
                    }
                    openings -= 1;
                    node = self.link.node_for(key);
                    continue;
                }
            };
            sent.over(&node, &connection);
            let error = match connection.execute(command, parameters()).await {
                Ok(reply) => return Ok(reply),
                Err(error) => RedisError::from_spin(error, true),
            };
            match remedy(error.kind()) {
                Remedy::FollowRedirection if redirections > 0 => {
                    redirections -= 1;
                    let moved = error.moved().and_then(|moved| self.link.follow(&moved));
                    node = moved.ok_or(error)?;
                }
                Remedy::Ask => {
                    let asking = self.ask(began, error, command, parameters, &mut repeats);
                    if let Some(reply) = asking.await? {
                        return Ok(reply);
                    }
                    node = self.link.node_for(key);
                }
                Remedy::TryLater => {
                    self.wait_for_slot(began, error).await?;
                    node = self.link.node_for(key);
                }
                Remedy::RepeatOnNewConnection => {
                    node.discard(&connection);
                    self.link.forget(&node);
                    if repeats == 0 {
                        return Err(error);
                    }
                    repeats -= 1;
                    node = self.link.node_for(key);
                }
                Remedy::ReconnectForOthers => {
                    node.discard(&connection);
                    self.link.forget(&node);
                    return Err(error);
                }
                Remedy::FollowRedirection | Remedy::Nothing => return Err(error),
            }
        }
    }
}

/// What one call has sent so far, to be read after it was cut short.
#[derive(Default)]
struct Sent(Mutex<Option<(Arc<Node>, Arc<Connection>)>>);

impl Sent {
    fn over(&self, node: &Arc<Node>, connection: &Arc<Connection>) {
        *self.slot() = Some((Arc::clone(node), Arc::clone(connection)));
    }

    /// The node and the connection to which the last command went, if any went at all.
    fn take(&self) -> Option<(Arc<Node>, Arc<Connection>)> {
        self.slot().take()
    }

    fn any(&self) -> bool {
        self.slot().is_some()
    }

    fn slot(&self) -> MutexGuard<'_, Option<(Arc<Node>, Arc<Connection>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes as a parameter of a command.
pub(crate) fn binary(bytes: &[u8]) -> RedisParameter {
    RedisParameter::Binary(bytes.to_vec())
}

fn copy(parameter: &RedisParameter) -> RedisParameter {
    match parameter {
        RedisParameter::Int64(number) => RedisParameter::Int64(*number),
        RedisParameter::Binary(bytes) => RedisParameter::Binary(bytes.clone()),
    }
}
