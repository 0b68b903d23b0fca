//! Random bits, from the host (`wasi:random`).

use std::fmt::Write as _;

/// 128 random bits as 32 hexadecimal digits, fit for what must not be guessed.
pub(crate) fn hex128() -> String {
    let bytes = wasi::random::random::get_random_bytes(16);
    let mut text = String::with_capacity(32);
    for byte in bytes {
        // Writing to a String never fails.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// 64 random bits.
pub(crate) fn bits64() -> u64 {
    wasi::random::random::get_random_u64()
}
