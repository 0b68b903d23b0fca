//! Cancelling a call that would acquire a lock, and the mark that this leaves.

use std::time::Duration;

use super::owned_lock::OwnedLock;
use super::scripts::{FENCE, FORMATS, GIVE_BACK, HOLDER, QUEUE, yes_or_no};
use crate::platform::redis::{Argument, RedisError, Repeat, Script, lua};
use crate::types::digest::sha1_hex_of_lines;

/// The mark of cancelled calls.
pub(super) const CANCELLED: &[u8] = lua!("cancelled.lua");

static CANCEL: Script = Script::new(&[
    FORMATS,
    FENCE,
    HOLDER,
    QUEUE,
    GIVE_BACK,
    CANCELLED,
    lua!("cancel.lua"),
]);

/// How long a cancellation waits for its call, and is tried. TCP gives up on a segment after 15
/// minutes.
pub(super) const CANCELLATION_TTL: Duration = Duration::from_secs(20 * 60);

impl OwnedLock {
    /// Cancels an acquisition whose answer was lost: it waits no longer, takes nothing should it
    /// yet arrive, and gives the lock back if it has taken it, unless a client brought the token.
    pub(super) async fn cancel(&self, call: &str) -> Result<(), RedisError> {
        let cancelled = self.cancelled(call);
        let [lock, fence, queue] = self.keys();
        let keys = [lock, fence, queue, &cancelled];
        let arguments = [
            self.token_argument(),
            Argument::Bytes(call.as_bytes()),
            Argument::millis(CANCELLATION_TTL),
            self.waiters(""),
            Argument::Integer(i64::from(self.token.is_brought())),
        ];
        let reply = self.redis.script(&CANCEL, &keys, &arguments, Repeat::Safe);
        yes_or_no(&reply.await?).map(drop)
    }

    /// The key of the mark that `call` was cancelled.
    pub(super) fn cancelled(&self, call: &str) -> String {
        if self.token.is_brought() {
            self.cancelled_by_token()
        } else {
            self.key.cancelled(call)
        }
    }

    /// The same, for all calls with a token that a client brought.
    pub(super) fn cancelled_by_token(&self) -> String {
        self.key
            .cancelled(&sha1_hex_of_lines(&[self.token.as_str().as_bytes()]))
    }
}
