//! How an entry is stored: a line that says what it is, with its tag and the time to live that it
//! was written with, in milliseconds, and the JSON as it came.
//!
//! ```text
//! edgelatch1 a96faf705af16834e6c632b61e964e1f 0003600000
//! {"name":"Ada"}
//! ```
//!
//! So a read neither checks nor hashes the JSON that it serves, and a long entry needs no script to
//! know how long it lives (`read.rs`). No JSON begins like this: what has no such line is a
//! stranger's value, or one of a version before 0.2. `entry.lua` reads the tag, since conditions are
//! compared in Redis.

use std::time::Duration;

use bytes::Bytes;

use crate::types::etag::{ETag, TAG_LENGTH};
use crate::types::ttl::Ttl;

/// What the first line begins with; the digits of the tag follow.
const FORMAT: &[u8] = b"edgelatch1 ";

/// How many digits the time to live has: 30 days take them all.
const TTL_LENGTH: usize = 10;

/// Where it stands. `entry.lua` has it too.
const TTL_OFFSET: usize = FORMAT.len() + TAG_LENGTH + 1;

/// The length of the first line with its end. `entry.lua` has it too.
pub(super) const LINE: usize = TTL_OFFSET + TTL_LENGTH + 1;

/// An entry as it is stored.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct StoredEntry {
    pub(super) etag: ETag,
    /// The time to live that it was written with. Zero where that is longer than the digits say.
    pub(super) given: Duration,
    pub(super) json: Bytes,
}

/// The first line of an entry with this tag, which is one of [`ETag::of`].
pub(super) fn line(etag: &ETag, ttl: Ttl) -> Vec<u8> {
    let ttl = format!(" {:0TTL_LENGTH$}\n", ttl.as_millis());
    [FORMAT, etag.digits().as_bytes(), ttl.as_bytes()].concat()
}

/// JSON as it is stored where no conditions are asked: the record of a lock's commit.
pub(crate) fn stored(json: &[u8], ttl: Ttl) -> Vec<u8> {
    let mut stored = line(&ETag::of(json), ttl);
    stored.extend_from_slice(json);
    stored
}

/// Reads what is stored; `None` for a stranger's value.
pub(super) fn read(stored: &Bytes) -> Option<StoredEntry> {
    let line = stored.get(..LINE)?;
    let line = line.strip_prefix(FORMAT)?.strip_suffix(b"\n")?;
    let (digits, ttl) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    let is_number = ttl.bytes().all(|byte| byte.is_ascii_digit());
    Some(StoredEntry {
        etag: ETag::of_digits(digits).filter(|etag| etag.digits().len() == TAG_LENGTH)?,
        given: Duration::from_millis(ttl.parse().ok().filter(|_| is_number)?),
        json: stored.slice(LINE..),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_scripts_know_the_same_line() {
        let script = include_str!("entry.lua");
        let format = String::from_utf8_lossy(FORMAT);
        assert!(script.contains(&format!("'^{format}(%x+) %d+\\n$'")));
        assert!(script.contains(&format!("local LINE = {LINE}\n")));
        assert!(script.contains(&format!("local TAG_LENGTH = {TAG_LENGTH}\n")));
        assert!(script.contains(&format!("local TTL_OFFSET = {TTL_OFFSET}\n")));
        assert!(script.contains(&format!("'%0{TTL_LENGTH}d'")));
    }

    proptest! {
        #[test]
        fn what_is_stored_is_read_again(
            json in prop::collection::vec(any::<u8>(), 0..60),
            ms in any::<u64>(),
        ) {
            let ttl = Ttl::of_millis(ms);
            let read = read(&stored(&json, ttl).into());
            let entry = StoredEntry {
                etag: ETag::of(&json),
                given: ttl.as_duration(),
                json: json.into(),
            };
            prop_assert_eq!(read, Some(entry));
        }

        #[test]
        fn a_value_without_the_line_is_a_strangers(
            value in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..80),
                "edgelatch[12] [0-9a-g]{31,33} [0-9]{9,11}\n?[0-9]*".prop_map(String::into_bytes),
                "edgelatch1 [0-9a-f]{32} [+0-9]{10}\n".prop_map(String::into_bytes),
            ],
        ) {
            let text = String::from_utf8_lossy(&value).into_owned();
            let is_line = |line: &str| {
                let parts: Vec<&str> = line.split(' ').collect();
                let [format, tag, ttl] = parts[..] else {
                    return false;
                };
                format == "edgelatch1"
                    && tag.len() == 32
                    && tag.bytes().all(|byte| byte.is_ascii_hexdigit())
                    && ttl.len() == 10
                    && ttl.bytes().all(|byte| byte.is_ascii_digit())
            };
            let own = text.split_once('\n').is_some_and(|(line, _)| is_line(line));
            prop_assert_eq!(read(&value.into()).is_some(), own);
        }
    }
}
