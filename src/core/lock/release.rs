//! Giving a lock back, and withdrawing a token: then the calls that wait with it are cancelled too.

use std::time::Duration;

use super::FencingToken;
use super::cancel::CANCELLED;
use super::owned_lock::OwnedLock;
use super::scripts::{FENCE, FORMATS, GIVE_BACK, HOLDER, QUEUE, proof_ttl, yes_or_no};
use crate::platform::redis::{Argument, RedisError, Repeat, Script, lua};
use crate::types::random;

static RELEASE: Script = Script::new(&[
    FORMATS,
    FENCE,
    HOLDER,
    QUEUE,
    GIVE_BACK,
    CANCELLED,
    lua!("release.lua"),
]);

/// How long the calls that wait with a token are kept from waiting again, after a release with that
/// token: longer than the longest wait.
const WITHDRAWAL_TTL: Duration = Duration::from_secs(90);

/// What the call of a release begins with if the holder's work has ended: see `formats.lua`.
const ENDED: &str = "ended:";

/// What is known of a holder's work when it gives the lock back.
#[derive(Debug, Clone, Copy)]
pub(super) enum HoldersWork {
    /// It has ended.
    Ended,
    /// It was dropped, or its end is not known.
    MayGoOn,
}

impl OwnedLock {
    /// Gives the lock back; `false` if it is not the token's. `work` says what is known of the
    /// holder's work, and `number` is its fencing token, where that is known.
    pub(super) async fn release(
        &self,
        work: HoldersWork,
        number: Option<FencingToken>,
    ) -> Result<bool, RedisError> {
        self.release_and(work, number, None).await
    }

    /// Gives the lock back as [`OwnedLock::release`] does, and cancels the calls that wait with its
    /// token; `false` if there is neither.
    pub(super) async fn withdraw(&self, work: HoldersWork) -> Result<bool, RedisError> {
        let cancelled = self.cancelled_by_token();
        self.release_and(work, None, Some(&cancelled)).await
    }

    async fn release_and(
        &self,
        work: HoldersWork,
        number: Option<FencingToken>,
        cancelled: Option<&str>,
    ) -> Result<bool, RedisError> {
        let call = match work {
            HoldersWork::Ended => format!("{ENDED}{}", random::hex128()),
            HoldersWork::MayGoOn => random::hex128(),
        };
        let proof_ttl = proof_ttl(&self.redis);
        let arguments = [
            self.token_argument(),
            Argument::Bytes(call.as_bytes()),
            self.waiters(&proof_ttl),
            number.map_or(Argument::Bytes(b""), |number| {
                Argument::Integer(number.get())
            }),
            Argument::millis(WITHDRAWAL_TTL),
        ];
        let [lock, fence, queue] = self.keys();
        let keys = [lock, fence, queue, cancelled.unwrap_or_default()];
        let (keys, arguments) = match cancelled {
            Some(_) => (&keys[..], &arguments[..]),
            None => (&keys[..3], &arguments[..4]),
        };
        let reply = self.redis.script(&RELEASE, keys, arguments, Repeat::Safe);
        yes_or_no(&reply.await?)
    }
}
