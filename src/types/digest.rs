//! Digests of bytes: none of them is a secret.

use sha1::{Digest as _, Sha1};
use twox_hash::XxHash3_128;

/// The SHA-1 of `bytes`, in hexadecimal digits: fingerprints, and the names of scripts.
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

/// The 128 bits of XXH3 (<https://github.com/Cyan4973/xxHash>), in hexadecimal digits. It is some
/// twenty times as fast as SHA-1, and no defence against somebody who looks for two texts with one
/// digest.
pub(crate) fn xxh3_hex(bytes: &[u8]) -> String {
    hex(&XxHash3_128::oneshot(bytes).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_their_specifications() {
        // As `sha1sum` and `xxh128sum` print them.
        assert_eq!(sha1_hex(b"a"), "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8");
        assert_eq!(xxh3_hex(b""), "99aa06d3014798d86001c324468d497f");
    }
}
