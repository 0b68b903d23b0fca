//! One try to acquire a lock.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use spin_sdk::redis::RedisResult;

use super::cancel::CANCELLED;
use super::owned_lock::OwnedLock;
use super::scripts::{FENCE, FORMATS, GIVE_BACK, HOLDER, QUEUE, count, remaining};
use super::{FencingToken, HeldBy, OwnerName};
use crate::platform::redis::{Argument, RedisError, Repeat, Script, lua};
use crate::types::random;

static ACQUIRE: Script = Script::new(&[
    FORMATS,
    FENCE,
    lua!("take_free.lua"),
    HOLDER,
    QUEUE,
    GIVE_BACK,
    CANCELLED,
    lua!("acquire.lua"),
]);

/// What the call of an acquisition begins with if a client brought the token, which may have several
/// calls: see `release.lua`. It is no hexadecimal digit, as all others are.
const BROUGHT: char = 'T';

/// The result of one try to acquire.
pub(super) enum Attempt {
    /// The token has the lock now, and did not before.
    Acquired(FencingToken),
    /// The token had the lock already; its time to live begins anew.
    Renewed(FencingToken),
    /// Somebody else has it, and the caller goes on waiting.
    Held(LockHeld),
    /// Somebody else has it, and this was the last try; or the call was cancelled.
    GivenUp(HeldBy),
    /// The result that the lock was wanted for exists.
    ResultExists(Vec<u8>),
}

/// A Redis key in the lock's hash slot. A value there makes the lock unnecessary.
#[derive(Clone, Copy)]
pub(super) enum ResultKey<'a> {
    /// The value is wanted.
    Read(&'a str),
    /// That there is one is enough: it may be long, and many may wait for it.
    Noticed(&'a str),
}

/// What a try is told of a lock that somebody else has.
#[derive(Debug, Clone, Copy)]
pub(super) struct LockHeld {
    /// The holder's time left; `None` without expiry.
    pub(super) remaining: Option<Duration>,
    /// How many waiters are before this one.
    pub(super) queue_position: u32,
    /// The holder is a stranger, who signals nothing on release.
    pub(super) by_stranger: bool,
    /// When this waiter arrived, by the clock of Redis, in microseconds.
    pub(super) arrived_at: i64,
}

/// Which of its caller's tries an attempt is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Try {
    /// The only one.
    Single,
    /// One of several: the caller is queued, at the time of arrival that its first try returned.
    Waiting(Option<i64>),
    /// The last of several, with that time: the caller leaves the queue.
    Last(Option<i64>),
}

impl OwnedLock {
    /// What tells a new acquisition from others with the same token: 32 characters.
    pub(super) fn new_call(&self) -> String {
        let mut call = random::hex128();
        if self.token.is_brought() {
            call.pop();
            call.insert(0, BROUGHT);
        }
        call
    }

    /// Tries once to take the lock, unless there is a value at `result`. `call` tells this
    /// acquisition from others with the same token; `began` is now. Returns when the answer came,
    /// too.
    pub(super) async fn acquire(
        &self,
        began: Instant,
        call: &str,
        which: Try,
        result: Option<ResultKey<'_>>,
    ) -> Result<(Attempt, Instant), RedisError> {
        let cancelled = self.cancelled(call);
        let [lock, fence, queue] = self.keys();
        let (result, given) = match result {
            None => ("", 0),
            Some(ResultKey::Read(key)) => (key, 1),
            Some(ResultKey::Noticed(key)) => (key, 2),
        };
        let keys = [lock, fence, queue, &cancelled, result, result];
        let keys = &keys[..4 + given];
        let which = match which {
            Try::Single => Cow::Borrowed("once"),
            Try::Waiting(None) => Cow::Borrowed("wait"),
            Try::Waiting(Some(arrived_at)) => Cow::Owned(format!("wait {arrived_at}")),
            Try::Last(None) => Cow::Borrowed("last"),
            Try::Last(Some(arrived_at)) => Cow::Owned(format!("last {arrived_at}")),
        };
        let arguments = [
            self.token_argument(),
            self.ttl_argument(),
            Argument::Bytes(call.as_bytes()),
            self.waiters(&which),
            self.name_argument(),
        ];
        let told = arguments.len() - usize::from(self.name.is_none());
        let arguments = &arguments[..told];
        let (reply, answered) = self
            .redis
            .script_since(began, &ACQUIRE, keys, arguments, Repeat::Safe)
            .await?;
        let attempt = match reply.as_slice() {
            [RedisResult::Int64(1), RedisResult::Int64(number)] => {
                Attempt::Acquired(FencingToken(*number))
            }
            [RedisResult::Int64(2), RedisResult::Int64(number)] => {
                Attempt::Renewed(FencingToken(*number))
            }
            [
                RedisResult::Int64(0),
                RedisResult::Int64(ms),
                RedisResult::Int64(position),
                RedisResult::Int64(stranger),
                RedisResult::Int64(arrived_at),
            ] => Attempt::Held(LockHeld {
                remaining: remaining(*ms),
                queue_position: u32::try_from(*position).unwrap_or(u32::MAX),
                by_stranger: *stranger == 1,
                arrived_at: *arrived_at,
            }),
            [RedisResult::Int64(3), RedisResult::Binary(result)] => {
                Attempt::ResultExists(result.clone())
            }
            [
                RedisResult::Int64(4 | 5),
                RedisResult::Int64(ms),
                RedisResult::Int64(waiting),
                RedisResult::Binary(name),
            ] => Attempt::GivenUp(HeldBy {
                remaining: remaining(*ms),
                owner: OwnerName::stored(name),
                waiting: count(*waiting),
            }),
            _ => return Err(RedisError::unexpected("not a reply of acquire.lua")),
        };
        Ok((attempt, answered))
    }

    fn name_argument(&self) -> Argument<'_> {
        let name = self.name.as_ref().map_or("", OwnerName::as_str);
        Argument::Bytes(name.as_bytes())
    }
}
