//! What Redis knows of a user who is read from the origin, and making it void.

use spin_sdk::redis::RedisResult;

use super::ReadThrough;
use super::reading::{FetchOutcome, Reading};
use crate::platform::redis::{Redis, RedisError, Repeat, Script, lua};
use crate::types::keys::Keys;
use crate::types::user_id::UserId;

static LOOKUP: Script = Script::new(&[lua!("../lock/formats.lua"), lua!("lookup.lua")]);
static OUTDATE: Script = Script::new(&[lua!("outdate.lua")]);

/// What Redis knows of a user.
pub(super) struct Lookup {
    pub(super) reading: Option<Reading>,
    /// How the last fetch ended that left no reading, and its fencing token.
    pub(super) outcome: Option<(i64, FetchOutcome)>,
    /// The fencing token of the fetch under way, 0 where there is none.
    pub(super) fetching: i64,
}

impl Lookup {
    pub(super) fn is_fresh(&self) -> bool {
        let fresh = self.reading.as_ref().and_then(Reading::fresh_for);
        fresh.is_some()
    }
}

impl ReadThrough {
    pub(super) async fn lookup(&self) -> Result<Lookup, RedisError> {
        let lock = self.keys.read_lock(self.user);
        let reading = self.keys.read_through(self.user);
        let outcome = self.keys.read_outcome(self.user);
        let keys = [reading.as_str(), &outcome, lock.lock(), lock.fence()];
        let reply = self.redis.script(&LOOKUP, &keys, &[], Repeat::Safe).await?;
        match <[RedisResult; 4]>::try_from(reply) {
            Ok(
                [
                    RedisResult::Binary(reading),
                    RedisResult::Int64(left),
                    RedisResult::Binary(outcome),
                    RedisResult::Int64(fetching),
                ],
            ) => Ok(Lookup {
                reading: Reading::read(reading, left),
                outcome: FetchOutcome::read(&outcome),
                fetching,
            }),
            _ => Err(RedisError::unexpected("not a reply of lookup.lua")),
        }
    }
}

/// After an action that has changed a user, or may have: what was read before is not served before
/// the origin was asked again, but for when it is down. Best done in the action's own commit, where
/// that is known to have succeeded: see [`invalidated_by_action`].
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

/// The keys to remove in the step that commits a change of a user: what was read, and the lock of a
/// fetch under way, which then keeps nothing.
pub(crate) fn invalidated_by_action(keys: &Keys, user: UserId) -> [String; 2] {
    [
        keys.read_through(user),
        keys.read_lock(user).lock().to_owned(),
    ]
}
