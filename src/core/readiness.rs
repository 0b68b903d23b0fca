//! Whether an action could be carried out now: takes a lock that is no user's, writes a result and
//! gives the lock back, with the scripts that actions use. So a replica, a full Redis, one without
//! enough replicas, and an ACL without the scripts or the keys are found out.

use std::time::{Duration, Instant};

use futures::lock::Mutex;

use super::lock::{LockError, Locks, Record};
use crate::platform::redis::RedisError;
use crate::types::keys::Keys;
use crate::types::random;
use crate::types::ttl::Ttl;

/// How long an outcome is shared by those who ask.
const SHARED_FOR: Duration = Duration::from_secs(1);

/// How long the lock lives if this instance ends in the middle, in milliseconds.
const LOCK_MS: u64 = 1000;

/// How long the result lives, in milliseconds: nobody reads it.
const RESULT_MS: u64 = 1;

/// The outcome of the last probe.
#[derive(Default)]
pub(crate) struct Readiness(Mutex<Option<Probed>>);

struct Probed {
    ended: Instant,
    outcome: Result<Duration, RedisError>,
}

impl Readiness {
    /// How long taking and giving back a lock took. Redis is asked by one caller at a time, and
    /// not again within a second.
    ///
    /// # Errors
    /// If Redis fails.
    ///
    /// # Cancellation
    /// A future dropped half-way may leave the lock of the probe taken for a second.
    pub(crate) async fn check(&self, locks: &Locks, keys: &Keys) -> Result<Duration, RedisError> {
        let mut last = self.0.lock().await;
        if let Some(last) = &*last
            && last.ended.elapsed() < SHARED_FOR
        {
            return last.outcome.clone();
        }
        let began = Instant::now();
        let outcome = probe(locks, keys).await;
        let ended = Instant::now();
        let outcome = outcome.map(|()| ended.duration_since(began));
        *last = Some(Probed {
            ended,
            outcome: outcome.clone(),
        });
        outcome
    }
}

async fn probe(locks: &Locks, keys: &Keys) -> Result<(), RedisError> {
    let mut taken = take_and_give_back(locks, keys, "").await;
    if let Err(LockError::Held(holder)) = &taken
        && holder
            .remaining
            .is_none_or(|remaining| remaining > Duration::from_millis(LOCK_MS))
    {
        // No probe holds it for so long: a stranger has set it.
        taken = take_and_give_back(locks, keys, &random::hex128()).await;
    }
    match taken {
        // Another instance's probe is under way, or took this one's lock when it was slow.
        Ok(()) | Err(LockError::Held(_) | LockError::Lost) => Ok(()),
        Err(LockError::Redis(error)) => Err(error),
    }
}

async fn take_and_give_back(locks: &Locks, keys: &Keys, name: &str) -> Result<(), LockError> {
    let lock = keys.probe_lock(name);
    let lease = locks.try_acquire(&lock, Ttl::of_millis(LOCK_MS)).await?;
    let (key, value) = (keys.probe_result(name), lease.fencing_token().to_string());
    let record = Record {
        key: &key,
        value: value.as_bytes(),
        ttl: Ttl::of_millis(RESULT_MS),
    };
    // Nothing is left behind: the fence, too, is removed with the commit.
    lease.commit(&[record], &[lock.fence()]).await
}
