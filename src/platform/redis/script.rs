//! Lua scripts, as the component has them and as they are sent.

use std::time::Duration;

use spin_sdk::redis::RedisParameter;

use super::binary;
use crate::types::digest::sha1_hex_of_parts;

/// A Lua script and its digest.
pub struct Script {
    /// The text, in parts that scripts may share.
    parts: &'static [&'static [u8]],
    /// The SHA-1 of the text, in hexadecimal digits. Those of statics are computed when the
    /// component is built: to hash them would be work for each new instance.
    digest: [u8; 40],
}

impl Script {
    /// A script whose text is these parts, one behind the other. In a static, the compiler does it.
    ///
    /// # Panics
    /// If they have more than 64 KiB together.
    pub const fn new(parts: &'static [&'static [u8]]) -> Self {
        Self {
            parts,
            digest: sha1_hex_of_parts(parts),
        }
    }

    fn text(&self) -> Vec<u8> {
        self.parts.concat()
    }

    /// What follows `EVALSHA`.
    pub(super) fn by_digest(
        &self,
        keys: &[&str],
        arguments: &[Argument<'_>],
    ) -> Vec<RedisParameter> {
        parameters(&self.digest, keys, arguments)
    }

    /// What follows `EVAL`.
    pub(super) fn by_text(&self, keys: &[&str], arguments: &[Argument<'_>]) -> Vec<RedisParameter> {
        parameters(&self.text(), keys, arguments)
    }
}

/// `script numkeys key ... arg ...`
fn parameters(script: &[u8], keys: &[&str], arguments: &[Argument<'_>]) -> Vec<RedisParameter> {
    let mut all = Vec::with_capacity(2 + keys.len() + arguments.len());
    all.push(binary(script));
    all.push(RedisParameter::Int64(keys.len() as i64));
    all.extend(keys.iter().map(|key| binary(key.as_bytes())));
    all.extend(arguments.iter().map(|argument| match argument {
        Argument::Bytes(bytes) => binary(bytes),
        Argument::Joined(first, second) => RedisParameter::Binary([*first, *second].concat()),
        Argument::Integer(number) => RedisParameter::Int64(*number),
    }));
    all
}

/// An argument of a script.
#[derive(Debug, Clone, Copy)]
pub enum Argument<'a> {
    /// Bytes, passed as they are.
    Bytes(&'a [u8]),
    /// The same in two parts, one behind the other.
    Joined(&'a [u8], &'a [u8]),
    /// A number.
    Integer(i64),
}

impl Argument<'static> {
    /// A time in whole milliseconds.
    pub(crate) fn millis(time: Duration) -> Self {
        Self::Integer(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
    }
}

/// The Lua in a file without comments and indentation: neither the component nor Redis carries what
/// is for readers alone.
macro_rules! lua {
    ($file:literal) => {{
        const SOURCE: &[u8] = include_str!($file).as_bytes();
        const BARE: ([u8; SOURCE.len()], usize) = $crate::platform::redis::script::bare(SOURCE);
        const TEXT: &[u8] = &$crate::platform::redis::script::cut::<{ BARE.1 }>(&BARE.0);
        TEXT
    }};
}
pub(crate) use lua;

/// Lua without the lines that are comments and without indentation, and its length. A comment
/// behind code and a string over several lines are not told from code; none of the scripts has any.
pub(crate) const fn bare<const N: usize>(source: &[u8]) -> ([u8; N], usize) {
    let mut text = [0; N];
    let mut length = 0;
    let mut place = 0;
    while place < source.len() {
        while place < source.len() && source[place] == b' ' {
            place += 1;
        }
        let line = place;
        while place < source.len() && source[place] != b'\n' {
            place += 1;
        }
        let is_comment = line + 1 < place && source[line] == b'-' && source[line + 1] == b'-';
        if line < place && !is_comment {
            let mut copied = line;
            while copied < place {
                text[length] = source[copied];
                length += 1;
                copied += 1;
            }
            text[length] = b'\n';
            length += 1;
        }
        place += 1;
    }
    (text, length)
}

/// The first `N` bytes.
pub(crate) const fn cut<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut cut = [0; N];
    let mut place = 0;
    while place < N {
        cut[place] = bytes[place];
        place += 1;
    }
    cut
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn a_script_has_the_digest_that_redis_gives_it() {
        // As `SCRIPT LOAD` answers.
        let script = Script::new(&[b"return ", b"1"]);
        assert_eq!(&script.digest, b"e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
    }

    #[test]
    fn lua_is_its_file_without_comments_and_indentation() {
        let text = lua!("../../core/cache/conditions.lua");
        let code = include_str!("../../core/cache/conditions.lua")
            .lines()
            .map(str::trim_start)
            .filter(|line| !line.is_empty() && !line.starts_with("--"));
        assert!(code.eq(std::str::from_utf8(text).unwrap().lines()));
    }

    #[test]
    fn no_script_has_what_would_not_be_told_from_code() {
        let mut scripts = 0;
        for folder in ["lock", "cache", "read_through"] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("src/core")
                .join(folder);
            for file in fs::read_dir(folder).unwrap() {
                let path = file.unwrap().path();
                if path.extension().is_some_and(|extension| extension == "lua") {
                    scripts += 1;
                    for line in fs::read_to_string(&path).unwrap().lines() {
                        let line = line.trim_start();
                        assert!(line.starts_with("--") || !line.contains("--"), "{line}");
                        assert!(!line.contains("[[") && !line.ends_with('\\'), "{line}");
                    }
                }
            }
        }
        assert_eq!(scripts, 23);
    }
}
