//! An HTTP client: HTTP/1.1, HTTP/2 over TLS, and a pool of idle connections.
//!
//! The components share one client. The host has another, for requests that no component sends:
//! those to Vault and to a collector of spans. It follows no redirects.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;
use wasmtime_wasi_http::p3::bindings::http::types::ErrorCode;

use super::connect::{CONNECT_OPTIONS, Connector};
use super::connection_cap::ConnectionCap;

pub(crate) use super::connect::ConnectOptions;

/// The body of a request or of a response. It fails with an error that a component understands.
pub(crate) type Body = UnsyncBoxBody<Bytes, ErrorCode>;

/// A client. Clones share its connections.
#[derive(Clone)]
pub(crate) struct HttpClient(Client<Connector, Body>);

impl HttpClient {
    /// With `pooling`, idle connections are kept for the next request to the same host.
    pub(crate) fn new(pooling: bool) -> Self {
        let mut builder = Client::builder(TokioExecutor::new());
        if !pooling {
            builder.pool_max_idle_per_host(0);
        }
        Self(builder.build(Connector::default()))
    }

    /// Sends a request. Returns once the head of the response has arrived.
    pub(crate) async fn send(
        &self,
        request: Request<Body>,
        connect: ConnectOptions,
    ) -> Result<Response<Body>, ErrorCode> {
        let response = self.request(request, connect).await;
        let response = response.map_err(|error| error_code(&error))?;
        Ok(response.map(|body| body.map_err(|error| error_code(&error)).boxed_unsync()))
    }

    /// Sends a request and reads the whole response, whose body may have `max_bytes`, within
    /// `time_limit`.
    pub(crate) async fn fetch(
        &self,
        request: Request<Bytes>,
        time_limit: Duration,
        max_bytes: usize,
    ) -> anyhow::Result<Response<Bytes>> {
        let connect = ConnectOptions {
            timeout: time_limit,
            cap: ConnectionCap::default(),
        };
        let request = request.map(|body| {
            Full::new(body)
                .map_err(|never| match never {})
                .boxed_unsync()
        });
        let exchange = async {
            let (head, body) = self.request(request, connect).await?.into_parts();
            let body = Limited::new(body, max_bytes).collect().await;
            let body =
                body.map_err(|_| anyhow::anyhow!("the response broke off or is too long"))?;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        timeout(time_limit, exchange).await?
    }

    async fn request(
        &self,
        request: Request<Body>,
        connect: ConnectOptions,
    ) -> Result<Response<Incoming>, legacy::Error> {
        CONNECT_OPTIONS
            .scope(connect, self.0.request(request))
            .await
    }
}

/// The cause that a connector or a request body gave, or a general one.
fn error_code(error: &dyn Error) -> ErrorCode {
    let cause = error
        .source()
        .and_then(|cause| cause.downcast_ref::<ErrorCode>());
    cause.cloned().unwrap_or(ErrorCode::HttpProtocolError)
}
