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

/// The SHA-1 of these parts, one behind the other, for the compiler to compute.
pub(crate) const fn sha1_hex_of_parts(parts: &[&[u8]]) -> [u8; 40] {
    let mut state: [u32; 5] = [
        0x6745_2301,
        0xefcd_ab89,
        0x98ba_dcfe,
        0x1032_5476,
        0xc3d2_e1f0,
    ];
    let mut block = [0; 64];
    let mut length = 0;
    let mut part = 0;
    while part < parts.len() {
        let mut place = 0;
        while place < parts[part].len() {
            block[length % 64] = parts[part][place];
            length += 1;
            if length % 64 == 0 {
                state = sha1_of_block(state, &block);
            }
            place += 1;
        }
        part += 1;
    }
    // A bit that is set, zeros, and the number of bits in the last eight bytes of a block.
    let bits = (length as u64 * 8).to_be_bytes();
    let mut place = length % 64;
    block[place] = 0x80;
    place += 1;
    while place != 56 {
        if place == 64 {
            state = sha1_of_block(state, &block);
            place = 0;
        }
        block[place] = 0;
        place += 1;
    }
    while place < 64 {
        block[place] = bits[place - 56];
        place += 1;
    }
    state = sha1_of_block(state, &block);
    let mut digits = [0; 40];
    let mut digit = 0;
    while digit < 40 {
        let value = (state[digit / 8] >> (28 - 4 * (digit % 8))) & 0xf;
        digits[digit] = DIGITS[value as usize];
        digit += 1;
    }
    digits
}

/// One step of SHA-1 (RFC 3174, section 6.1).
const fn sha1_of_block(state: [u32; 5], block: &[u8; 64]) -> [u32; 5] {
    let mut words = [0_u32; 80];
    let mut round = 0;
    while round < 80 {
        words[round] = if round < 16 {
            let at = 4 * round;
            u32::from_be_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
        } else {
            (words[round - 3] ^ words[round - 8] ^ words[round - 14] ^ words[round - 16])
                .rotate_left(1)
        };
        round += 1;
    }
    let [mut a, mut b, mut c, mut d, mut e] = state;
    round = 0;
    while round < 80 {
        let (mixed, constant) = match round / 20 {
            0 => ((b & c) | (!b & d), 0x5a82_7999),
            1 => (b ^ c ^ d, 0x6ed9_eba1),
            2 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
            _ => (b ^ c ^ d, 0xca62_c1d6_u32),
        };
        let next = a
            .rotate_left(5)
            .wrapping_add(mixed)
            .wrapping_add(e)
            .wrapping_add(constant)
            .wrapping_add(words[round]);
        (a, b, c, d, e) = (next, a, b.rotate_left(30), c, d);
        round += 1;
    }
    [
        state[0].wrapping_add(a),
        state[1].wrapping_add(b),
        state[2].wrapping_add(c),
        state[3].wrapping_add(d),
        state[4].wrapping_add(e),
    ]
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Bytes as hexadecimal digits in lower case.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from(DIGITS[usize::from(value & 0xf)]);
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(*byte));
    }
    text
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
