//! The HTTP server: HTTP/1.1 and HTTP/2 without TLS on one port. It routes each request to a
//! component, and answers the host's own paths.
//!
//! As in Spin:
//! - A request without `Host` ends its connection without a response.
//! - A component that fails is a 500 without a body.
//! - A client that disconnects does not stop the component.
//!
//! TLS is left out on purpose.
//!
//! Follows Spin's `crates/trigger-http/src/server.rs`.

mod request;
pub(crate) mod routes;

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

use crate::config::manifest::{StaticResponse, Target};
use crate::runtime::instances::Handler;
use crate::telemetry::{RequestSpan, Telemetry};
use routes::{HOST_PATHS, Routes};

/// Ports that `--find-free-port` tries.
const PORTS_TO_TRY: u16 = 10;

/// How long running requests may still take once the host has been told to stop.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);

type ResponseBody = UnsyncBoxBody<Bytes, wasmtime::Error>;

/// The application, ready to serve.
pub(crate) struct Server {
    /// The application's routes.
    pub(crate) routes: Routes,
    /// By component id.
    pub(crate) handlers: BTreeMap<String, Handler>,
    /// The exporter of the spans of requests.
    pub(crate) telemetry: Telemetry,
    /// In bytes; `None` is hyper's default.
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
        "{address} is already in use; take another with --listen, \
         or the next free one with --find-free-port"
    );
}

impl Server {
    /// Serves until `stop` resolves, then waits a short time for running requests to end.
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
                    // For instance out of file descriptors, until connections end. Spin stops here.
                    eprintln!("Cannot accept a connection: {error}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        drop(listener);
        let _ = tokio::time::timeout(SHUTDOWN_GRACE, graceful.shutdown()).await;
    }

    async fn serve_connection(
        self: Arc<Self>,
        stream: TcpStream,
        client: SocketAddr,
        watcher: Watcher,
    ) {
        // On purpose unlike Spin. Without it, a body that is not ready together with its head
        // waits about 40 ms for the client's delayed ACK. A client sees no other difference.
        let _ = stream.set_nodelay(true);
        let mut builder = Builder::new(TokioExecutor::new());
        if let Some(size) = self.http1_max_buf_size {
            builder.http1().max_buf_size(size);
        }
        let service = service_fn(|request| {
            let server = self.clone();
            async move { server.respond(request, client).await }
        });
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        // Errors of a connection, such as a client that hangs up, are not logged.
        let _ = watcher.watch(connection).await;
    }

    /// Responds to a request. An error ends the connection.
    async fn respond(
        &self,
        request: Request<Incoming>,
        client: SocketAddr,
    ) -> Result<Response<ResponseBody>> {
        let mut span = self.telemetry.start_request(&request);
        let response = self.dispatch(request, client, &mut span).await;
        span.set_response(&response);
        response
    }

    async fn dispatch(
        &self,
        request: Request<Incoming>,
        client: SocketAddr,
        span: &mut RequestSpan,
    ) -> Result<Response<ResponseBody>> {
        let mut request =
            request.map(|body| body.map_err(|error| incoming_error(&error)).boxed_unsync());
        request::strip_headers(&mut request);
        let path = request.uri().path().to_owned();
        if let Some(own) = path.strip_prefix(HOST_PATHS) {
            return Ok(match own {
                "health" => Response::new(full_body("OK")),
                // Spin's `info`, which describes the application to its tools, is left out.
                _ => empty_response(StatusCode::NOT_FOUND),
            });
        }
        let Some(route) = self.routes.find(&path) else {
            return Ok(empty_response(StatusCode::NOT_FOUND));
        };
        span.set_route(route.raw_route());
        request::set_full_uri(&mut request)?;
        match route.target() {
            Target::Static(response) => static_response(response),
            Target::Component(id) => {
                let response = async {
                    let handler = self.handlers.get(id).context("no such component")?;
                    request::add_headers(&mut request, &route, client)?;
                    Ok::<_, anyhow::Error>(handler.handle(request, span.context()).await?)
                };
                Ok(match response.await {
                    Ok(response) => response,
                    Err(error) => {
                        eprintln!("Component {id:?} did not respond to {path:?}: {error:#}");
                        empty_response(StatusCode::INTERNAL_SERVER_ERROR)
                    }
                })
            }
        }
    }
}

fn empty_response(status: StatusCode) -> Response<ResponseBody> {
    let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

fn full_body(text: impl Into<Bytes>) -> ResponseBody {
    Full::new(text.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

fn static_response(response: &StaticResponse) -> Result<Response<ResponseBody>> {
    let mut builder = Response::builder().status(response.status());
    for (name, value) in &response.headers {
        builder = builder.header(name, value);
    }
    Ok(builder.body(full_body(response.body.clone().unwrap_or_default()))?)
}

/// The error that a component gets when a client's body breaks off.
fn incoming_error(error: &hyper::Error) -> ErrorCode {
    if error.is_timeout() {
        ErrorCode::HttpResponseTimeout
    } else {
        ErrorCode::HttpProtocolError
    }
}
