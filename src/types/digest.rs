//! Digests of bytes: none of them is a secret.

use sha1::{Digest as _, Sha1};
use twox_hash::XxHash3_128;

/// The SHA-1 of a text that comes in pieces.
pub(crate) struct Sha1Pieces(Sha1);

impl Sha1Pieces {
    pub(crate) fn new() -> Self {
        Self(Sha1::new())
    }

    pub(crate) fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// In hexadecimal digits.
    pub(crate) fn finish_hex(self) -> String {
        hex(&self.0.finalize())
    }
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

/// The longest text that [`sha1_hex_of_parts`] takes, in bytes.
const LONGEST_TEXT: usize = 64 << 10;

/// The SHA-1 of these parts, one behind the other, for the compiler to compute.
///
/// # Panics
/// If they have more than 64 KiB together.
pub(crate) const fn sha1_hex_of_parts(parts: &[&[u8]]) -> [u8; 40] {
    let mut text = [0; LONGEST_TEXT];
    let mut length = 0;
    let mut part = 0;
    while part < parts.len() {
        let (_, rest) = text.split_at_mut(length);
        let (place, _) = rest.split_at_mut(parts[part].len());
        place.copy_from_slice(parts[part]);
        length += parts[part].len();
        part += 1;
    }
    let (text, _) = text.split_at(length);
    let digest = const_sha1::sha1(text).as_bytes();
    let mut digits = [0; 40];
    let mut place = 0;
    while place < digits.len() {
        let value = digest[place / 2] >> (4 - 4 * (place % 2)) & 0xf;
        digits[place] = DIGITS[value as usize];
        place += 1;
    }
    digits
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Bytes as hexadecimal digits in lower case.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| DIGITS[usize::from(value & 0xf)];
    let digits = bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(*byte)]);
    // All of them are ASCII. To push them as characters takes three times as long.
    String::from_utf8(digits.collect()).unwrap_or_default()
}

/// The 128 bits of XXH3 (<https://github.com/Cyan4973/xxHash>), in hexadecimal digits. It is some
/// twenty times as fast as SHA-1, and no defence against somebody who looks for two texts with one
/// digest.
pub(crate) fn xxh3_hex(bytes: &[u8]) -> String {
    hex(&XxHash3_128::oneshot(bytes).to_be_bytes())
}

/// The same of a text that comes in pieces.
pub(crate) struct Xxh3(XxHash3_128);

impl Xxh3 {
    pub(crate) fn new() -> Self {
        Self(XxHash3_128::new())
    }

    pub(crate) fn update(&mut self, piece: &[u8]) {
        self.0.write(piece);
    }

    pub(crate) fn finish_hex(&self) -> String {
        hex(&self.0.finish_128().to_be_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sha1_hex(bytes: &[u8]) -> String {
        let mut sha1 = Sha1Pieces::new();
        bytes.chunks(7).for_each(|piece| sha1.update(piece));
        sha1.finish_hex()
    }

    proptest! {
        #[test]
        fn the_compilers_sha1_is_the_librarys(
            first in prop::collection::vec(any::<u8>(), 0..200),
            second in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let digits = sha1_hex_of_parts(&[&first, &second]);
            let whole = [first, second].concat();
            let expected = sha1_hex(&whole);
            prop_assert_eq!(expected.as_bytes(), digits);
        }
    }

    #[test]
    fn digests_are_those_of_their_specifications() {
        // As `sha1sum` and `xxh128sum` print them.
        assert_eq!(sha1_hex(b"a"), "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8");
        assert_eq!(xxh3_hex(b""), "99aa06d3014798d86001c324468d497f");
    }
}
