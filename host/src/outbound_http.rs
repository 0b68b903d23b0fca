//! `wasi:http/client`: requests that a component sends.
//!
//! A request goes out if the component's allowed hosts permit it; redirects are not followed. Connections are kept and
//! shared by all instances. A guest's time limits count from the request; without any, each is ten minutes. A request
//! without an authority, or to `self.alt`, goes to the application itself. Left out on purpose: service chaining,
//! blocked networks, client certificates, HTTP/2 without TLS.
//!
//! Follows Spin's `crates/factor-outbound-http/src/wasi.rs`.

mod connect;

use std::error::Error as _;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::TokioExecutor;
use tokio::sync::Semaphore;
use tokio::time::{Sleep, timeout};
use wasmtime_wasi::TrappableError;
use wasmtime_wasi_http::p3::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::p3::{RequestOptions, WasiHttpHooks};

use crate::outbound::Gate;
use crate::runtime_config;
use connect::{CONNECT, ConnectOptions, Connector};

/// Each time limit that the component does not set.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);

type Outgoing = UnsyncBoxBody<Bytes, ErrorCode>;
type Sent = Box<dyn Future<Output = Result<(), ErrorCode>> + Send>;

/// The client, and the rules for one component. Clones share the connections.
#[derive(Clone)]
pub(crate) struct OutboundHttp {
    gate: Arc<Gate>,
    shared: Shared,
}

/// What all components have in common.
#[derive(Clone)]
pub(crate) struct Shared {
    client: Client<Connector, Outgoing>,
    permits: Option<Arc<Semaphore>>,
    /// Where this host listens, known once it does.
    own_address: Arc<OnceLock<SocketAddr>>,
}

impl Shared {
    pub(crate) fn new(
        config: runtime_config::OutboundHttp,
        own_address: Arc<OnceLock<SocketAddr>>,
    ) -> Self {
        let mut builder = Client::builder(TokioExecutor::new());
        if !config.pooling {
            builder.pool_max_idle_per_host(0);
        }
        Self {
            client: builder.build(Connector::default()),
            permits: config
                .max_connections
                .map(|most| Arc::new(Semaphore::new(most))),
            own_address,
        }
    }
}

/// The host's own client, for requests that no component sends.
#[derive(Clone)]
pub(crate) struct HostClient(Client<Connector, Outgoing>);

impl Default for HostClient {
    fn default() -> Self {
        Self(Client::builder(TokioExecutor::new()).build(Connector::default()))
    }
}

impl HostClient {
    /// Sends a request and reads the whole answer, of at most `longest` bytes, within `limit`.
    pub(crate) async fn send(
        &self,
        request: Request<Bytes>,
        limit: Duration,
        longest: usize,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let connect = ConnectOptions {
            timeout: limit,
            permits: None,
        };
        let request = request.map(|body| {
            Full::new(body)
                .map_err(|never| match never {})
                .boxed_unsync()
        });
        let exchange = async {
            let answer = CONNECT.scope(connect, self.0.request(request)).await?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), longest).collect().await;
            let body = body.map_err(|_| anyhow::anyhow!("its answer broke off or is too long"))?;
            Ok((status, body.to_bytes()))
        };
        timeout(limit, exchange).await?
    }
}

impl OutboundHttp {
    pub(crate) fn new(gate: Arc<Gate>, shared: Shared) -> Self {
        Self { gate, shared }
    }

    async fn send(
        self,
        mut request: Request<Outgoing>,
        options: Option<RequestOptions>,
    ) -> Result<Response<Outgoing>, ErrorCode> {
        self.prepare(&mut request).await?;
        let limit = |set: fn(&RequestOptions) -> Option<Duration>| {
            options.as_ref().and_then(set).unwrap_or(DEFAULT_TIMEOUT)
        };
        let between_bytes = limit(|options| options.between_bytes_timeout);
        let connect = ConnectOptions {
            timeout: limit(|options| options.connect_timeout),
            permits: self.shared.permits.clone(),
        };
        let answer = CONNECT.scope(connect, self.shared.client.request(request));
        let answer = timeout(limit(|options| options.first_byte_timeout), answer)
            .await
            .map_err(|_| ErrorCode::ConnectionReadTimeout)?
            .map_err(|error| client_error(&error))?;
        Ok(answer.map(|body| {
            let body = body.map_err(|error| body_error(&error)).boxed_unsync();
            TimedBody {
                body: Some(body),
                timeout: between_bytes,
                sleep: None,
            }
            .boxed_unsync()
        }))
    }

    /// Refuses the request, or leaves it as it is to go out.
    async fn prepare(&self, request: &mut Request<Outgoing>) -> Result<(), ErrorCode> {
        let authority = request.uri().authority().map(Authority::host);
        let to_itself = matches!(authority, None | Some("" | "self.alt"));
        let allowed = if to_itself {
            self.gate.allows_itself().await
        } else {
            let url = request.uri().to_string();
            self.gate.allows(&url, "https").await
        };
        if !allowed.unwrap_or(false) {
            return Err(ErrorCode::HttpRequestDenied);
        }
        if to_itself {
            let path = request
                .uri()
                .path_and_query()
                .map_or("/", |path| path.as_str())
                .to_owned();
            let own = self
                .shared
                .own_address
                .get()
                .ok_or(ErrorCode::HttpRequestUriInvalid)?
                .to_string();
            *request.uri_mut() = Uri::builder()
                .scheme(Scheme::HTTP)
                .authority(own.as_str())
                .path_and_query(path)
                .build()
                .map_err(|_| ErrorCode::HttpRequestUriInvalid)?;
            if let Ok(own) = HeaderValue::from_str(&own) {
                request.headers_mut().insert(header::HOST, own);
            }
        }
        // The client sets it from the URI where it belongs, which is not in HTTP/2: some servers refuse both.
        request.headers_mut().remove(header::HOST);
        Ok(())
    }
}

impl WasiHttpHooks for OutboundHttp {
    fn send_request(
        &mut self,
        request: Request<Outgoing>,
        options: Option<RequestOptions>,
        // Would tell of trouble that the component has in reading the answer. It then also drops the body, which
        // closes the connection; there is nothing else to do.
        _: Sent,
    ) -> Box<
        dyn Future<Output = Result<(Response<Outgoing>, Sent), TrappableError<ErrorCode>>> + Send,
    > {
        let client = self.clone();
        Box::new(async move {
            let response = client
                .send(request, options)
                .await
                .map_err(TrappableError::from)?;
            Ok((response, Box::new(async { Ok(()) }) as Sent))
        })
    }
}

/// The cause that a connector or a body gave, or what is left to say of an HTTP exchange that failed.
fn client_error(error: &legacy::Error) -> ErrorCode {
    let known = error
        .source()
        .and_then(|cause| cause.downcast_ref::<ErrorCode>());
    known.cloned().unwrap_or(ErrorCode::HttpProtocolError)
}

fn body_error(error: &hyper::Error) -> ErrorCode {
    let known = error
        .source()
        .and_then(|cause| cause.downcast_ref::<ErrorCode>());
    known.cloned().unwrap_or(ErrorCode::HttpProtocolError)
}

/// A body that fails when nothing arrives for too long. The time runs while somebody waits for the next piece.
struct TimedBody {
    /// Gone once the time is over, and the connection with it.
    body: Option<Outgoing>,
    timeout: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Body for TimedBody {
    type Data = Bytes;
    type Error = ErrorCode;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ErrorCode>>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) {
            this.sleep = None;
            return Poll::Ready(frame);
        }
        let timeout = this.timeout;
        let sleep = this
            .sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        ready!(sleep.as_mut().poll(cx));
        this.body = None;
        Poll::Ready(Some(Err(ErrorCode::ConnectionReadTimeout)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}
