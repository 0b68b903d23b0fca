//! The HTTP server: HTTP/1.1 and HTTP/2 without TLS on one port, the host's own paths, and the way from a request to
//! what answers it.
//!
//! A request that is not even addressed to the application (no `Host`) ends its connection without an answer, a
//! component that fails is a 500 without a body, and a client that goes away does not stop the component: all as in
//! Spin. TLS is left out on purpose.
//!
//! Follows Spin's `crates/trigger-http/src/server.rs`.

use std::collections::BTreeMap;
use std::future::Future;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use wasmtime_wasi_http::p3::bindings::http::types::ErrorCode;

use crate::instances::Handler;
use crate::manifest::{StaticResponse, Target};
use crate::request;
use crate::routes::{Routes, WELL_KNOWN};
use crate::telemetry::{RequestSpan, Telemetry};

/// Ports that `--find-free-port` tries.
const PORTS_TO_TRY: u16 = 10;

/// How long requests that are under way when the host is told to stop may still take.
const GRACE: Duration = Duration::from_secs(1);

type Body = UnsyncBoxBody<Bytes, wasmtime::Error>;

/// The application, ready to answer.
pub(crate) struct Server {
    /// What is served where.
    pub(crate) routes: Routes,
    /// By component id.
    pub(crate) handlers: BTreeMap<String, Handler>,
    /// Where the spans of requests go.
    pub(crate) telemetry: Telemetry,
    /// Bytes; hyper's own choice unless given.
    pub(crate) http1_max_buf_size: Option<usize>,
}

/// Listens on `address`, or with `find_free_port` on the next port that is free.
pub(crate) async fn listen(address: SocketAddr, find_free_port: bool) -> Result<TcpListener> {
    let tries = if find_free_port { PORTS_TO_TRY } else { 1 };
    for offset in 0..tries {
        let Some(port) = address.port().checked_add(offset) else {
            break;
        };
        let address = SocketAddr::new(address.ip(), port);
        match TcpListener::bind(address).await {
            Ok(listener) => return Ok(listener),
            Err(error) if error.kind() == ErrorKind::AddrInUse => {}
            Err(error) => bail!("cannot listen on {address}: {error}"),
        }
    }
    if find_free_port {
        bail!("{address} is already in use, and so are the ports after it");
    }
    bail!(
        "{address} is already in use; take another with --listen, or the next free one with --find-free-port"
    );
}

impl Server {
    /// Serves until `stop` is done, then lets requests under way end, for a short time.
    pub(crate) async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        stop: impl Future<Output = ()>,
    ) {
        let mut stop = std::pin::pin!(stop);
        let graceful = GracefulShutdown::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut stop => break,
            };
            match accepted {
                Ok((stream, client)) => {
                    tokio::spawn(
                        self.clone()
                            .serve_connection(stream, client, graceful.watcher()),
                    );
                }
                Err(error) => {
                    // Out of file descriptors, say: it passes when connections end. Spin gives up here.
                    eprintln!("Cannot accept a connection: {error}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        drop(listener);
        let _ = tokio::time::timeout(GRACE, graceful.shutdown()).await;
    }

    async fn serve_connection(
        self: Arc<Self>,
        stream: TcpStream,
        client: SocketAddr,
        watcher: Watcher,
    ) {
        // On purpose unlike Spin: without it, an answer whose body is not ready with its head waits for the client's
        // delayed ACK, some 40 ms. Nothing else that a client can observe changes.
        let _ = stream.set_nodelay(true);
        let mut builder = Builder::new(TokioExecutor::new());
        if let Some(size) = self.http1_max_buf_size {
            builder.http1().max_buf_size(size);
        }
        let service = service_fn(|request| {
            let server = self.clone();
            async move { server.answer(request, client).await }
        });
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        // How a connection ends, a client that hangs up for one, is not worth a line.
        let _ = watcher.watch(connection).await;
    }

    /// An error ends the connection.
    async fn answer(
        &self,
        request: Request<Incoming>,
        client: SocketAddr,
    ) -> Result<Response<Body>> {
        let mut span = self.telemetry.request(&request);
        let answer = self.dispatch(request, client, &mut span).await;
        span.answered(&answer);
        answer
    }

    async fn dispatch(
        &self,
        request: Request<Incoming>,
        client: SocketAddr,
        span: &mut RequestSpan,
    ) -> Result<Response<Body>> {
        let mut request =
            request.map(|body| body.map_err(|error| incoming_error(&error)).boxed_unsync());
        request::strip_headers(&mut request);
        let path = request.uri().path().to_owned();
        if let Some(own) = path.strip_prefix(WELL_KNOWN) {
            return Ok(match own {
                "health" => Response::new(full("OK")),
                // Spin's `info` describes the application to its own tools.
                _ => status(StatusCode::NOT_FOUND),
            });
        }
        let Some(route) = self.routes.find(&path) else {
            return Ok(status(StatusCode::NOT_FOUND));
        };
        span.routed(route.raw_route());
        request::set_full_uri(&mut request)?;
        match route.target() {
            Target::Static(response) => fixed(response),
            Target::Component(id) => {
                let answer = async {
                    let handler = self.handlers.get(id).context("no such component")?;
                    request::add_headers(&mut request, &route, client)?;
                    Ok::<_, anyhow::Error>(handler.handle(request, span.context()).await?)
                };
                Ok(match answer.await {
                    Ok(answer) => answer,
                    Err(error) => {
                        eprintln!("Component {id:?} did not answer {path:?}: {error:#}");
                        status(StatusCode::INTERNAL_SERVER_ERROR)
                    }
                })
            }
        }
    }
}

fn status(status: StatusCode) -> Response<Body> {
    let mut answer = Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
    *answer.status_mut() = status;
    answer
}

fn full(text: impl Into<Bytes>) -> Body {
    Full::new(text.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

fn fixed(response: &StaticResponse) -> Result<Response<Body>> {
    let mut builder = Response::builder().status(response.status());
    for (name, value) in &response.headers {
        builder = builder.header(name, value);
    }
    Ok(builder.body(full(response.body.clone().unwrap_or_default()))?)
}

/// What a component is told when a client's body ends in the middle.
fn incoming_error(error: &hyper::Error) -> ErrorCode {
    if error.is_timeout() {
        ErrorCode::HttpResponseTimeout
    } else {
        ErrorCode::HttpProtocolError
    }
}
