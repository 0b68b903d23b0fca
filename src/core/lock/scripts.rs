//! The scripts of a lock's owner, called with types and answered with types.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use spin_sdk::redis::RedisResult;

use super::{FencingToken, HeldBy, OwnerName, OwnerToken, Record};
use crate::platform::redis::{Argument, Redis, RedisError, Repeat, Script, lua};
use crate::types::digest::sha1_hex_of_lines;
use crate::types::keys::LockKey;
use crate::types::random;
use crate::types::ttl::Ttl;

pub(crate) const FORMATS: &[u8] = lua!("formats.lua");
pub(crate) const FENCE: &[u8] = lua!("fence.lua");
pub(crate) const HOLDER: &[u8] = lua!("holder.lua");
/// The function `open_queue`.
pub(crate) const QUEUE: &[u8] = lua!("queue.lua");
pub(crate) const GIVE_BACK: &[u8] = lua!("give_back.lua");
/// The function `commit`, for scripts that do more in the same step.
pub(crate) const COMMITTING: &[u8] = lua!("commit.lua");

/// The mark of cancelled calls.
const CANCELLED: &[u8] = lua!("cancelled.lua");

/// A script of these parts that may give a lock back.
macro_rules! giving_back {
    ($($part:expr),+) => {
        Script::new(&[FORMATS, FENCE, HOLDER, QUEUE, GIVE_BACK, $($part),+])
    };
}

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
static CANCEL: Script = giving_back!(CANCELLED, lua!("cancel.lua"));
static RENEW: Script = Script::new(&[FORMATS, FENCE, HOLDER, lua!("renew.lua")]);
static RELEASE: Script = giving_back!(CANCELLED, lua!("release.lua"));
static COMMIT: Script = giving_back!(COMMITTING, b"return commit(4, 4)");

/// How long a cancellation waits for its call, and is tried. TCP gives up on a segment after 15
/// minutes.
pub(super) const CANCELLATION_TTL: Duration = Duration::from_secs(20 * 60);

/// How long the calls that wait with a token are kept from waiting again, after a release with that
/// token: longer than the longest wait.
const WITHDRAWAL_TTL: Duration = Duration::from_secs(90);

/// What the call of a release begins with if the holder's work has ended: see `formats.lua`.
const ENDED: &str = "ended:";

/// What the call of an acquisition begins with if a client brought the token, which may have several
/// calls: see `release.lua`. It is no hexadecimal digit, as all others are.
const BROUGHT: char = 'T';

/// What is known of a holder's work when it gives the lock back.
#[derive(Debug, Clone, Copy)]
pub(super) enum HoldersWork {
    /// It has ended.
    Ended,
    /// It was dropped, or its end is not known.
    MayGoOn,
}

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

/// One lock and one owner.
#[derive(Clone)]
pub(super) struct OwnedLock {
    pub(super) redis: Redis,
    pub(super) key: LockKey,
    pub(super) token: OwnerToken,
    pub(super) name: Option<OwnerName>,
    pub(super) ttl: Ttl,
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

    /// Begins the lock's time to live anew; `None` if it is not the token's, or no longer held
    /// under the fencing token `given`, where that is known.
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

    /// The key of the mark that `call` was cancelled.
    fn cancelled(&self, call: &str) -> String {
        if self.token.is_brought() {
            self.cancelled_by_token()
        } else {
            self.key.cancelled(call)
        }
    }

    /// The same, for all calls with a token that a client brought.
    fn cancelled_by_token(&self) -> String {
        self.key
            .cancelled(&sha1_hex_of_lines(&[self.token.as_str().as_bytes()]))
    }

    /// The lock, its fence and its queue.
    fn keys(&self) -> [&str; 3] {
        [self.key.lock(), self.key.fence(), self.key.queue()]
    }

    /// `waiters` of `queue.lua`, with its last line.
    fn waiters<'a>(&'a self, last: &'a str) -> Argument<'a> {
        Argument::Joined(self.key.waiters().as_bytes(), last.as_bytes())
    }

    fn token_argument(&self) -> Argument<'_> {
        Argument::Bytes(self.token.as_str().as_bytes())
    }

    fn name_argument(&self) -> Argument<'_> {
        let name = self.name.as_ref().map_or("", OwnerName::as_str);
        Argument::Bytes(name.as_bytes())
    }

    fn ttl_argument(&self) -> Argument<'static> {
        Argument::millis(self.ttl.as_duration())
    }
}

/// How long the proof of a script is kept, in milliseconds. A repetition is sent within the time
/// limit of the call, and its answer is not waited for beyond that.
pub(super) fn proof_ttl(redis: &Redis) -> String {
    let ttl = redis.timeout() + Duration::from_secs(1);
    ttl.as_millis().to_string()
}

/// PTTL is -1 for a key without expiry.
pub(super) fn remaining(ms: i64) -> Option<Duration> {
    u64::try_from(ms).ok().map(Duration::from_millis)
}

/// How many wait.
pub(super) fn count(waiting: i64) -> u32 {
    u32::try_from(waiting).unwrap_or(u32::MAX)
}

fn yes_or_no(reply: &[RedisResult]) -> Result<bool, RedisError> {
    match reply {
        [RedisResult::Int64(1)] => Ok(true),
        [RedisResult::Int64(0)] => Ok(false),
        _ => Err(RedisError::unexpected("not a reply of a lock's script")),
    }
}
