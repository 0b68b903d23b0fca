//! Where a component's stdout and stderr go: this process's stderr, each line as soon as it is complete.
//!
//! Lines are put together here because a component writes a line in several pieces, and the instances that run
//! side by side would mix theirs. Spin's log files are left out on purpose: whoever runs the host keeps its stderr.
//!
//! Follows Spin's `crates/trigger/src/cli/stdio.rs` and `crates/factor-wasi/src/io.rs`.

use std::io::{self, Write as _};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// A line is written when it ends or when it has become this long, in bytes.
const LONGEST_LINE: usize = 64 * 1024;

/// How much a component may write at once, in bytes; more is written in turn.
const WRITE_BUDGET: usize = 1024 * 1024;

/// A stream of one instance. Clones share the line that is being written.
#[derive(Clone)]
pub(crate) struct ComponentLog(Arc<Mutex<Line>>);

struct Line {
    pending: Vec<u8>,
    /// With `--quiet`, or when other components are `--follow`ed, nothing is shown.
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
            None if self.pending.len() >= LONGEST_LINE => self.pending.len(),
            None => return,
        };
        // One call, so that lines of other instances stay whole. Nobody can be told of a closed stderr.
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
        Ok(WRITE_BUDGET)
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
