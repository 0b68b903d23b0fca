//! Renewing a lock.

use spin_sdk::redis::RedisResult;

use super::FencingToken;
use super::owned_lock::OwnedLock;
use super::scripts::{FENCE, FORMATS, HOLDER};
use crate::platform::redis::{Argument, RedisError, Repeat, Script, lua};

static RENEW: Script = Script::new(&[FORMATS, FENCE, HOLDER, lua!("renew.lua")]);

impl OwnedLock {
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
}
