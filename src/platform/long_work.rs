//! Work on long texts, in pieces: in between, other requests of the instance go on.

use std::fmt;

use crate::types::digest::{Sha1Pieces, Xxh3};
use crate::types::etag::ETag;
use crate::types::json::{Fault, Progress, Scanner};

/// How many bytes are worked on without a break: some 0.1 ms.
const PIECE: usize = 64 << 10;

/// How many bytes are hashed without a break. Hashing is so much faster than checking.
const HASHED_PIECE: usize = 1 << 20;

/// Counts bytes that were worked on, and makes a break for every piece of them.
#[derive(Default)]
pub(crate) struct Pace {
    since: usize,
}

impl Pace {
    /// How many bytes may be worked on before the next call of [`Pace::after`].
    pub(crate) const PIECE: usize = PIECE;

    /// So many bytes more were worked on, without a break now: another call of [`Pace::after`]
    /// comes soon.
    pub(crate) fn count(&mut self, bytes: usize) {
        self.since += bytes;
    }

    /// So many bytes more were worked on.
    ///
    /// # Cancellation
    /// Dropping the future loses the break alone.
    pub(crate) async fn after(&mut self, bytes: usize) {
        self.since += bytes;
        if self.since >= PIECE {
            self.since = 0;
            others_first().await;
        }
    }
}

/// What is wrong with bytes that are not JSON, and where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotJson(String);

impl fmt::Display for NotJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotJson {}

/// Whether `bytes` are a JSON text.
///
/// # Errors
/// With line and column, where it is not JSON, is not UTF-8, nests deeper than 128, or has a number
/// beyond f64.
pub(crate) async fn check_json(bytes: &[u8]) -> Result<(), NotJson> {
    let mut scanner = Scanner::new(bytes);
    loop {
        match scanner.advance(PIECE) {
            Progress::More => others_first().await,
            Progress::Json => return Ok(()),
            Progress::Stopped => break,
        }
    }
    let Fault { what, at } = scanner.fault(PIECE);
    let (mut line, mut column) = (1, 0);
    for piece in bytes.get(..at).unwrap_or(bytes).chunks(PIECE) {
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            column += part.len();
            if part.ends_with(b"\n") {
                (line, column) = (line + 1, 0);
            }
        }
        others_first().await;
    }
    Err(NotJson(format!("{what} at line {line} column {column}")))
}

/// The tag of an entry with this JSON: see [`ETag::of`].
pub(crate) async fn tag_of(json: &[u8]) -> ETag {
    if json.len() <= HASHED_PIECE {
        return ETag::of(json);
    }
    let mut digest = Xxh3::new();
    for piece in json.chunks(HASHED_PIECE) {
        digest.update(piece);
        others_first().await;
    }
    ETag::of_pieces(&digest)
}

/// The tag of a stranger's value: see [`ETag::of_foreign`].
pub(crate) async fn foreign_tag_of(value: &[u8]) -> ETag {
    let mut digest = Sha1Pieces::new();
    for piece in value.chunks(PIECE) {
        digest.update(piece);
        others_first().await;
    }
    ETag::of_foreign(digest)
}

/// Lets other requests of the instance go on, and takes in what the host has for this one.
#[cfg(target_family = "wasm")]
pub(crate) async fn others_first() {
    wit_bindgen::yield_async().await;
}

/// Natively there is no host to hand over to.
#[cfg(not(target_family = "wasm"))]
pub(crate) async fn others_first() {
    #[cfg(test)]
    BREAKS.set(BREAKS.get() + 1);
}

#[cfg(test)]
thread_local! {
    /// How many breaks this thread has made.
    pub(crate) static BREAKS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[test]
    fn no_text_is_checked_or_hashed_without_breaks() {
        const PIECES: usize = 20;
        let run = |unit: &str| unit.repeat(PIECES * PIECE / unit.len());
        for text in [
            format!("[{}1e305]", run("1,")),
            format!("[{}]", run("1,")),
            format!("{}1", run(" ")),
            format!("{{\"a\"{}:1}}", run(" ")),
            format!("\"{}\"", run("\u{e9}")),
            format!("\"{}\\x\"", run("a")),
            format!("0.{}", run("1")),
            format!("{}e-{}", run("1"), PIECES * PIECE),
            run("1"),
            format!("{}x", run("\n")),
        ] {
            let before = BREAKS.get();
            let _ = check_json(text.as_bytes()).now_or_never();
            assert!(BREAKS.get() - before >= PIECES - 1, "{}", &text[..9]);
            let before = BREAKS.get();
            let _ = foreign_tag_of(text.as_bytes()).now_or_never();
            assert!(BREAKS.get() - before >= PIECES);
        }
    }

    #[test]
    fn what_is_wrong_with_a_long_text_is_told() {
        let items = "[1,\n".to_owned() + &"\"a\",\n".repeat(100_000);
        for (end, told) in [
            ("1]", None),
            ("]", Some("trailing comma at line 100002 column 1")),
            (
                "1e400]",
                Some("number out of range at line 100002 column 5"),
            ),
            ("1e305]", None),
            ("x", Some("expected value at line 100002 column 1")),
            (
                "\"",
                Some("EOF while parsing a string at line 100002 column 1"),
            ),
        ] {
            let checked = check_json(format!("{items}{end}").as_bytes()).now_or_never();
            let expected = told.map_or(Ok(()), |told| Err(NotJson(told.to_owned())));
            assert_eq!(checked, Some(expected), "{end}");
        }
    }

    #[test]
    fn a_tag_is_the_same_in_pieces() {
        let bytes: Vec<u8> = (0..3 * HASHED_PIECE).map(|at| (at % 251) as u8).collect();
        for length in [0, HASHED_PIECE, HASHED_PIECE + 1, bytes.len()] {
            let (json, _) = bytes.split_at(length);
            assert_eq!(
                tag_of(json).now_or_never(),
                Some(ETag::of(json)),
                "{length}"
            );
        }
    }
}
