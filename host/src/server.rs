//! The HTTP server: HTTP/1.1 and HTTP/2 without TLS on one port. It routes each request to a
//! component, and answers the host's own paths.
//!
//! As in Spin:
//! - A request without `Host` ends its connection without a response.
//! - A component that fails is a 500 without a body.
//! - A client that disconnects does not stop the component.
//!
//! TLS is left out on purpose. Unlike Spin, this server bounds what slow clients may take
//! ([`limits`]).
//!
//! Follows Spin's `crates/trigger-http/src/server.rs`.

mod limits;
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
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime_wasi_http::p3::bindings::http::types::ErrorCode;

use crate::config::manifest::{StaticResponse, Target};
use crate::runtime::instances::Handler;
use crate::telemetry::{RequestSpan, Telemetry};
pub(crate) use limits::Limits;
use limits::{Activity, LimitedStream};
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
    /// What slow clients may take.
    pub(crate) limits: Limits,
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
        let room = Arc::new(Semaphore::new(self.limits.connections));
        loop {
            let accepted = tokio::select! {
                accepted = accept(&listener, &room) => accepted,
                () = &mut stop => break,
            };
            match accepted {
                Ok((stream, client, place)) => {
                    let served = self
                        .clone()
                        .serve_connection(stream, client, graceful.watcher());
                    tokio::spawn(async move {
                        served.await;
                        drop(place);
                    });
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
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head);
        builder.http2().max_concurrent_streams(self.limits.streams);
        if let Some(size) = self.http1_max_buf_size {
            builder.http1().max_buf_size(size);
        }
        let activity = Activity::new();
        let stream = LimitedStream::new(stream, Arc::clone(&activity), &self.limits);
        let service = service_fn(|request| {
            let (server, running) = (self.clone(), activity.run());
            async move {
                let response = server.respond(request, client).await;
                drop(running);
                response
            }
        });
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        tokio::select! {
            // Errors of a connection, such as a client that hangs up, are not logged.
            _ = watcher.watch(connection) => {}
            () = activity.idle_for(self.limits.idle) => {}
        }
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

/// The next connection, once there is room for one more.
async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = Arc::clone(room).acquire_owned().await;
    let place = place.map_err(std::io::Error::other)?;
    let (stream, client) = listener.accept().await?;
    Ok((stream, client, place))
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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::time::Instant;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::oneshot;

    use super::*;
    use crate::net::http_client::HttpClient;

    const SHORT: Duration = Duration::from_millis(200);

    /// Serves the host's own paths with short limits, until what is returned is dropped.
    async fn serve(connections: usize) -> (SocketAddr, oneshot::Sender<()>) {
        let client = HttpClient::new(true);
        let server = Server {
            routes: Routes::new(&[]).unwrap(),
            handlers: BTreeMap::new(),
            telemetry: Telemetry::from_environment(client).unwrap(),
            http1_max_buf_size: None,
            limits: Limits {
                head: SHORT,
                write: SHORT,
                idle: 2 * SHORT,
                connections,
                streams: 2,
            },
        };
        let listener = listen("127.0.0.1:0".parse().unwrap(), false).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (running, stop) = oneshot::channel();
        tokio::spawn(Arc::new(server).serve(listener, async {
            let _ = stop.await;
        }));
        (address, running)
    }

    /// Sends these bytes, and waits for the end of the connection. Returns what came back.
    async fn until_closed(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut received = Vec::new();
        let limit = Duration::from_secs(10);
        let ended = tokio::time::timeout(limit, stream.read_to_end(&mut received)).await;
        let _ = ended.unwrap();
        received
    }

    #[tokio::test]
    async fn connections_that_send_no_whole_head_are_closed() {
        let (address, _running) = serve(1000).await;
        for bytes in [
            &b""[..],
            b"P",
            b"PRI * HTTP/2.0\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\n",
        ] {
            let began = Instant::now();
            until_closed(address, bytes).await;
            assert!(began.elapsed() >= SHORT / 2, "{:?}", began.elapsed());
        }
    }

    #[tokio::test]
    async fn idle_connections_are_closed() {
        let (address, _running) = serve(1000).await;
        let request = b"GET /.well-known/spin/health HTTP/1.1\r\nHost: x\r\n\r\n";
        let response = until_closed(address, request).await;
        assert!(response.starts_with(b"HTTP/1.1 200 OK"));
        // The preface of HTTP/2 and empty SETTINGS.
        until_closed(
            address,
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
        )
        .await;
    }

    #[tokio::test]
    async fn silent_connections_do_not_keep_others_out() {
        let (address, _running) = serve(4).await;
        let mut silent = Vec::new();
        for _ in 0..40 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let request =
            b"GET /.well-known/spin/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let response = until_closed(address, request).await;
        assert!(response.starts_with(b"HTTP/1.1 200 OK"));
    }
}
