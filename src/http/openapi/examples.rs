//! Values that examples share.

/// A token as examples show it.
pub(super) const SOME_TOKEN: &str = "4f1c0e7a9b2d4c6e8f00112233445566";

/// A fencing token as examples show it.
pub(super) const SOME_NUMBER: i64 = 1_795_487_147_968_238;
