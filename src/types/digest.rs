//! SHA-1, for entity tags, fingerprints and the names of scripts: none of them is a secret.

use sha1::{Digest as _, Sha1};

/// The SHA-1 of `bytes`, in hexadecimal digits.
pub(crate) fn sha1_hex(bytes: &[u8]) -> String {
    hex(&Sha1::digest(bytes))
}

/// The SHA-1 of parts, each with a line break after it: only the last may hold one.
pub(crate) fn sha1_hex_of_lines(parts: &[&[u8]]) -> String {
    let mut sha1 = Sha1::new();
    for part in parts {
        sha1.update(part);
        sha1.update(b"\n");
    }
    hex(&sha1.finalize())
}

/// Bytes as hexadecimal digits in lower case.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value & 0xf)]);
    let digits = bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(*byte)]);
    digits.collect()
}
