//! Finding the end of a string, eight bytes at a time.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// The place of the first byte from `at` on, and before `end`, that is not an ordinary one of a
/// JSON string: a quote, a backslash, or a control character. `end` if there is none.
pub(crate) fn special(bytes: &[u8], at: usize, end: usize) -> usize {
    let text = bytes.get(..end).unwrap_or(bytes);
    let mut at = at;
    while let Some(eight) = text.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        if has_special(u64::from_le_bytes(*eight)) {
            break;
        }
        at += 8;
    }
    let rest = text.get(at..).unwrap_or_default();
    let found = rest.iter().position(|byte| is_special(*byte));
    found.map_or(text.len(), |place| at + place)
}

fn is_special(byte: u8) -> bool {
    byte == b'"' || byte == b'\\' || byte < 0x20
}

/// Whether one of eight bytes is special
/// (<https://graphics.stanford.edu/~seander/bithacks.html#ZeroInWord>).
fn has_special(eight: u64) -> bool {
    let zero = |word: u64| word.wrapping_sub(ONES) & !word;
    let quote = zero(eight ^ (ONES * b'"' as u64));
    let backslash = zero(eight ^ (ONES * b'\\' as u64));
    let control = eight.wrapping_sub(ONES * 0x20) & !eight;
    (quote | backslash | control) & HIGHS != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_first_special_byte_is_found(
            bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'a'), Just(0xe9)], 0..40),
            from in 0usize..40,
            end in 0usize..40,
        ) {
            let (from, end) = (from.min(bytes.len()), end.min(bytes.len()));
            let (from, end) = (from.min(end), from.max(end));
            let expected = (from..end).find(|at| is_special(bytes[*at])).unwrap_or(end);
            prop_assert_eq!(special(&bytes, from, end), expected);
        }
    }
}
