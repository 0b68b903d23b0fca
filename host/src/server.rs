//! The HTTP server: HTTP/1.1 and HTTP/2 without TLS on one port. It routes each request to a
//! component, and answers the host's own paths.
//!
//! As in Spin:
//! - A request without `Host` ends its connection without a response.
//! - A component that fails is a 500 without a body.
//! - A client that disconnects does not stop the component.
//!
//! TLS is left out on purpose. Unlike Spin, this server bounds what slow clients may take
//! ([`limits`], [`activity`]).
//!
//! Follows Spin's `crates/trigger-http/src/server.rs`.

mod activity;
mod limits;
mod request;
pub(crate) mod routes;

use std::collections::BTreeMap;
use std::future::Future;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use wasmtime_wasi_http::p3::bindings::http::types::ErrorCode;

use crate::config::manifest::{StaticResponse, Target};
use crate::log::{FewLines, quoted};
use crate::runtime::instances::Handler;
use crate::telemetry::{RequestSpan, Telemetry};
use activity::{Activity, Room};
pub(crate) use limits::Limits;
use limits::{LimitedBody, LimitedStream, SCARCE};
use routes::{HOST_PATHS, Routes};

/// Ports that `--find-free-port` tries.
const PORTS_TO_TRY: u16 = 10;

/// How long running requests may still take once the host has been told to stop.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);

/// Connections that could not be accepted.
static NOT_ACCEPTED: FewLines = FewLines::new();

/// Requests that a component did not respond to.
static NO_RESPONSE: FewLines = FewLines::new();

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
        let (stopping, _) = watch::channel(());
        let places = Arc::new(Semaphore::new(self.limits.connections));
        let room = Room::new(self.limits.requests);
        loop {
            let accepted = tokio::select! {
                accepted = accept(&listener, &places) => accepted,
                () = &mut stop => break,
            };
            match accepted {
                Ok((stream, client, place)) => {
                    let (server, activity) = (self.clone(), Activity::new(room.clone()));
                    let (places, stopping) = (places.clone(), stopping.subscribe());
                    tokio::spawn(async move {
                        let full = move || places.available_permits() == 0;
                        server
                            .serve_connection(stream, client, activity, full, stopping)
                            .await;
                        drop(place);
                    });
                }
                Err(error) => {
                    // For instance out of file descriptors, until connections end. Spin stops here.
                    NOT_ACCEPTED.write(format_args!("Cannot accept a connection: {error}"));
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        drop(listener);
        let _ = stopping.send(());
        let _ = tokio::time::timeout(SHUTDOWN_GRACE, stopping.closed()).await;
    }

    /// Serves one connection. `full` says whether others may be waiting for it to end.
    async fn serve_connection(
        self: Arc<Self>,
        stream: TcpStream,
        client: SocketAddr,
        activity: Arc<Activity>,
        full: impl Fn() -> bool + Clone + Send + 'static,
        mut stopping: watch::Receiver<()>,
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
        let stream = LimitedStream::new(stream, &self.limits);
        // While others may be waiting, a connection that is not new ends with its next answer: else
        // whoever keeps sending requests would keep its place for good.
        let new_until = Instant::now() + self.limits.idle / SCARCE;
        let makes_room = Arc::new(Notify::new());
        let service = service_fn(|request: Request<Incoming>| {
            let (server, running) = (self.clone(), activity.run());
            let (full, makes_room) = (full.clone(), makes_room.clone());
            async move {
                let is_http1 = request.version() < Version::HTTP_2;
                let mut response = match running {
                    Some(running) => {
                        let response = server.respond(request, client, running.place()).await?;
                        response.map(|body| running.answer(body))
                    }
                    None => busy_response(),
                };
                if full() && Instant::now() >= new_until {
                    if is_http1 {
                        let close = HeaderValue::from_static("close");
                        response.headers_mut().insert(header::CONNECTION, close);
                    } else {
                        makes_room.notify_one();
                    }
                }
                Ok::<_, anyhow::Error>(response)
            }
        });
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let mut checks = tokio::time::interval(self.limits.check());
        let mut ending = false;
        loop {
            let end = tokio::select! {
                // Errors of a connection, such as a client that hangs up, are not logged.
                _ = connection.as_mut() => return,
                _ = stopping.changed(), if !ending => true,
                () = makes_room.notified(), if !ending => true,
                _ = checks.tick() => {
                    let full = full();
                    let stalled = activity.give_up_stalled(self.limits.write, full);
                    let idle = activity.idle();
                    if ending && idle.is_some() {
                        return;
                    }
                    let limit = if full { self.limits.idle / SCARCE } else { self.limits.idle };
                    stalled || idle.is_some_and(|idle| idle >= limit)
                }
            };
            // It takes no more requests, and ends with the last that runs. HTTP/2 has no way to end
            // just the stream of an answer that was given up.
            if end && !ending {
                ending = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }

    /// Responds to a request. An error ends the connection.
    async fn respond(
        &self,
        request: Request<Incoming>,
        client: SocketAddr,
        place: Arc<OwnedSemaphorePermit>,
    ) -> Result<Response<ResponseBody>> {
        let mut span = self.telemetry.start_request(&request);
        let response = self.dispatch(request, client, place, &mut span).await;
        span.set_response(&response);
        response
    }

    async fn dispatch(
        &self,
        request: Request<Incoming>,
        client: SocketAddr,
        place: Arc<OwnedSemaphorePermit>,
        span: &mut RequestSpan,
    ) -> Result<Response<ResponseBody>> {
        let mut request = request.map(|body| {
            let body = body.map_err(|error| incoming_error(&error));
            LimitedBody::new(body, self.limits.body).boxed_unsync()
        });
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
                    Ok::<_, anyhow::Error>(handler.handle(request, span.context(), place).await?)
                };
                Ok(match response.await {
                    Ok(response) => response,
                    Err(error) => {
                        let path = quoted(&path);
                        NO_RESPONSE.write(format_args!(
                            "Component {id:?} did not respond to {path}: {error:#}"
                        ));
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
    places: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await;
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

/// The response while too many requests run.
fn busy_response() -> Response<ResponseBody> {
    let mut response = empty_response(StatusCode::SERVICE_UNAVAILABLE);
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
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
mod tests;
