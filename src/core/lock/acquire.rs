//! Acquiring a lock, and waiting while somebody else has it.
//!
//! The holder's release hands the lock to the longest waiter and signals it: a waiter blocks on a
//! key of its own (`BLPOP`), on a connection that no other request uses meanwhile. Signals can be
//! lost, and strangers send none, so each waiter also polls ([`poll_interval`]). A signal only
//! makes it look sooner: polling alone is correct. The queue knows when each waiter last looked, so
//! those who died cost the others a second and a half in all (`queue.lua`).
//!
//! A caller that is told of an error no longer waits: its call is cancelled in the background.

use std::time::{Duration, Instant};

use super::attempt::{Attempt, ResultKey, Try};
use super::cleanup::GivenBackFor;
use super::lease::{AcquisitionTimes, Lease};
use super::owned_lock::OwnedLock;
use super::token::OwnerToken;
use super::{FencingToken, LockError, Locks, poll_interval};
use crate::platform::redis::{Listener, RedisError};
use crate::types::keys::LockKey;
use crate::types::random;
use crate::types::ttl::Ttl;

/// A lock that was granted to a token.
#[derive(Debug, Clone, Copy)]
pub struct Grant {
    /// The number of the acquisition.
    pub fencing_token: FencingToken,
    /// Whether the token had the lock already, so that this was a renewal.
    pub renewed: bool,
    /// How long after the call began the try was sent that got the lock: its time to live began no
    /// earlier.
    pub(crate) waited: Duration,
}

/// What [`Locks::acquire_unless_done`] came to.
#[cfg_attr(
    not(target_family = "wasm"),
    expect(
        clippy::large_enum_variant,
        reason = "there is one at a time, and an allocation would cost more than to move it"
    )
)]
pub(crate) enum Acquisition {
    /// The lock was acquired.
    Lease(Lease),
    /// The result exists already.
    ResultExists(Vec<u8>),
}

/// What [`Locks::grant_unless_done`] came to.
pub(crate) enum GrantUnlessDone {
    /// The token has the lock.
    Granted(Grant),
    /// The result exists already.
    ResultExists,
}

impl Locks {
    /// As [`Locks::acquire`] at `began`, which is now, unless there is a value at the Redis key
    /// `result`, in the lock's hash slot: then that is returned, also while somebody else holds the
    /// lock. It is looked for in the same step as the lock, at every try.
    ///
    /// # Errors
    /// As [`Locks::try_acquire`].
    ///
    /// # Cancellation
    /// As [`Locks::try_acquire`].
    pub(crate) async fn acquire_unless_done(
        &self,
        began: Instant,
        key: &LockKey,
        timeout: Duration,
        ttl: Ttl,
        result: Option<&str>,
    ) -> Result<Acquisition, LockError> {
        let owned = self.owned(key, OwnerToken::random(), ttl);
        let outcome = acquire(&owned, began, timeout, result.map(ResultKey::Read)).await?;
        match outcome.attempt {
            Attempt::Acquired(number) | Attempt::Renewed(number) => {
                let times = AcquisitionTimes {
                    began,
                    sent: outcome.sent,
                    answered: outcome.answered,
                };
                let whom = GivenBackFor::Readers;
                let lease = Lease::new(owned, number, times, self.max_hold, whom);
                Ok(Acquisition::Lease(lease))
            }
            Attempt::Held(_) => Err(still_waiting()),
            Attempt::GivenUp(held) => Err(LockError::Held(held)),
            Attempt::ResultExists(result) => Ok(Acquisition::ResultExists(result)),
        }
    }

    /// As [`Locks::grant`] at `began`, which is now, unless there is a value at the Redis key
    /// `result`: see [`Locks::acquire_unless_done`].
    ///
    /// # Errors
    /// As [`Locks::grant`].
    ///
    /// # Cancellation
    /// As [`Locks::grant`].
    pub(crate) async fn grant_unless_done(
        &self,
        began: Instant,
        key: &LockKey,
        token: &OwnerToken,
        timeout: Duration,
        ttl: Ttl,
        result: Option<&str>,
    ) -> Result<GrantUnlessDone, LockError> {
        let owned = self.owned(key, token.clone(), ttl);
        let outcome = acquire(&owned, began, timeout, result.map(ResultKey::Noticed)).await?;
        let (fencing_token, renewed) = match outcome.attempt {
            Attempt::Acquired(fencing_token) => (fencing_token, false),
            Attempt::Renewed(fencing_token) => (fencing_token, true),
            Attempt::Held(_) => return Err(still_waiting()),
            Attempt::GivenUp(held) => return Err(LockError::Held(held)),
            Attempt::ResultExists(_) => return Ok(GrantUnlessDone::ResultExists),
        };
        Ok(GrantUnlessDone::Granted(Grant {
            fencing_token,
            renewed,
            waited: outcome.sent.saturating_duration_since(began),
        }))
    }
}

/// A last try was answered as one of several.
fn still_waiting() -> LockError {
    RedisError::unexpected("not a reply to the last try").into()
}

/// The end of a wait.
pub(super) struct LastAttempt {
    /// What the last try came to.
    pub(super) attempt: Attempt,
    /// When its call was sent.
    pub(super) sent: Instant,
    /// When that was answered.
    pub(super) answered: Instant,
}

/// Tries until nobody else holds the lock or a result exists, or until `timeout` has passed since
/// `began`, which is now. A wait that would outlast the request is that much shorter.
pub(super) async fn acquire(
    owned: &OwnedLock,
    began: Instant,
    timeout: Duration,
    result: Option<ResultKey<'_>>,
) -> Result<LastAttempt, LockError> {
    let mut sent = began;
    let timeout = owned.redis.deadline().clamp_since(began, timeout);
    let deadline = began + timeout;
    let call = owned.new_call();
    let mut listener: Option<Listener> = None;
    let mut arrived_at = None;
    loop {
        let which = match (timeout.is_zero(), sent < deadline) {
            (true, _) => Try::Single,
            (false, true) => Try::Waiting(arrived_at),
            (false, false) => Try::Last(arrived_at),
        };
        let (attempt, answered) = match owned.acquire(sent, &call, which, result).await {
            Ok(answer) => answer,
            // The last try tells, if it takes that long.
            Err(error) if error.slot_is_moving() && matches!(which, Try::Waiting(_)) => {
                owned.redis.pause_for_slot().await;
                sent = Instant::now();
                continue;
            }
            Err(error) => {
                // The script may have queued the call before it was refused a command.
                let may_wait = matches!(which, Try::Waiting(_)) && error.may_be_half_done();
                if error.is_ambiguous() || arrived_at.is_some() || may_wait {
                    owned.clone().cancel_later(call);
                }
                return Err(error.into());
            }
        };
        let (Attempt::Held(held), Try::Waiting(_)) = (&attempt, which) else {
            return Ok(LastAttempt {
                attempt,
                sent,
                answered,
            });
        };
        arrived_at = Some(held.arrived_at);
        let listener = listener.get_or_insert_with(|| owned.redis.listener(owned.key.wake(&call)));
        let commands = owned.redis.commands_per_call();
        let interval = poll_interval::interval(held, commands, random::bits64());
        // Until there may be a signal, or it is time to look.
        listener.wait(interval, deadline).await;
        sent = Instant::now();
    }
}
