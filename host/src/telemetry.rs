//! Traces: where spans go, and the host's own span of each request.
//!
//! As in Spin, spans go to an OpenTelemetry collector, in OTLP over HTTP with protobuf, if
//! `OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` names one.
//! `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_EXPORTER_OTLP_HEADERS`,
//! `OTEL_TRACES_SAMPLER` and `OTEL_BSP_*` have their meaning in OpenTelemetry. Left out on purpose:
//! metrics and logs, gRPC, spans of a component's outbound calls, and the path and query of a
//! request, which name users.
//!
//! Follows Spin's `crates/telemetry` and `http_span` in
//! `crates/trigger-http/src/instrument.rs`.

mod exporter;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use http::{Method, Request, Response};
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{
    Span as _, SpanContext, SpanKind, Status, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span, SpanData, SpanProcessor as _};

use crate::net::http_client::HttpClient;

/// How long the host waits for the last spans to be sent when it stops.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest `tracestate` of a caller, in characters, and the longest `traceparent`.
const LONGEST_STATE: usize = 512;

/// The exporter of spans, if the environment names a collector. Clones share it.
#[derive(Clone)]
pub(crate) struct Telemetry(Option<Arc<Export>>);

struct Export {
    tracer: SdkTracer,
    queue: exporter::Queue,
}

impl Telemetry {
    /// Reads the environment. Spans are sent with `client`.
    ///
    /// # Errors
    /// If the environment asks for a feature that this host does not have; the error names it.
    pub(crate) fn from_environment(client: HttpClient) -> Result<Self> {
        if !has_collector(|name| std::env::var(name).ok())? {
            return Ok(Self(None));
        }
        let resource = resource();
        let queue = exporter::Queue::new(&resource, client)?;
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_span_processor(queue.clone())
            .build();
        let tracer = provider.tracer("edgelatch-host");
        Ok(Self(Some(Arc::new(Export { tracer, queue }))))
    }

    /// Starts the span of a request, as a child of the caller's (`traceparent`).
    pub(crate) fn start_request<B>(&self, request: &Request<B>) -> RequestSpan {
        let start = |export: &Arc<Export>| {
            let headers = CallerTrace(HeaderExtractor(request.headers()));
            let caller = TraceContextPropagator::new();
            let caller = caller.extract_with_context(&Context::new(), &headers);
            let method = known_method(request.method());
            let name = method.unwrap_or("HTTP");
            let method = KeyValue::new("http.request.method", method.unwrap_or("_OTHER"));
            let builder = export
                .tracer
                .span_builder(name)
                .with_kind(SpanKind::Server)
                .with_attributes([method]);
            NamedSpan {
                span: builder.start_with_context(&export.tracer, &caller),
                name,
            }
        };
        RequestSpan(self.0.as_ref().map(start))
    }

    /// Whether spans are exported.
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Exports a span that has ended.
    pub(crate) fn export(&self, span: SpanData) {
        if let Some(export) = &self.0 {
            export.queue.on_end(span);
        }
    }

    /// Sends the spans that are still in the queue, for a short time.
    pub(crate) async fn flush(&self) {
        let Some(export) = self.0.clone() else {
            return;
        };
        let flush = tokio::task::spawn_blocking(move || export.queue.force_flush());
        let _ = tokio::time::timeout(FLUSH_TIMEOUT, flush).await;
    }
}

/// The caller's trace. On purpose unlike Spin, it has no `tracestate` of more than 512 characters,
/// as every vendor must take (<https://www.w3.org/TR/trace-context/#tracestate-limits>).
struct CallerTrace<'a>(HeaderExtractor<'a>);

impl Extractor for CallerTrace<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let value = self.0.get(key);
        value.filter(|value| value.len() <= LONGEST_STATE)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys()
    }
}

/// A method that is known (RFC 9110, section 9; RFC 5789). On purpose unlike Spin, others are not
/// repeated: anybody may send one of 64 KB
/// (<https://opentelemetry.io/docs/specs/semconv/http/http-spans/>).
fn known_method(method: &Method) -> Option<&'static str> {
    const KNOWN: [&str; 9] = [
        "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE",
    ];
    KNOWN.into_iter().find(|known| *known == method.as_str())
}

/// Whether the environment names a collector. An empty value counts as unset, as in Spin.
fn has_collector(environment: impl Fn(&str) -> Option<String>) -> Result<bool> {
    let set = |name: &str| environment(name).filter(|value| !value.is_empty());
    if set("OTEL_SDK_DISABLED").is_some() {
        return Ok(false);
    }
    for name in [
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
    ] {
        ensure!(
            set(name).is_none(),
            "environment variable {name} is set, but this host exports traces alone"
        );
    }
    let traces = set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
    if traces
        .or_else(|| set("OTEL_EXPORTER_OTLP_ENDPOINT"))
        .is_none()
    {
        return Ok(false);
    }
    let protocol = set("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL");
    match protocol.or_else(|| set("OTEL_EXPORTER_OTLP_PROTOCOL")) {
        Some(other) if other != "http/protobuf" => bail!(
            "the environment asks for OTLP over {other:?}, \
             but this host only speaks \"http/protobuf\""
        ),
        _ => Ok(true),
    }
}

/// The attributes of this process. Its default name is Spin's.
fn resource() -> Resource {
    Resource::builder_empty()
        .with_attribute(KeyValue::new("service.name", "spin"))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_detector(Box::new(EnvResourceDetector::new()))
        .with_attributes(
            std::env::var("OTEL_SERVICE_NAME")
                .ok()
                .filter(|name| !name.is_empty())
                .map(|name| KeyValue::new("service.name", name)),
        )
        .build()
}

/// The span of a request, if there is one. Dropping it ends it.
pub(crate) struct RequestSpan(Option<NamedSpan>);

struct NamedSpan {
    span: Span,
    /// The start of its name.
    name: &'static str,
}

impl RequestSpan {
    /// The ids of the span, for its children.
    pub(crate) fn context(&self) -> Option<SpanContext> {
        let named = self.0.as_ref()?;
        Some(named.span.span_context().clone())
    }

    /// Adds the matched route of the manifest.
    pub(crate) fn set_route(&mut self, route: &str) {
        if let Some(NamedSpan { span, name }) = &mut self.0 {
            span.update_name(format!("{name} {route}"));
            span.set_attribute(KeyValue::new("http.route", route.to_owned()));
        }
    }

    /// Adds the status of the response; an error counts as a 500.
    pub(crate) fn set_response<B>(&mut self, response: &Result<Response<B>>) {
        let Some(NamedSpan { span, .. }) = &mut self.0 else {
            return;
        };
        let status = response
            .as_ref()
            .map_or(500, |response| response.status().as_u16());
        let attribute = KeyValue::new("http.response.status_code", i64::from(status));
        span.set_attribute(attribute);
        if status >= 500 {
            span.set_status(Status::error(""));
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn collector(variables: &[(&str, &str)]) -> Result<bool> {
        has_collector(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn spans_go_to_the_collector_that_the_environment_names() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://h:4318");
        let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://h/v1/traces");
        let protocol = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
        for (variables, expected) in [
            (&[endpoint][..], true),
            (&[traces], true),
            (&[endpoint, protocol], true),
            (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")], false),
            (&[endpoint, ("OTEL_SDK_DISABLED", "true")], false),
            (&[protocol], false),
            (&[], false),
        ] {
            assert_eq!(collector(variables).unwrap(), expected, "{variables:?}");
        }
    }

    #[test]
    fn unsupported_settings_are_refused_by_name() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://h:4318");
        for (name, value, expected) in [
            (
                "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
                "http://h",
                "_METRICS_",
            ),
            ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://h", "_LOGS_"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "grpc"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "json"),
        ] {
            let error = collector(&[endpoint, (name, value)]).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
