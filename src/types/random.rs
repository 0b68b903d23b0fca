//! Random bits, from the host (`wasi:random`).

use std::sync::{Mutex, PoisonError};

use wasi::random::random::get_random_bytes;

use super::digest::hex;

/// How many bytes are fetched at once: an action needs 48.
const BATCH: u64 = 960;

/// Fetched and unused bytes. Each bit is used once.
static UNUSED: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// 128 random bits as 32 hexadecimal digits, fit for what must not be guessed.
pub(crate) fn hex128() -> String {
    let (high, low) = (bits64(), bits64());
    hex(&(u128::from(high) << 64 | u128::from(low)).to_be_bytes())
}

/// 64 random bits.
pub(crate) fn bits64() -> u64 {
    let mut unused = UNUSED.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if let Some((rest, bits)) = unused.split_last_chunk() {
            let (left, bits) = (rest.len(), u64::from_le_bytes(*bits));
            unused.truncate(left);
            return bits;
        }
        *unused = get_random_bytes(BATCH);
    }
}
