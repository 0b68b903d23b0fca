//! Writing what was done under a lock, and giving the lock back in the same step.

use std::time::Instant;

use spin_sdk::redis::RedisResult;

use super::FencingToken;
use super::owned_lock::OwnedLock;
use super::scripts::{FENCE, FORMATS, GIVE_BACK, HOLDER, QUEUE, proof_ttl, yes_or_no};
use crate::platform::redis::{Argument, RedisError, Repeat, Script, lua};
use crate::types::ttl::Ttl;

/// The function `commit`, for scripts that do more in the same step.
pub(crate) const COMMITTING: &[u8] = lua!("commit.lua");

static COMMIT: Script = Script::new(&[
    FORMATS,
    FENCE,
    HOLDER,
    QUEUE,
    GIVE_BACK,
    COMMITTING,
    b"return commit(4, 4)",
]);

/// What [`Lease::commit`](super::Lease::commit) writes.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// The Redis key, in the lock's hash slot.
    pub key: &'a str,
    /// The bytes. They must hold the fencing token: a commit that is repeated after a lost answer
    /// knows itself by them.
    pub value: &'a [u8],
    /// How long they are kept.
    pub ttl: Ttl,
}

/// A script that commits and does more, with keys and arguments of its own: behind those of the
/// lock, and before the records.
#[derive(Clone, Copy)]
pub(crate) struct CommitScript<'a> {
    /// [`FORMATS`], [`FENCE`], [`HOLDER`], [`QUEUE`], [`GIVE_BACK`], [`COMMITTING`] and a text that
    /// calls `commit`.
    pub(crate) script: &'static Script,
    pub(crate) keys: &'a [&'a str],
    pub(crate) arguments: &'a [Argument<'a>],
}

impl OwnedLock {
    /// Writes the records, removes other keys, and gives the lock back; `false` if it is not the
    /// token's, or no longer held under the fencing token `given`, and then nothing is changed.
    /// `began` is now.
    pub(super) async fn commit(
        &self,
        began: Instant,
        given: FencingToken,
        records: &[Record<'_>],
        removed: &[&str],
    ) -> Result<bool, RedisError> {
        let plain = CommitScript {
            script: &COMMIT,
            keys: &[],
            arguments: &[],
        };
        let reply = self.commit_by(began, plain, given, records, removed);
        yes_or_no(&reply.await?)
    }

    /// Commits as [`OwnedLock::commit`] does, by a script that does more in the same step. Returns
    /// its reply.
    pub(super) async fn commit_by(
        &self,
        began: Instant,
        by: CommitScript<'_>,
        given: FencingToken,
        records: &[Record<'_>],
        removed: &[&str],
    ) -> Result<Vec<RedisResult>, RedisError> {
        let proof_ttl = proof_ttl(&self.redis);
        let mut keys = self.keys().to_vec();
        keys.extend(by.keys);
        let mut arguments = vec![
            self.token_argument(),
            Argument::Integer(given.get()),
            self.waiters(&proof_ttl),
        ];
        arguments.extend_from_slice(by.arguments);
        for record in records {
            keys.push(record.key);
            arguments.push(Argument::Bytes(record.value));
            arguments.push(Argument::millis(record.ttl.as_duration()));
        }
        keys.extend(removed);
        let (reply, _) = self
            .redis
            .script_since(began, by.script, &keys, &arguments, Repeat::Safe)
            .await?;
        Ok(reply)
    }
}
