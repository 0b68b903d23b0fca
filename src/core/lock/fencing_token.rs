//! The number of an acquisition.

use std::fmt;

/// The number of one acquisition: greater than that of every earlier acquisition of the same lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FencingToken(pub(super) i64);

impl FencingToken {
    /// The number, greater than zero and below 2^53.
    pub fn get(self) -> i64 {
        self.0
    }
}

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
