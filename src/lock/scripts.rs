//! The lock's scripts, called with types and answered with types.

use std::time::{Duration, Instant};

use spin_sdk::redis::RedisResult;

use super::{FencingToken, Holder, OwnerToken, Record};
use crate::keys::LockKey;
use crate::random;
use crate::redis::{Argument, Redis, Repeat, Script, script};
use crate::redis_error::{RedisError, Unanswered};
use crate::seconds::Ttl;

static ACQUIRE: Script = script!("shared.lua", "acquire.lua");
static RENEW: Script = script!("shared.lua", "renew.lua");
static RELEASE: Script = script!("shared.lua", "release.lua");
static COMMIT: Script = script!("shared.lua", "commit.lua");
static INSPECT: Script = script!("shared.lua", "inspect.lua");

/// The longest that a release goes on waiting behind a call whose answer was lost.
const LONGEST_CLEANUP: Duration = Duration::from_secs(30);

/// What one try to acquire came to.
pub(super) enum Attempt {
    /// The lock is the token's now.
    Taken(FencingToken),
    /// It was before; its time to live has begun anew.
    Renewed(FencingToken),
    /// Somebody else has it.
    Held(Queued),
    /// The result that the lock was wanted for is there.
    Done(Vec<u8>),
}

/// Somebody else has the lock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Queued {
    /// For so long; `None` without expiry.
    pub(super) remaining: Option<Duration>,
    /// How many are before this one.
    pub(super) place: u32,
    /// A stranger has it, who wakes nobody when it is given back.
    pub(super) by_stranger: bool,
    /// Since when this one has waited, by the clock of Redis, in microseconds.
    pub(super) came: i64,
}

/// What is to be done where somebody else has the lock.
#[derive(Debug, Clone, Copy)]
pub(super) enum Patience {
    /// Nothing: it was a single try.
    Once,
    /// To wait in the queue, since the time that the first try was told.
    Wait(Option<i64>),
    /// To leave the queue.
    Last,
}

/// One lock and one owner.
#[derive(Clone)]
pub(super) struct Owned {
    pub(super) redis: Redis,
    pub(super) key: LockKey,
    pub(super) token: OwnerToken,
    pub(super) ttl: Ttl,
}

impl Owned {
    /// Tries once to take the lock, unless there is a value at `result`. `call` tells this acquisition from others with the
    /// same token; `began` is now. Returns when the answer came, too.
    pub(super) async fn acquire(
        &self,
        began: Instant,
        call: &str,
        patience: Patience,
        result: Option<&str>,
    ) -> Result<(Attempt, Instant), RedisError> {
        let mut keys = vec![self.key.lock(), self.key.fence(), self.key.queue()];
        keys.extend(result);
        let patience = match patience {
            Patience::Once => Argument::Bytes(b"once"),
            Patience::Wait(None) => Argument::Bytes(b"wait"),
            Patience::Wait(Some(came)) => Argument::Integer(came),
            Patience::Last => Argument::Bytes(b"last"),
        };
        let arguments = [
            self.token_argument(),
            self.ttl_argument(),
            Argument::Bytes(call.as_bytes()),
            patience,
        ];
        let (reply, answered) = self
            .redis
            .script_since(began, &ACQUIRE, &keys, &arguments, Repeat::Safe)
            .await?;
        let attempt = match reply.as_slice() {
            [RedisResult::Int64(1), RedisResult::Int64(number)] => {
                Attempt::Taken(FencingToken(*number))
            }
            [RedisResult::Int64(2), RedisResult::Int64(number)] => {
                Attempt::Renewed(FencingToken(*number))
            }
            [
                RedisResult::Int64(0),
                RedisResult::Int64(ms),
                RedisResult::Int64(place),
                RedisResult::Int64(stranger),
                RedisResult::Int64(came),
            ] => Attempt::Held(Queued {
                remaining: remaining(*ms),
                place: u32::try_from(*place).unwrap_or(u32::MAX),
                by_stranger: *stranger == 1,
                came: *came,
            }),
            [RedisResult::Int64(3), RedisResult::Binary(result)] => Attempt::Done(result.clone()),
            _ => return Err(RedisError::unexpected("not a reply of acquire.lua")),
        };
        Ok((attempt, answered))
    }

    /// Begins the lock's time to live anew; `None` if it is not the token's, or no longer held under the fencing token `given`,
    /// where that is known.
    pub(super) async fn renew(
        &self,
        given: Option<FencingToken>,
    ) -> Result<Option<FencingToken>, RedisError> {
        let keys = [self.key.lock(), self.key.fence()];
        let mut arguments = vec![self.token_argument(), self.ttl_argument()];
        arguments.extend(given.map(|given| Argument::Integer(given.get())));
        let reply = self
            .redis
            .script(&RENEW, &keys, &arguments, Repeat::Safe)
            .await?;
        match reply.as_slice() {
            [RedisResult::Int64(0)] => Ok(None),
            [RedisResult::Int64(number)] => Ok(Some(FencingToken(*number))),
            _ => Err(RedisError::unexpected("not a reply of renew.lua")),
        }
    }

    /// Gives the lock back; `false` if it is not the token's.
    pub(super) async fn release(&self) -> Result<bool, RedisError> {
        let call = random::hex128();
        let keys = [self.key.lock(), self.key.fence(), self.key.queue()];
        let arguments = self.release_arguments(&call);
        let reply = self.redis.script(&RELEASE, &keys, &arguments, Repeat::Safe);
        yes_or_no(&reply.await?)
    }

    /// Writes the records, removes other keys, and gives the lock back; `false` if it is not the token's, or no longer held under
    /// the fencing token `given`, and then nothing is changed.
    pub(super) async fn commit(
        &self,
        given: FencingToken,
        records: &[Record<'_>],
        removed: &[&str],
    ) -> Result<bool, RedisError> {
        let mut keys = vec![self.key.lock(), self.key.fence(), self.key.queue()];
        let mut arguments = vec![
            self.token_argument(),
            Argument::Integer(given.get()),
            self.trace_ttl(),
        ];
        for record in records {
            keys.push(record.key);
            arguments.push(Argument::Bytes(record.value));
            arguments.push(Argument::millis(record.ttl.as_duration()));
        }
        keys.extend(removed);
        let reply = self.redis.script(&COMMIT, &keys, &arguments, Repeat::Safe);
        yes_or_no(&reply.await?)
    }

    /// Gives the lock back behind a call that was not answered, in a task that outlives the request's answer; where it was waited for,
    /// with the call `waited`, that leaves the queue. Whether it succeeds is nobody's to know: the lock's expiry is the backstop.
    pub(super) fn release_later(self, unanswered: Unanswered, waited: Option<String>) {
        wit_bindgen::spawn(async move {
            let limit = self.ttl.as_duration().min(LONGEST_CLEANUP);
            let call = random::hex128();
            let keys = [self.key.lock(), self.key.fence(), self.key.queue()];
            let mut arguments = self.release_arguments(&call).to_vec();
            arguments.extend(waited.iter().map(|call| Argument::Bytes(call.as_bytes())));
            let _ = self
                .redis
                .script_after(unanswered, limit, &RELEASE, &keys, &arguments)
                .await;
        });
    }

    fn release_arguments<'a>(&'a self, call: &'a str) -> [Argument<'a>; 3] {
        [
            self.token_argument(),
            Argument::Bytes(call.as_bytes()),
            self.trace_ttl(),
        ]
    }

    /// A repetition is sent within the time limit of the call, and its answer is not waited for beyond that.
    fn trace_ttl(&self) -> Argument<'static> {
        Argument::millis(self.redis.timeout() + Duration::from_secs(1))
    }

    fn token_argument(&self) -> Argument<'_> {
        Argument::Bytes(self.token.as_str().as_bytes())
    }

    fn ttl_argument(&self) -> Argument<'static> {
        Argument::millis(self.ttl.as_duration())
    }
}

/// Looks at a lock; `None` if it is free.
pub(super) async fn inspect(redis: &Redis, key: &LockKey) -> Result<Option<Holder>, RedisError> {
    let keys = [key.lock(), key.fence()];
    let reply = redis.script(&INSPECT, &keys, &[], Repeat::Safe).await?;
    match reply.as_slice() {
        [] => Ok(None),
        [RedisResult::Int64(ms), RedisResult::Int64(number)] => Ok(Some(Holder {
            remaining: remaining(*ms),
            fencing_token: (*number > 0).then_some(FencingToken(*number)),
        })),
        _ => Err(RedisError::unexpected("not a reply of inspect.lua")),
    }
}

/// PTTL is -1 for a key without expiry.
fn remaining(ms: i64) -> Option<Duration> {
    u64::try_from(ms).ok().map(Duration::from_millis)
}

fn yes_or_no(reply: &[RedisResult]) -> Result<bool, RedisError> {
    match reply {
        [RedisResult::Int64(1)] => Ok(true),
        [RedisResult::Int64(0)] => Ok(false),
        _ => Err(RedisError::unexpected("not a reply of a lock's script")),
    }
}
