//! What each user was charged: a store that compares fencing tokens.

use edgelatch::core::lock::FencingToken;
use edgelatch::platform::redis::{Argument, Redis, RedisError, Repeat, Script};
use edgelatch::spin_sdk::redis::RedisResult;
use edgelatch::types::user_id::UserId;

static CHARGE: Script = Script::new(&[include_bytes!("charge.lua")]);

/// The ledger of one user.
pub(crate) struct Ledger<'a> {
    redis: &'a Redis,
    key: String,
}

/// What a charge came to.
pub(crate) enum Charged {
    /// The order is charged, now or by an earlier call.
    Now {
        /// What the order was charged.
        cents: i64,
        /// What all orders were charged.
        total_cents: i64,
    },
    /// A holder with a greater fencing token was there first. Nothing was changed.
    Late {
        /// That token.
        newer: i64,
    },
}

impl<'a> Ledger<'a> {
    /// The ledger of this user.
    pub(crate) fn of(redis: &'a Redis, user: UserId) -> Self {
        let key = format!("ledger:{user}");
        Self { redis, key }
    }

    /// Charges an order once, unless a later holder of the user's lock has charged already.
    ///
    /// # Errors
    /// If Redis fails: then the order may have been charged.
    ///
    /// # Cancellation
    /// A future dropped half-way may have charged the order.
    pub(crate) async fn charge(
        &self,
        order: &str,
        cents: u32,
        fencing_token: FencingToken,
    ) -> Result<Charged, RedisError> {
        let arguments = [
            Argument::Integer(fencing_token.get()),
            Argument::Bytes(order.as_bytes()),
            Argument::Integer(cents.into()),
        ];
        // The script charges an order once, so a call that was not answered may be repeated.
        let keys = [self.key.as_str()];
        let reply = self.redis.script(&CHARGE, &keys, &arguments, Repeat::Safe);
        match reply.await?.as_slice() {
            [
                RedisResult::Int64(1),
                RedisResult::Int64(cents),
                RedisResult::Int64(total_cents),
            ] => Ok(Charged::Now {
                cents: *cents,
                total_cents: *total_cents,
            }),
            [RedisResult::Int64(0), RedisResult::Int64(newer)] => {
                Ok(Charged::Late { newer: *newer })
            }
            _ => Err(RedisError::unexpected("not a reply of charge.lua")),
        }
    }
}
