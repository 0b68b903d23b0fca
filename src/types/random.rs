//! Random bits, from the host (`wasi:random`).

use std::sync::{Mutex, PoisonError};

use wasi::random::random::get_random_bytes;

/// How many bytes are fetched at once: an action needs 48.
const BATCH: u64 = 960;

/// Fetched and unused bytes. Each bit is used once.
static UNUSED: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// 128 random bits as 32 hexadecimal digits, fit for what must not be guessed.
pub(crate) fn hex128() -> String {
    // As numbers, and without `format!`, which is slow at single digits: there are three of these
    // for each action.
    let (mut text, halves) = (String::with_capacity(32), [bits64(), bits64()]);
    for half in halves {
        for place in (0..16).rev() {
            let digit = (half >> (4 * place)) & 0xf;
            text.push(char::from(b"0123456789abcdef"[digit as usize]));
        }
    }
    text
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
