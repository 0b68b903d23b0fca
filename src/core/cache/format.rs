//! How an entry is stored: a line that says what it is, with its tag, and the JSON as it came.
//!
//! ```text
//! edgelatch1 a96faf705af16834e6c632b61e964e1f
//! {"name":"Ada"}
//! ```
//!
//! So a read neither checks nor hashes the JSON that it serves. No JSON begins like this: what has
//! no such line is a stranger's value, or one of a version before 0.2. `entry.lua` reads the tag,
//! since conditions are compared in Redis.

use bytes::Bytes;

use crate::types::etag::{ETag, TAG_LENGTH};

/// What the first line begins with; the digits of the tag follow.
const FORMAT: &[u8] = b"edgelatch1 ";

/// The length of the first line with its end. `entry.lua` has it too.
pub(super) const LINE: usize = FORMAT.len() + TAG_LENGTH + 1;

/// The first line of an entry with this tag, which is one of [`ETag::of`].
pub(super) fn line(etag: &ETag) -> Vec<u8> {
    [FORMAT, etag.digits().as_bytes(), b"\n"].concat()
}

/// JSON as it is stored where no conditions are asked: the record of a lock's commit.
pub(crate) fn stored(json: &[u8]) -> Vec<u8> {
    let mut stored = line(&ETag::of(json));
    stored.extend_from_slice(json);
    stored
}

/// The tag and the JSON of a stored entry; `None` for a stranger's value.
pub(super) fn read(stored: &Bytes) -> Option<(ETag, Bytes)> {
    let line = stored.get(..LINE)?;
    let digits = line.strip_prefix(FORMAT)?.strip_suffix(b"\n")?;
    let etag = ETag::of_digits(std::str::from_utf8(digits).ok()?)?;
    Some((etag, stored.slice(LINE..)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_script_knows_the_same_line() {
        let script = include_str!("entry.lua");
        let format = String::from_utf8_lossy(FORMAT);
        assert!(script.contains(&format!("'^{format}(%x+)\\n$'")));
        assert!(script.contains(&format!("local LINE = {LINE}\n")));
    }

    proptest! {
        #[test]
        fn what_is_stored_is_read_again(json in prop::collection::vec(any::<u8>(), 0..60)) {
            let read = read(&stored(&json).into());
            prop_assert_eq!(read, Some((ETag::of(&json), json.into())));
        }

        #[test]
        fn a_value_without_the_line_is_a_strangers(
            value in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..80),
                "edgelatch[12] [0-9a-g]{31,33}\n?[0-9]*".prop_map(String::into_bytes),
            ],
        ) {
            let text = String::from_utf8_lossy(&value).into_owned();
            let is_line = |line: &str| {
                line.strip_prefix("edgelatch1 ").is_some_and(|tag| {
                    tag.len() == 32 && tag.bytes().all(|byte| byte.is_ascii_hexdigit())
                })
            };
            let own = text.split_once('\n').is_some_and(|(line, _)| is_line(line));
            prop_assert_eq!(read(&value.into()).is_some(), own);
        }
    }
}
