//! A lock and its owner, for whom scripts are called.

use super::{OwnerName, OwnerToken};
use crate::platform::redis::{Argument, Redis};
use crate::types::keys::LockKey;
use crate::types::ttl::Ttl;

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
    /// The lock, its fence and its queue.
    pub(super) fn keys(&self) -> [&str; 3] {
        [self.key.lock(), self.key.fence(), self.key.queue()]
    }

    /// `waiters` of `queue.lua`, with its last line.
    pub(super) fn waiters<'a>(&'a self, last: &'a str) -> Argument<'a> {
        Argument::Joined(self.key.waiters().as_bytes(), last.as_bytes())
    }

    pub(super) fn token_argument(&self) -> Argument<'_> {
        Argument::Bytes(self.token.as_str().as_bytes())
    }

    pub(super) fn ttl_argument(&self) -> Argument<'static> {
        Argument::millis(self.ttl.as_duration())
    }
}
