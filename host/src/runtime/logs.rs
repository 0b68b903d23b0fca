//! A component's stdout and stderr: written to this process's stderr, line by line.
//!
//! A component writes a line in several pieces, so lines of concurrent instances would mix if the
//! pieces were not joined here. Spin's log files are left out on purpose: redirect stderr instead.
//!
//! Follows Spin's `crates/trigger/src/cli/stdio.rs` and `crates/factor-wasi/src/io.rs`.

use std::io::{self, Write as _};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// A line is written when it ends, or when it is this long, in bytes.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// The most bytes that a component may write in one call.
const MAX_WRITE_BYTES: usize = 1024 * 1024;

/// The stdout or stderr of one instance. Clones share the current line.
#[derive(Clone)]
pub(crate) struct ComponentLog(Arc<Mutex<Line>>);

struct Line {
    pending: Vec<u8>,
    /// False with `--quiet`, or if other components are `--follow`ed.
    shown: bool,
}

impl ComponentLog {
    pub(crate) fn new(shown: bool) -> Self {
        Self(Arc::new(Mutex::new(Line {
            pending: Vec::new(),
            shown,
        })))
    }

    fn append(&self, bytes: &[u8]) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .append(bytes);
    }
}

impl Line {
    fn append(&mut self, bytes: &[u8]) {
        if !self.shown {
            return;
        }
        self.pending.extend_from_slice(bytes);
        let complete = match self.pending.iter().rposition(|byte| *byte == b'\n') {
            Some(newline) => newline + 1,
            None if self.pending.len() >= MAX_LINE_BYTES => self.pending.len(),
            None => return,
        };
        // One call, so that lines of concurrent instances do not mix. A failure cannot be reported.
        let _ = io::stderr().write_all(&self.pending[..complete]);
        self.pending.drain(..complete);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.pending.is_empty() {
            self.append(b"\n");
        }
    }
}

impl IsTerminal for ComponentLog {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for ComponentLog {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for ComponentLog {
    fn write(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        self.append(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(MAX_WRITE_BYTES)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for ComponentLog {
    async fn ready(&mut self) {}
}

impl AsyncWrite for ComponentLog {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.append(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
