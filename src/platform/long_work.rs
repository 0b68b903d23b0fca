//! Work on long texts, in pieces: in between, other requests of the instance go on.

use crate::types::digest::Xxh3;
use crate::types::etag::ETag;
use crate::types::json::{self, Progress, Scanner};

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

/// Whether `bytes` are a JSON text: see [`json::check`].
///
/// # Errors
/// As [`json::check`].
pub(crate) async fn check_json(bytes: &[u8]) -> Result<(), serde_json::Error> {
    let mut scanner = Scanner::new(bytes);
    loop {
        match scanner.advance(PIECE) {
            Progress::More => others_first().await,
            Progress::Json => return Ok(()),
            Progress::Unsure => return json::judge(bytes),
        }
    }
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

/// Lets other requests of the instance go on, and takes in what the host has for this one.
#[cfg(target_family = "wasm")]
pub(crate) async fn others_first() {
    wit_bindgen::yield_async().await;
}

/// Natively there is no host to hand over to.
#[cfg(not(target_family = "wasm"))]
pub(crate) async fn others_first() {}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

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
