//! A value and how long it has left, without a script: `PTTL` and `GET`, sent one behind the other
//! over the shared connection.
//!
//! Redis carries out what comes over one connection in its order, and the host sends calls in the
//! order in which they are made: both are written to the connection when they are made, unless
//! fifty others wait to be written. Others may write between the two, so the answers need not
//! belong together: the caller has to tell.
//!
//! Neither command is repeated or redirected, since the other would not be. Whoever gets an error
//! asks by a script.

use std::time::Instant;

use spin_sdk::redis::RedisResult;

use super::{Code, Redis, RedisError, RedisErrorKind, Sent, binary};

/// What is under a key.
pub(crate) enum ValueAndTtl {
    /// Nothing.
    Absent,
    /// Something that is no string.
    OtherType,
    /// A string.
    Value {
        bytes: Vec<u8>,
        /// What `PTTL` said before: how many milliseconds the key had left, or a negative number.
        ms_before: i64,
    },
}

impl Redis {
    /// Reads a key. The call counts as made at `began`.
    ///
    /// # Errors
    /// As [`Redis::command`].
    pub(crate) async fn value_and_ttl(
        &self,
        began: Instant,
        key: &str,
    ) -> Result<ValueAndTtl, RedisError> {
        let sent = Sent::default();
        let call = async {
            let node = self.link.node_for(Some(key.as_bytes()));
            let connection = node.connection(&sent).await?;
            sent.over(&node, &connection);
            let left = connection.execute("PTTL", [binary(key.as_bytes())]);
            let (left, value) = futures::join!(left, connection.get(key));
            let spin = |error| RedisError::from_spin(error, true);
            let found = found(left.map_err(spin), value.map_err(spin));
            if found
                .as_ref()
                .is_err_and(|error| error.kind() == RedisErrorKind::Unreachable)
            {
                node.discard(&connection);
                self.link.forget(&node);
            }
            found
        };
        let (value, _) = self.limited(began, &sent, call).await?;
        Ok(value)
    }
}

/// What the replies to `PTTL` and `GET` tell.
fn found(
    left: Result<Vec<RedisResult>, RedisError>,
    value: Result<Option<Vec<u8>>, RedisError>,
) -> Result<ValueAndTtl, RedisError> {
    let [RedisResult::Int64(ms_before)] = left?[..] else {
        return Err(RedisError::unexpected("not a reply to PTTL"));
    };
    match value {
        Ok(Some(bytes)) => Ok(ValueAndTtl::Value { bytes, ms_before }),
        Ok(None) => Ok(ValueAndTtl::Absent),
        Err(error) if error.kind() == RedisErrorKind::Refused(Code::WrongType) => {
            Ok(ValueAndTtl::OtherType)
        }
        Err(error) => Err(error),
    }
}
