//! Random bits, from the host (`wasi:random`).

/// 128 random bits as 32 hexadecimal digits, fit for what must not be guessed.
pub(crate) fn hex128() -> String {
    // As numbers, and without `format!`, which is slow at single digits: there are three of these for each action.
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
    wasi::random::random::get_random_u64()
}
