//! How long a connection may hold up the host, and how many there may be. Spin 4.1 has none of
//! these limits: there, a proxy has to set them.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

/// The first bytes of a connection tell HTTP/2 from HTTP/1 (RFC 9113, section 3.4).
const PREFACE: usize = 24;

/// The limits of one server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How long a client may take for the head of a request.
    pub(crate) head: Duration,
    /// How long a client may take in nothing of a response.
    pub(crate) write: Duration,
    /// How long a connection without a running request may be silent.
    pub(crate) idle: Duration,
    /// How many connections there are at once. More wait until one ends.
    pub(crate) connections: usize,
    /// How many requests run at once on one HTTP/2 connection.
    pub(crate) streams: u32,
}

impl Limits {
    /// The limits of a process that may open so many files. Half of them are for clients; the rest
    /// is for connections to Redis and to the origin.
    pub(crate) fn for_files(files: u64) -> Self {
        let half = usize::try_from(files / 2).unwrap_or(usize::MAX);
        Self {
            head: Duration::from_secs(30),
            write: Duration::from_secs(30),
            idle: Duration::from_secs(75),
            connections: half.clamp(16, 10_000),
            streams: 100,
        }
    }
}

/// What happens on one connection.
#[derive(Debug)]
pub(crate) struct Activity {
    began: Instant,
    /// When a byte was last sent or received, in milliseconds after `began`.
    last: AtomicU64,
    running: AtomicUsize,
}

impl Activity {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            last: AtomicU64::new(0),
            running: AtomicUsize::new(0),
        })
    }

    /// Notes that a request runs, until what is returned is dropped.
    pub(crate) fn run(self: &Arc<Self>) -> Running {
        self.running.fetch_add(1, Ordering::Relaxed);
        Running(Arc::clone(self))
    }

    /// Waits until no request runs and no byte has come or gone for `limit`.
    pub(crate) async fn idle_for(&self, limit: Duration) {
        loop {
            let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
            let silent = self.began.elapsed().saturating_sub(last);
            let runs = self.running.load(Ordering::Relaxed) > 0;
            match limit.checked_sub(silent) {
                Some(left) if !left.is_zero() => sleep(left).await,
                _ if runs => sleep(limit).await,
                _ => return,
            }
        }
    }

    fn note(&self) {
        let now = self.began.elapsed().as_millis();
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }
}

/// A request that runs.
pub(crate) struct Running(Arc<Activity>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.note();
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection that fails if its client sends no request or takes in no response for too long.
pub(crate) struct LimitedStream {
    stream: TcpStream,
    activity: Arc<Activity>,
    /// Ends the time for the first bytes. `None` once they have come.
    start: Option<Pin<Box<Sleep>>>,
    received: usize,
    write: Duration,
    /// Ends the time for a write that does not go on.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl LimitedStream {
    pub(crate) fn new(stream: TcpStream, activity: Arc<Activity>, limits: &Limits) -> Self {
        Self {
            stream,
            activity,
            start: Some(Box::pin(sleep(limits.head))),
            received: 0,
            write: limits.write,
            stalled: None,
        }
    }

    /// Bounds the time for which a write is not ready.
    fn written<T>(
        &mut self,
        outcome: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.stalled = None;
            self.activity.note();
            return outcome;
        }
        let limit = self.write;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(limit)));
        match stalled.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for LimitedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(context, buffer);
        if outcome.is_ready() {
            self.activity.note();
            self.received = self.received.saturating_add(buffer.filled().len() - before);
            if self.received >= PREFACE {
                self.start = None;
            }
            return outcome;
        }
        match self
            .start
            .as_mut()
            .map(|start| start.as_mut().poll(context))
        {
            Some(Poll::Ready(())) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            _ => Poll::Pending,
        }
    }
}

impl AsyncWrite for LimitedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(outcome, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.written(outcome, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
