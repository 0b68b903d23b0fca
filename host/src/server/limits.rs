//! How much slow clients may take of the host, and how many there may be. Spin 4.1 has none of
//! these limits: there, a proxy has to set them.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};
use wasmtime_wasi_http::p3::bindings::http::types::ErrorCode;

/// Bytes of a request's body that must come within the time limit.
const PROGRESS: usize = 4 << 10;

/// What divides the time limits of clients that take places which others need.
pub(super) const SCARCE: u32 = 8;

/// The limits of one server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How long a client of HTTP/1 may take for the head of a request.
    pub(crate) head: Duration,
    /// How long a component may wait for the next 4 KB of a request's body.
    pub(crate) body: Duration,
    /// How long a client may take for 16 KB of a response.
    pub(crate) write: Duration,
    /// How long a connection may be open without a running request.
    pub(crate) idle: Duration,
    /// How many connections there are at once. More wait until one ends.
    pub(crate) connections: usize,
    /// How many requests run at once on one HTTP/2 connection.
    pub(crate) streams: u32,
    /// How many requests run at once on all connections. More are refused.
    pub(crate) requests: usize,
}

impl Limits {
    /// The limits of a process that may open so many files. Half of them are for clients; the rest
    /// is for connections to Redis and to the origin.
    pub(crate) fn new(files: u64, requests: usize) -> Self {
        let half = usize::try_from(files / 2).unwrap_or(usize::MAX);
        Self {
            head: Duration::from_secs(30),
            body: Duration::from_secs(30),
            write: Duration::from_secs(30),
            idle: Duration::from_secs(30),
            connections: half.clamp(16, 10_000),
            streams: 100,
            requests,
        }
    }

    /// How often a connection is checked.
    pub(super) fn check(&self) -> Duration {
        self.idle.min(self.write) / SCARCE
    }
}

/// A connection that fails if its client takes in nothing for too long.
pub(super) struct LimitedStream {
    stream: TcpStream,
    write: Duration,
    /// Ends the time for a write that does not go on.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl LimitedStream {
    pub(super) fn new(stream: TcpStream, limits: &Limits) -> Self {
        Self {
            stream,
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
        Pin::new(&mut self.stream).poll_read(context, buffer)
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

/// A request's body that fails if it comes too slowly. The time begins when the component first has
/// to wait for it.
pub(super) struct LimitedBody<B> {
    body: B,
    limit: Duration,
    /// Ends the time for the next bytes. `None` until they have to be waited for.
    late: Option<Pin<Box<Sleep>>>,
    /// How many bytes have come since that time began.
    received: usize,
}

impl<B> LimitedBody<B> {
    pub(super) fn new(body: B, limit: Duration) -> Self {
        Self {
            body,
            limit,
            late: None,
            received: 0,
        }
    }
}

impl<B: Body<Data = Bytes, Error = ErrorCode> + Unpin> Body for LimitedBody<B> {
    type Data = Bytes;
    type Error = ErrorCode;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ErrorCode>>> {
        let outcome = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(frame) = outcome {
            if let Some(Ok(frame)) = &frame {
                self.received += frame.data_ref().map_or(0, Bytes::len);
            }
            if self.received >= PROGRESS {
                self.received = 0;
                self.late = None;
            }
            return Poll::Ready(frame);
        }
        let limit = self.limit;
        let late = self.late.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(late.as_mut().poll(context));
        Poll::Ready(Some(Err(ErrorCode::ConnectionReadTimeout)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
