//! What is told of a lock, of its holder, and of those who wait.

use std::time::Duration;

use super::{FencingToken, OwnerName};

/// Who keeps a lock from others, as they were told at their last try.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeldBy {
    /// How long until it expires; `None` if it never does.
    pub remaining: Option<Duration>,
    /// What the holder said of itself; `None` where it said nothing, or a stranger set the key.
    pub owner: Option<OwnerName>,
    /// How many others wait and live, counted up to 1000. Where more wait, the dead count too.
    pub waiting: u32,
}

/// Who holds a lock, as far as anybody may know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// How long until it expires; `None` if it never does.
    pub remaining: Option<Duration>,
    /// The number of the acquisition; `None` where a stranger set the key.
    pub fencing_token: Option<FencingToken>,
    /// What the holder said of itself; `None` where it said nothing, or a stranger set the key.
    pub owner: Option<OwnerName>,
}

/// A lock, as anybody may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockStatus {
    /// Who holds it; `None` if nobody does.
    pub holder: Option<Holder>,
    /// How many wait and live, counted up to 1000. Where more wait, the dead count too.
    pub waiting: u32,
}

/// A holder whose lock was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The number of the acquisition; `None` where a stranger had set the key.
    pub fencing_token: Option<FencingToken>,
    /// What the holder said of itself.
    pub owner: Option<OwnerName>,
}
