//! Connections of the HTTP client: TCP, and TLS with the certificate authorities of this machine
//! and the public ones.

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
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use wasmtime_wasi_http::p3::bindings::http::types::{DnsErrorPayload, ErrorCode};

use super::connection_cap::ConnectionCap;

tokio::task_local! {
    /// How to make a connection for the request that is being sent. The client has no other way to
    /// pass it on to the connector.
    pub(super) static CONNECT_OPTIONS: ConnectOptions;
}

/// How to make a connection.
#[derive(Clone)]
pub(crate) struct ConnectOptions {
    /// For the wait under the cap and for TCP together.
    pub(crate) timeout: Duration,
    /// The cap that the connection counts under.
    pub(crate) cap: ConnectionCap,
}

/// Makes connections for `http` and `https`.
#[derive(Clone, Default)]
pub(super) struct Connector {
    /// Made for the first `https` connection: to read the authorities takes longer than the rest
    /// of a start.
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

    async fn connect(self, uri: Uri) -> Result<TokioIo<HttpConnection>, ErrorCode> {
        let host = uri.host().ok_or(ErrorCode::HttpRequestUriInvalid)?;
        let is_https = uri.scheme() == Some(&Scheme::HTTPS);
        let default_port = if is_https { 443 } else { 80 };
        let (tcp, permit) = connect_tcp(host, uri.port_u16().unwrap_or(default_port)).await?;
        let stream = if is_https {
            Stream::Tls(Box::new(self.handshake(host, tcp).await?))
        } else {
            Stream::Plain(tcp)
        };
        Ok(TokioIo::new(HttpConnection {
            stream,
            _permit: permit,
        }))
    }

    async fn handshake(
        &self,
        host: &str,
        tcp: TcpStream,
    ) -> Result<TlsStream<TcpStream>, ErrorCode> {
        let name = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let name = ServerName::try_from(name).map_err(|_| dns_error("invalid dns name"))?;
        let handshake = self.tls().connect(name, tcp).await;
        handshake.map_err(|_| ErrorCode::TlsProtocolError)
    }
}

/// A TCP connection and its permit under the cap.
async fn connect_tcp(
    host: &str,
    port: u16,
) -> Result<(TcpStream, Option<OwnedSemaphorePermit>), ErrorCode> {
    let options = CONNECT_OPTIONS.try_with(Clone::clone).map_err(|_| {
        ErrorCode::InternalError(Some(
            "a connection was made outside of a request".to_owned(),
        ))
    })?;
    let addresses: Vec<_> = tokio::net::lookup_host(format!("{host}:{port}"))
        .await
        .map_err(|_| dns_error("address not available"))?
        .collect();
    let connect = async {
        let permit = options.cap.acquire().await;
        let permit = permit.map_err(|_| ErrorCode::ConnectionLimitReached)?;
        let stream = TcpStream::connect(&*addresses).await;
        let stream = stream.map_err(|error| match error.kind() {
            ErrorKind::AddrNotAvailable => dns_error("address not available"),
            _ => ErrorCode::ConnectionRefused,
        })?;
        Ok((stream, permit))
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
    type Response = TokioIo<HttpConnection>;
    type Error = ErrorCode;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ErrorCode>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ErrorCode>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

/// A connection. It gives its permit back when it is closed.
pub(super) struct HttpConnection {
    stream: Stream,
    _permit: Option<OwnedSemaphorePermit>,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection for HttpConnection {
    fn connected(&self) -> Connected {
        match &self.stream {
            Stream::Plain(tcp) => tcp.connected(),
            Stream::Tls(tls) => {
                let (tcp, session) = tls.get_ref();
                let connected = tcp.connected();
                if session.alpn_protocol() == Some(b"h2") {
                    connected.negotiated_h2()
                } else {
                    connected
                }
            }
        }
    }
}

/// Calls the same method of either kind of stream.
macro_rules! forward {
    ($connection:expr, $method:ident ( $($argument:expr),* )) => {
        match &mut $connection.get_mut().stream {
            Stream::Plain(tcp) => Pin::new(tcp).$method($($argument),*),
            Stream::Tls(tls) => Pin::new(tls).$method($($argument),*),
        }
    };
}

impl AsyncRead for HttpConnection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        forward!(self, poll_read(cx, into))
    }
}

impl AsyncWrite for HttpConnection {
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
        match &self.stream {
            Stream::Plain(tcp) => tcp.is_write_vectored(),
            Stream::Tls(tls) => tls.is_write_vectored(),
        }
    }
}
