//! Bodies in pieces. A client may take in nothing for as long as it likes, on many streams at once,
//! so none of them holds a file as a whole.

use std::convert::Infallible;
use std::io::Read as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use flate2::bufread::GzDecoder;
use http_body::Frame;

/// The longest piece, in bytes. The component and the host hold some of them for each client that
/// does not read.
const PIECE: usize = 8 << 10;

/// The body of an answer.
#[derive(Default)]
pub struct Body(Content);

enum Content {
    /// As it is.
    Whole(Bytes),
    /// What is left of stored bytes.
    Stored(&'static [u8]),
    /// What is left of a file that is unpacked on the way.
    Packed(Box<GzDecoder<&'static [u8]>>),
}

impl Default for Content {
    fn default() -> Self {
        Self::Whole(Bytes::new())
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(Content::Whole(bytes))
    }
}

impl Body {
    /// These bytes, which are copied a piece at a time.
    pub(crate) fn stored(bytes: &'static [u8]) -> Self {
        Self(Content::Stored(bytes))
    }

    /// What was compressed to these bytes.
    pub(crate) fn unpacked(gzip: &'static [u8]) -> Self {
        Self(Content::Packed(Box::new(GzDecoder::new(gzip))))
    }

    /// The next piece; empty at the end.
    fn next(&mut self) -> Bytes {
        match &mut self.0 {
            Content::Whole(bytes) => std::mem::take(bytes),
            Content::Stored(rest) => {
                let (piece, after) = rest.split_at(rest.len().min(PIECE));
                *rest = after;
                Bytes::from_static(piece)
            }
            Content::Packed(decoder) => {
                let mut piece = Vec::with_capacity(PIECE);
                // What `build.rs` has compressed can be read again.
                let _ = decoder.by_ref().take(PIECE as u64).read_to_end(&mut piece);
                piece.into()
            }
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.next();
        Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece))))
    }
}

#[cfg(test)]
impl Body {
    /// All of it.
    pub(crate) fn whole(mut self) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let piece = self.next();
            assert!(piece.len() <= PIECE);
            if piece.is_empty() {
                return all;
            }
            all.extend(piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_bytes_come_in_pieces() {
        const BYTES: &[u8] = &[7; 2 * PIECE + 1];
        assert_eq!(Body::stored(BYTES).whole(), BYTES);
    }
}
