//! Values that examples share.

use std::time::Duration;

use crate::core::lock::{HeldBy, OwnerName};

/// A token as examples show it.
pub(super) const SOME_TOKEN: &str = "4f1c0e7a9b2d4c6e8f00112233445566";

/// A fencing token as examples show it.
pub(super) const SOME_NUMBER: i64 = 1_795_487_147_968_238;

/// What a holder says of itself.
pub(super) const SOME_OWNER: &str = "billing run 17 on host-a";

/// A holder that keeps a lock from others.
pub(super) fn some_holder() -> HeldBy {
    HeldBy {
        remaining: Some(Duration::from_secs(9)),
        owner: OwnerName::parse(SOME_OWNER.as_bytes()),
        waiting: 2,
    }
}
