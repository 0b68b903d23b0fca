//! Traces: a span for every request, and the spans that components make (`wasi:otel/tracing`).
//!
//! As with Spin they go to an OpenTelemetry collector, in OTLP over HTTP with protobuf, if `OTEL_EXPORTER_OTLP_ENDPOINT` or
//! `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` names one; `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_EXPORTER_OTLP_HEADERS`,
//! `OTEL_TRACES_SAMPLER` and `OTEL_BSP_*` are what OpenTelemetry says. Left out on purpose: metrics and logs, gRPC, the spans of what a
//! component does outside, and the path and query of a request, which name users.
//!
//! Follows Spin's `crates/telemetry` and `http_span` in `crates/trigger-http/src/instrument.rs`.

mod exporter;
mod guest;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use http::{Request, Response};
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{
    Span as _, SpanContext, SpanKind, Status, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span, SpanProcessor as _};

pub(crate) use guest::{HasSpans, Spans};

/// How long the last spans may take to be sent when the host stops.
const FLUSH: Duration = Duration::from_secs(1);

/// Where spans go, if they go anywhere. Clones are of the same.
#[derive(Clone)]
pub(crate) struct Telemetry(Option<Arc<Export>>);

struct Export {
    tracer: SdkTracer,
    queue: exporter::Queue,
}

impl Telemetry {
    /// As the environment says.
    ///
    /// # Errors
    /// If it asks for what this host does not have, by name.
    pub(crate) fn from_environment() -> Result<Self> {
        if !is_wanted(|name| std::env::var(name).ok())? {
            return Ok(Self(None));
        }
        let resource = resource();
        let queue = exporter::Queue::new(&resource)?;
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_span_processor(queue.clone())
            .build();
        let tracer = provider.tracer("edgelatch-host");
        Ok(Self(Some(Arc::new(Export { tracer, queue }))))
    }

    /// Begins the span of a request, below the caller's (`traceparent`).
    pub(crate) fn request<B>(&self, request: &Request<B>) -> RequestSpan {
        let begin = |export: &Arc<Export>| {
            let headers = HeaderExtractor(request.headers());
            let caller = TraceContextPropagator::new();
            let caller = caller.extract_with_context(&Context::new(), &headers);
            let method = request.method().to_string();
            let builder = export
                .tracer
                .span_builder(method.clone())
                .with_kind(SpanKind::Server)
                .with_attributes([KeyValue::new("http.request.method", method.clone())]);
            Begun {
                span: builder.start_with_context(&export.tracer, &caller),
                method,
            }
        };
        RequestSpan(self.0.as_ref().map(begin))
    }

    /// Sends what is left, for a short time.
    pub(crate) async fn flush(&self) {
        let Some(export) = self.0.clone() else {
            return;
        };
        let flush = tokio::task::spawn_blocking(move || export.queue.force_flush());
        let _ = tokio::time::timeout(FLUSH, flush).await;
    }
}

/// Whether this environment names a collector. An empty value is none, as in Spin.
fn is_wanted(environment: impl Fn(&str) -> Option<String>) -> Result<bool> {
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
            "the environment asks for OTLP over {other:?}, but this host only speaks \"http/protobuf\""
        ),
        _ => Ok(true),
    }
}

/// What is said of this process; where the environment gives it no name, it has Spin's.
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
pub(crate) struct RequestSpan(Option<Begun>);

struct Begun {
    span: Span,
    method: String,
}

impl RequestSpan {
    /// Where it is in its trace.
    pub(crate) fn context(&self) -> Option<SpanContext> {
        let begun = self.0.as_ref()?;
        Some(begun.span.span_context().clone())
    }

    /// Notes which route of the manifest answers.
    pub(crate) fn routed(&mut self, route: &str) {
        if let Some(Begun { span, method }) = &mut self.0 {
            span.update_name(format!("{method} {route}"));
            span.set_attribute(KeyValue::new("http.route", route.to_owned()));
        }
    }

    /// Notes how it ended.
    pub(crate) fn answered<B>(&mut self, answer: &Result<Response<B>>) {
        let Some(Begun { span, .. }) = &mut self.0 else {
            return;
        };
        let status = answer
            .as_ref()
            .map_or(500, |answer| answer.status().as_u16());
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

    fn wanted(variables: &[(&str, &str)]) -> Result<bool> {
        is_wanted(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_collector_is_wanted_where_one_is_named() {
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
            assert_eq!(wanted(variables).unwrap(), expected, "{variables:?}");
        }
    }

    #[test]
    fn what_this_host_does_not_export_is_refused_by_name() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://h:4318");
        for (name, value, said) in [
            (
                "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
                "http://h",
                "_METRICS_",
            ),
            ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://h", "_LOGS_"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "grpc"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "json"),
        ] {
            let refused = wanted(&[endpoint, (name, value)]).unwrap_err();
            assert!(refused.to_string().contains(said), "{refused}");
        }
    }
}
