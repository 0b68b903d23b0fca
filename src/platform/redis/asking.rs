//! While a cluster moves a slot: `ASK` and `TRYAGAIN`
//! (<https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#ask-redirection>).
//!
//! The node that gives a slot away answers `ASK` for a key that it does not have. The node that
//! gets the slot carries out a command for it only directly behind `ASKING`. On a shared connection
//! another request's command may come between the two, so they go over a connection of their own.
//!
//! A command with several keys is carried out only where all of them are. Some keys of a lock are
//! nearly always absent, so its scripts get `TRYAGAIN` until the slot has arrived, and wait. To
//! name fewer keys would not help: what a script then found absent might be at the other node, a
//! holder's token too.

use std::sync::Arc;
use std::time::{Duration, Instant};

use spin_sdk::redis::{Connection, RedisParameter, RedisResult};

use super::listener::MOST_IDLE;
use super::node::Node;
use super::retryable_errors::{Remedy, remedy};
use super::{Redis, RedisError, RedisErrorKind};

/// How long a command waits before it is sent again.
const PAUSE: Duration = Duration::from_millis(50);

impl Redis {
    /// Follows the `ASK` in `refusal`. `None` means that the call has to begin anew, at the node
    /// that has the slot; `repeats` is how often that may be because a connection broke.
    pub(super) async fn ask(
        &self,
        began: Instant,
        refusal: RedisError,
        command: &str,
        parameters: &dyn Fn() -> Vec<RedisParameter>,
        repeats: &mut usize,
    ) -> Result<Option<Vec<RedisResult>>, RedisError> {
        let asked = refusal.asked().and_then(|place| self.link.node_at(&place));
        let Some(node) = asked else {
            return Err(refusal);
        };
        let error = match node.execute_asking(command, parameters).await {
            Ok(reply) => return Ok(Some(reply)),
            Err(error) => error,
        };
        match remedy(error.kind()) {
            // Not all of the keys are there yet, or the node knows nothing of the move any more.
            Remedy::TryLater | Remedy::Ask | Remedy::FollowRedirection => {
                self.wait_for_slot(began, error).await?;
            }
            Remedy::RepeatOnNewConnection if *repeats > 0 => *repeats -= 1,
            _ => return Err(error),
        }
        Ok(None)
    }

    /// Waits a little for a slot to arrive, if the call that began at `began` has the time.
    pub(super) async fn wait_for_slot(
        &self,
        began: Instant,
        refusal: RedisError,
    ) -> Result<(), RedisError> {
        let limit = self.deadline.clamp_call(began, self.timeout);
        if began.elapsed() + 2 * PAUSE > limit {
            return Err(refusal);
        }
        self.pause_for_slot().await;
        Ok(())
    }

    /// Waits a little for a slot to arrive, also where the call has no time left.
    pub(crate) async fn pause_for_slot(&self) {
        spin_sdk::time::sleep(PAUSE).await;
    }
}

impl Node {
    /// Sends `ASKING` and a command, with nothing in between.
    async fn execute_asking(
        self: &Arc<Self>,
        command: &str,
        parameters: &dyn Fn() -> Vec<RedisParameter>,
    ) -> Result<Vec<RedisResult>, RedisError> {
        let mut idle = self.idle_connection();
        let connection = loop {
            let is_new = idle.is_none();
            let connection = match idle.take() {
                Some(connection) => connection,
                None => Connection::open(&self.address)
                    .await
                    .map_err(|error| RedisError::from_spin(error, false))?,
            };
            match connection.execute("ASKING", []).await {
                Ok(_) => break connection,
                Err(error) => {
                    let error = RedisError::from_spin(error, false);
                    // One that lay idle may have been closed meanwhile.
                    if is_new || error.kind() != RedisErrorKind::Unreachable {
                        return Err(error);
                    }
                }
            }
        };
        let outcome = connection.execute(command, parameters()).await;
        let outcome = outcome.map_err(|error| RedisError::from_spin(error, true));
        match &outcome {
            Err(error) if !matches!(error.kind(), RedisErrorKind::Refused(_)) => {}
            _ => self.keep(connection, MOST_IDLE),
        }
        outcome
    }
}
