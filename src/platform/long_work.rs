//! Work on long texts, in pieces: in between, other requests of the instance go on.

use crate::types::json::{self, Progress, Scanner};

/// How many bytes are worked on without a break: some 0.1 ms.
const PIECE: usize = 64 << 10;

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

/// Lets other requests of the instance go on, and takes in what the host has for this one.
#[cfg(target_family = "wasm")]
pub(crate) async fn others_first() {
    wit_bindgen::yield_async().await;
}

/// Natively there is no host to hand over to.
#[cfg(not(target_family = "wasm"))]
pub(crate) async fn others_first() {}
