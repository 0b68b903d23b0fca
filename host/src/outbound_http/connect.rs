//! Connections of the outbound HTTP client: TCP, and TLS with the certificate authorities of this machine and the
//! public ones.

use std::future::Future;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use wasmtime_wasi_http::p3::bindings::http::types::{DnsErrorPayload, ErrorCode};

tokio::task_local! {
    /// What the request that needs a new connection asks of it: the client has no other way to hand it over.
    pub(super) static CONNECT: ConnectOptions;
}

/// How to make a connection.
#[derive(Clone)]
pub(super) struct ConnectOptions {
    /// For the wait under the cap and for TCP together.
    pub(super) timeout: Duration,
    /// The host's cap on connections.
    pub(super) permits: Option<Arc<Semaphore>>,
}

/// Makes connections for `http` and `https`.
#[derive(Clone, Default)]
pub(super) struct Connector {
    /// Made for the first `https` connection: reading the authorities takes longer than all the rest of a start.
    tls: Arc<OnceLock<TlsConnector>>,
}

impl Connector {
    fn tls(&self) -> TlsConnector {
        let make = || {
            let mut roots = rustls::RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
            let mut config = rustls::ClientConfig::builder()
                .with_root_certificates(roots)
                .with_no_client_auth();
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
            TlsConnector::from(Arc::new(config))
        };
        self.tls.get_or_init(make).clone()
    }

    async fn connect(self, uri: Uri) -> Result<TokioIo<Stream>, ErrorCode> {
        let host = uri.host().ok_or(ErrorCode::HttpRequestUriInvalid)?;
        if uri.scheme() != Some(&Scheme::HTTPS) {
            let tcp = connect_tcp(host, uri.port_u16().unwrap_or(80)).await?;
            return Ok(TokioIo::new(Stream::Plain(tcp)));
        }
        let tcp = connect_tcp(host, uri.port_u16().unwrap_or(443)).await?;
        let name = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let name = ServerName::try_from(name).map_err(|_| dns_error("invalid dns name"))?;
        let tls = self
            .tls()
            .connect(name, tcp)
            .await
            .map_err(|_| ErrorCode::TlsProtocolError)?;
        Ok(TokioIo::new(Stream::Tls(Box::new(tls))))
    }
}

async fn connect_tcp(host: &str, port: u16) -> Result<Tcp, ErrorCode> {
    let options = CONNECT.try_with(Clone::clone).map_err(|_| {
        ErrorCode::InternalError(Some(
            "a connection was made outside of a request".to_owned(),
        ))
    })?;
    let addresses: Vec<_> = tokio::net::lookup_host(format!("{host}:{port}"))
        .await
        .map_err(|_| dns_error("address not available"))?
        .collect();
    let connect = async {
        let permit = match options.permits {
            Some(permits) => Some(
                permits
                    .acquire_owned()
                    .await
                    .map_err(|_| ErrorCode::ConnectionLimitReached)?,
            ),
            None => None,
        };
        let stream = TcpStream::connect(&*addresses)
            .await
            .map_err(|error| match error.kind() {
                ErrorKind::AddrNotAvailable => dns_error("address not available"),
                _ => ErrorCode::ConnectionRefused,
            })?;
        Ok(Tcp {
            stream,
            _permit: permit,
        })
    };
    timeout(options.timeout, connect)
        .await
        .map_err(|_| ErrorCode::ConnectionTimeout)?
}

fn dns_error(rcode: &str) -> ErrorCode {
    ErrorCode::DnsError(DnsErrorPayload {
        rcode: Some(rcode.to_owned()),
        info_code: Some(0),
    })
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = ErrorCode;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Stream>, ErrorCode>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ErrorCode>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

/// A TCP connection and its place under the cap.
pub(super) struct Tcp {
    stream: TcpStream,
    _permit: Option<OwnedSemaphorePermit>,
}

/// A connection of either kind.
pub(super) enum Stream {
    Plain(Tcp),
    Tls(Box<TlsStream<Tcp>>),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        match self {
            Self::Plain(tcp) => tcp.stream.connected(),
            Self::Tls(tls) => {
                let (tcp, session) = tls.get_ref();
                let connected = tcp.stream.connected();
                if session.alpn_protocol() == Some(b"h2") {
                    connected.negotiated_h2()
                } else {
                    connected
                }
            }
        }
    }
}

impl AsyncRead for Tcp {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

/// Calls the same method of whichever kind the stream is.
macro_rules! forward {
    ($stream:expr, $method:ident ( $($argument:expr),* )) => {
        match $stream.get_mut() {
            Stream::Plain(tcp) => Pin::new(tcp).$method($($argument),*),
            Stream::Tls(tls) => Pin::new(tls).$method($($argument),*),
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        forward!(self, poll_read(cx, into))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        forward!(self, poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        forward!(self, poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(tcp) => tcp.is_write_vectored(),
            Self::Tls(tls) => tls.is_write_vectored(),
        }
    }
}
