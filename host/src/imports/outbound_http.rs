//! `wasi:http/client`: requests that a component sends.
//!
//! A request is sent if the component's allowed hosts permit it. Redirects are not followed.
//! Connections are pooled for all instances. The time limits that a component sets count from the
//! request; the default of each is ten minutes. A request without an authority, or to `self.alt`,
//! goes to the application itself. Left out on purpose: service chaining, blocked networks, client
//! certificates, HTTP/2 without TLS.
//!
//! Follows Spin's `crates/factor-outbound-http/src/wasi.rs`.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{Request, Response, Uri, header};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::time::{Sleep, timeout};
use wasmtime_wasi::TrappableError;
use wasmtime_wasi_http::p3::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::p3::{RequestOptions, WasiHttpHooks};

use super::outbound_policy::OutboundPolicy;
use crate::config::runtime_config::OutboundHttpConfig;
use crate::net::connection_cap::ConnectionCap;
use crate::net::http_client::{Body, ConnectOptions, HttpClient};

/// Each time limit that the component does not set.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);

/// Resolves once a message is sent, or has failed.
type Transmission = Box<dyn Future<Output = Result<(), ErrorCode>> + Send>;

/// The HTTP client of one instance.
#[derive(Clone)]
pub(crate) struct OutboundHttp {
    policy: Arc<OutboundPolicy>,
    shared: SharedHttpClient,
}

/// The client that all instances share. Clones share its connections.
#[derive(Clone)]
pub(crate) struct SharedHttpClient {
    client: HttpClient,
    cap: ConnectionCap,
    /// Where this host listens; set once it does.
    own_address: Arc<OnceLock<SocketAddr>>,
}

impl SharedHttpClient {
    pub(crate) fn new(config: OutboundHttpConfig, own_address: Arc<OnceLock<SocketAddr>>) -> Self {
        Self {
            client: HttpClient::new(config.pooling),
            cap: ConnectionCap::new(config.max_connections),
            own_address,
        }
    }
}

impl OutboundHttp {
    pub(crate) fn new(policy: Arc<OutboundPolicy>, shared: SharedHttpClient) -> Self {
        Self { policy, shared }
    }

    async fn send(
        self,
        mut request: Request<Body>,
        options: Option<RequestOptions>,
    ) -> Result<Response<Body>, ErrorCode> {
        self.prepare(&mut request).await?;
        let limit = |set: fn(&RequestOptions) -> Option<Duration>| {
            options.as_ref().and_then(set).unwrap_or(DEFAULT_TIMEOUT)
        };
        let between_bytes = limit(|options| options.between_bytes_timeout);
        let connect = ConnectOptions {
            timeout: limit(|options| options.connect_timeout),
            cap: self.shared.cap.clone(),
        };
        let response = self.shared.client.send(request, connect);
        let response = timeout(limit(|options| options.first_byte_timeout), response)
            .await
            .map_err(|_| ErrorCode::ConnectionReadTimeout)??;
        Ok(response.map(|body| {
            TimedBody {
                body: Some(body),
                timeout: between_bytes,
                sleep: None,
            }
            .boxed_unsync()
        }))
    }

    /// Checks the request, and completes one to the application itself.
    async fn prepare(&self, request: &mut Request<Body>) -> Result<(), ErrorCode> {
        let authority = request.uri().authority().map(Authority::host);
        let to_itself = matches!(authority, None | Some("" | "self.alt"));
        let allowed = if to_itself {
            self.policy.allows_itself().await
        } else {
            let url = request.uri().to_string();
            self.policy.allows(&url, "https").await
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
        }
        // The client sets Host from the URI for HTTP/1. In HTTP/2 some servers refuse it.
        request.headers_mut().remove(header::HOST);
        Ok(())
    }
}

impl WasiHttpHooks for OutboundHttp {
    fn send_request(
        &mut self,
        request: Request<Body>,
        options: Option<RequestOptions>,
        // Fails if the component cannot read the response. It then drops the body as well, which
        // closes the connection, so there is nothing else to do.
        _: Transmission,
    ) -> Box<
        dyn Future<Output = Result<(Response<Body>, Transmission), TrappableError<ErrorCode>>>
            + Send,
    > {
        let client = self.clone();
        Box::new(async move {
            let response = client
                .send(request, options)
                .await
                .map_err(TrappableError::from)?;
            Ok((response, Box::new(async { Ok(()) }) as Transmission))
        })
    }
}

/// A body that fails when its next frame takes too long. The time runs while the frame is awaited.
struct TimedBody {
    /// `None` after the time limit. That closes the connection.
    body: Option<Body>,
    timeout: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl http_body::Body for TimedBody {
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
        self.body.as_ref().is_none_or(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map(|body| body.size_hint())
            .unwrap_or_default()
    }
}
