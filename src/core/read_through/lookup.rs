//! What Redis knows of a user who is read from the origin.

use std::time::{Duration, Instant};

use spin_sdk::redis::RedisResult;

use super::ReadThrough;
use super::ended_fetch::{EndedFetch, FetchOutcome};
use super::reading::{FetchStart, Reading};
use crate::core::lock::{FORMATS, Lease, Locks, OwnerToken};
use crate::platform::redis::{Argument, RedisError, Repeat, Script, lua};
use crate::types::ttl::{FETCH_LOCK_TTL_MS, Ttl};

static LOOKUP: Script = Script::new(&[FORMATS, USERS_LOCK, lua!("lookup.lua")]);

/// The lock of a fetch is renewed at a third of its time to live, which a slow network must allow.
const SHORTEST_FETCH_LOCK_TTL_MS: u64 = 300;

/// What `lookup.lua` returns in place of a value that the caller has already.
const SAME: &[u8] = b"=";

/// What a user's own lock says of readings.
pub(super) const USERS_LOCK: &[u8] = lua!("users_lock.lua");

/// When a look takes the lock of the fetch, if that is free.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claim {
    pub(super) when: When,
    /// Not if a fetch has ended with this fencing token or a greater one.
    pub(super) unless_ended: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// Never.
    Never,
    /// If there is no fresh reading, and no failure that spares the origin.
    Unspared,
    /// If there is no fresh reading.
    Stale,
    /// Always.
    Always,
}

/// What Redis knows of a user.
pub(super) struct Lookup {
    pub(super) reading: Option<Reading>,
    /// The last fetch that left no reading.
    pub(super) ended: Option<EndedFetch>,
    /// The fencing token of the fetch under way, 0 where there is none.
    pub(super) fetching: i64,
    /// The user's fencing number, if nobody has the user's lock and nothing that a holder has begun
    /// may still go on; else 0.
    pub(super) fence: i64,
    /// As in [`FetchStart`].
    pub(super) beside: i64,
    /// Whether an action makes readings stale.
    pub(super) follows_lock: bool,
    /// The lock of the fetch, if this look took it.
    pub(super) lease: Option<Lease>,
}

impl Claim {
    fn arguments(self) -> [Argument<'static>; 2] {
        let when: &[u8] = match self.when {
            When::Never => b"never",
            When::Unspared => b"unspared",
            When::Stale => b"stale",
            When::Always => b"always",
        };
        let unless_ended = self.unless_ended.unwrap_or(i64::MAX);
        [Argument::Bytes(when), Argument::Integer(unless_ended)]
    }
}

impl Lookup {
    /// The fencing tokens of the reading and of the last fetch that left none.
    fn numbers(&self) -> [Option<i64>; 2] {
        let reading = self.reading.as_ref().map(Reading::number);
        let ended = self.ended.as_ref().map(|ended| ended.number);
        [reading, ended]
    }

    /// The fencing token of the last fetch that has ended, as far as anything tells of it; else 0.
    pub(super) fn last_ended(&self) -> i64 {
        self.numbers().into_iter().flatten().max().unwrap_or(0)
    }

    /// What a fetch that begins now begins under.
    pub(super) fn start(&self, number: i64) -> FetchStart {
        FetchStart {
            number,
            beside: self.beside,
            fence: self.follows_lock.then_some(self.fence),
        }
    }

    /// Whether the last fetch has found the origin down, and no action has begun or ended since.
    pub(super) fn origin_is_down(&self) -> bool {
        let Some(ended) = &self.ended else {
            return false;
        };
        let is_current = !self.follows_lock || ended.began_under(self.fence, self.beside);
        match &ended.outcome {
            FetchOutcome::Failed(failure) => failure.is_down() && is_current,
            FetchOutcome::Uncacheable | FetchOutcome::CallersOwn => false,
        }
    }
}

impl ReadThrough {
    /// One look, which also takes the lock of the fetch as `claim` says. What the look `before` has
    /// found is not read again unless it has changed.
    ///
    /// # Errors
    /// If Redis fails. Then the lock is given back in the background if it may have been taken.
    pub(super) async fn lookup(
        &self,
        claim: Claim,
        before: Option<Lookup>,
    ) -> Result<Lookup, RedisError> {
        let lock = self.keys.read_lock(self.user);
        let reading = self.keys.read_through(self.user);
        let outcome = self.keys.read_outcome(self.user);
        let users = self.keys.user_lock(self.user);
        let keys = [
            lock.lock(),
            lock.fence(),
            &reading,
            &outcome,
            users.lock(),
            users.fence(),
        ];
        let (token, ttl) = (OwnerToken::random(), self.fetch_lock_ttl());
        let mut arguments = vec![
            Argument::Bytes(token.as_str().as_bytes()),
            Argument::millis(ttl.as_duration()),
        ];
        arguments.extend(claim.arguments());
        let invalidates = self.source.origin().invalidate;
        let numbers = before.as_ref().map(Lookup::numbers);
        let numbers = numbers.filter(|numbers| *numbers != [None, None]);
        let none = Argument::Bytes(b"");
        match numbers {
            _ if invalidates => arguments.push(self.runs_on()),
            Some(_) => arguments.push(none),
            None => {}
        }
        for number in numbers.into_iter().flatten() {
            arguments.push(number.map_or(none, Argument::Integer));
        }
        let sent = Instant::now();
        let reply = self
            .redis
            .script_since(sent, &LOOKUP, &keys, &arguments, Repeat::Safe)
            .await;
        let lease = |number, answered| {
            let longest = self.source.origin().timeout + ttl.as_duration();
            let locks = Locks::new(self.redis.clone(), longest);
            locks.taken(&lock, token.clone(), ttl, number, [sent, answered])
        };
        let (reply, answered) = reply.inspect_err(|error| {
            if claim.when != When::Never && error.is_ambiguous() {
                drop(lease(0, sent));
            }
        })?;
        match <[RedisResult; 7]>::try_from(reply) {
            Ok(
                [
                    RedisResult::Binary(reading),
                    RedisResult::Int64(left),
                    RedisResult::Binary(outcome),
                    RedisResult::Int64(fetching),
                    RedisResult::Int64(fence),
                    RedisResult::Int64(taken),
                    RedisResult::Int64(beside),
                ],
            ) => {
                let (reading_before, ended_before) =
                    before.map_or((None, None), |before| (before.reading, before.ended));
                let users_fence = invalidates.then_some(fence);
                let reading = if reading == SAME {
                    reading_before.and_then(|reading| reading.with_left(left, users_fence))
                } else {
                    Reading::read(reading, left, users_fence)
                };
                let ended = if outcome == SAME {
                    ended_before
                } else {
                    EndedFetch::read(&outcome)
                };
                Ok(Lookup {
                    reading,
                    ended,
                    fetching,
                    fence,
                    beside,
                    follows_lock: invalidates,
                    lease: (taken == 1).then(|| lease(fetching, answered)),
                })
            }
            _ => Err(RedisError::unexpected("not a reply of lookup.lua")),
        }
    }
}

impl ReadThrough {
    /// The time to live of the lock of a fetch: after it others fetch in place of a host that died,
    /// before their own wait for the origin is over.
    fn fetch_lock_ttl(&self) -> Ttl {
        let half = self.source.origin().timeout.as_millis() / 2;
        let half = u64::try_from(half).unwrap_or(u64::MAX);
        Ttl::of_millis(half.clamp(SHORTEST_FETCH_LOCK_TTL_MS, FETCH_LOCK_TTL_MS))
    }

    /// [`ReadThrough::holders_may_go_on`] in microseconds.
    pub(super) fn runs_on(&self) -> Argument<'static> {
        let micros = self.holders_may_go_on.as_micros();
        Argument::Integer(i64::try_from(micros).unwrap_or(i64::MAX))
    }
}

/// How long what a holder of the user's lock has begun may go on, counted from when the holder got
/// the lock: for as long as an action may hold it and the origin may answer.
pub(crate) fn holders_may_go_on(max_hold: Duration, origin_timeout: Duration) -> Duration {
    max_hold + origin_timeout
}
