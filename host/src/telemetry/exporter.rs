//! Gathers spans and sends them: OpenTelemetry's own queue and format, and this host's HTTP client.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use http::{Request, Response};
use opentelemetry::Context;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::runtime::Tokio;
use opentelemetry_sdk::trace::span_processor_with_async_runtime::BatchSpanProcessor;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

use crate::outbound_http::HostClient;

/// For one batch: OpenTelemetry's default.
const LIMIT: Duration = Duration::from_secs(10);

/// The longest answer of a collector, in bytes.
const LONGEST: usize = 1 << 20;

/// Spans that are waiting to be sent. Clones are of the same. A full queue drops spans; nobody waits for it.
#[derive(Clone, Debug)]
pub(super) struct Queue(Arc<BatchSpanProcessor<Tokio>>);

impl Queue {
    /// A queue for spans of `resource`, sent to where the environment says.
    pub(super) fn new(resource: &Resource) -> Result<Self> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client::default())
            .build()?;
        let mut processor = BatchSpanProcessor::builder(exporter, Tokio).build();
        processor.set_resource(resource);
        Ok(Self(Arc::new(processor)))
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.0.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        self.0.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown(&self) -> OTelSdkResult {
        self.0.shutdown()
    }
}

/// Sends batches.
#[derive(Default)]
struct Client {
    client: HostClient,
    told: AtomicBool,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

#[async_trait::async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        match self.client.send(request, LIMIT, LONGEST).await {
            Ok((status, body)) => {
                let mut response = Response::new(body);
                *response.status_mut() = status;
                Ok(response)
            }
            Err(error) => {
                // Once: a collector that is away would otherwise have a line for every batch.
                if !self.told.swap(true, Ordering::Relaxed) {
                    eprintln!("Spans cannot be sent: {error:#}");
                }
                Err(error.into())
            }
        }
    }
}
