//! Queues spans and sends them in batches, with OpenTelemetry's queue and format and the host's
//! HTTP client.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use http::{Request, Response};
use opentelemetry::Context;
use opentelemetry_http::HttpError;
use opentelemetry_otlp::{SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::runtime::Tokio;
use opentelemetry_sdk::trace::span_processor_with_async_runtime::BatchSpanProcessor;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

use crate::net::http_client::HttpClient;

/// The time limit for one batch: OpenTelemetry's default.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest response of a collector, in bytes.
const MAX_RESPONSE_BYTES: usize = 1 << 20;

/// The spans that wait to be sent. Clones share the queue. A full queue drops new spans; no request
/// waits for it.
#[derive(Clone, Debug)]
pub(super) struct Queue(Arc<BatchSpanProcessor<Tokio>>);

impl Queue {
    /// A queue for spans of `resource`. The environment says where they are sent.
    pub(super) fn new(resource: &Resource, client: HttpClient) -> Result<Self> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(ExporterClient {
                client,
                failure_reported: AtomicBool::new(false),
            })
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

/// Sends the batches, and reports the first failure on stderr.
struct ExporterClient {
    client: HttpClient,
    failure_reported: AtomicBool,
}

impl fmt::Debug for ExporterClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExporterClient")
    }
}

#[async_trait::async_trait]
impl opentelemetry_http::HttpClient for ExporterClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let response = self
            .client
            .fetch(request, EXPORT_TIMEOUT, MAX_RESPONSE_BYTES)
            .await;
        response.map_err(|error| {
            // Once: with the collector down, every batch fails.
            if !self.failure_reported.swap(true, Ordering::Relaxed) {
                eprintln!("Spans cannot be sent: {error:#}");
            }
            error.into()
        })
    }
}
