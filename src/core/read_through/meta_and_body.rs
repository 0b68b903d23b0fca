//! A value in Redis: a line of JSON that says what it is, and the origin's bytes after it.

use serde::{Deserialize, Serialize};

/// Whether a fetch may have this fencing token, as `formats.lua` says: a stranger's value may have
/// any number.
pub(super) fn is_of_a_fetch(number: i64) -> bool {
    (0..(1 << 53) - 1).contains(&number)
}

/// Reads a value; `None` where its first line is no such JSON.
pub(super) fn split<'a, T: Deserialize<'a>>(value: &'a [u8]) -> Option<(T, &'a [u8])> {
    let end = value.iter().position(|byte| *byte == b'\n')?;
    let meta = serde_json::from_slice(&value[..end]).ok()?;
    Some((meta, &value[end + 1..]))
}

/// The value of a line and the bytes after it.
pub(super) fn join(meta: &impl Serialize, body: &[u8]) -> Vec<u8> {
    // Numbers and strings under string keys always serialize, and JSON in one line holds no line
    // break.
    let mut bytes = serde_json::to_vec(meta).unwrap_or_default();
    bytes.push(b'\n');
    bytes.extend_from_slice(body);
    bytes
}
