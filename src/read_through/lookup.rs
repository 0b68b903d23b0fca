//! What Redis knows of a user who is read from the origin, and making it void.

use spin_sdk::redis::RedisResult;

use super::ReadThrough;
use super::stored::{Entry, Outcome};
use crate::keys::{Keys, UserId};
use crate::redis::{Redis, Repeat, Script, script};
use crate::redis_error::RedisError;

static LOOKUP: Script = script!("lookup.lua");
static OUTDATE: Script = script!("outdate.lua");

/// What Redis knows of a user.
pub(super) struct Seen {
    pub(super) entry: Option<Entry>,
    pub(super) outcome: Option<(i64, Outcome)>,
    /// The fencing token of the fetch under way, 0 where there is none.
    pub(super) reading: i64,
}

impl Seen {
    pub(super) fn is_fresh(&self) -> bool {
        let fresh = self.entry.as_ref().and_then(Entry::fresh_for);
        fresh.is_some()
    }
}

impl ReadThrough {
    pub(super) async fn lookup(&self) -> Result<Seen, RedisError> {
        let keys = self.keys();
        let lock = keys.read_lock(self.user);
        let (entry, outcome) = (keys.read_through(self.user), keys.read_outcome(self.user));
        let keys = [entry.as_str(), &outcome, lock.lock(), lock.fence()];
        let redis = &self.context.redis;
        let reply = redis.script(&LOOKUP, &keys, &[], Repeat::Safe).await?;
        match <[RedisResult; 4]>::try_from(reply) {
            Ok(
                [
                    RedisResult::Binary(entry),
                    RedisResult::Int64(left),
                    RedisResult::Binary(outcome),
                    RedisResult::Int64(reading),
                ],
            ) => Ok(Seen {
                entry: Entry::read(entry, left),
                outcome: Outcome::read(&outcome),
                reading,
            }),
            _ => Err(RedisError::unexpected("not a reply of lookup.lua")),
        }
    }
}

/// After an action that has changed a user, or may have: what was read before is not served before the origin was asked again, but
/// for when it is down. Best done in the action's own commit, where that is known to have succeeded: see [`forgotten`].
///
/// # Errors
/// If Redis fails.
pub(crate) async fn outdate(redis: &Redis, keys: &Keys, user: UserId) -> Result<(), RedisError> {
    let lock = keys.read_lock(user);
    let keys = [keys.read_through(user), lock.lock().to_owned()];
    let keys = [keys[0].as_str(), &keys[1]];
    redis.script(&OUTDATE, &keys, &[], Repeat::Safe).await?;
    Ok(())
}

/// The keys to remove in the step that commits a change of a user: what was read, and the lock of a fetch under way, which then
/// keeps nothing.
pub(crate) fn forgotten(keys: &Keys, user: UserId) -> [String; 2] {
    [
        keys.read_through(user),
        keys.read_lock(user).lock().to_owned(),
    ]
}
