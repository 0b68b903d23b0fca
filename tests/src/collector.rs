//! An OpenTelemetry collector (OTLP over HTTP with protobuf) that keeps the spans it receives.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span as OtlpSpan;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode as SpanStatus;
use prost::Message as _;
use serde_json::{Value, json};

use crate::server::{LocalServer, serve_routes};

/// A received span.
#[derive(Clone, Debug)]
pub struct Span {
    /// The id of its trace, in hexadecimal.
    pub trace_id: String,
    /// Its id, in hexadecimal.
    pub id: String,
    /// The id of its parent. Empty without one.
    pub parent: String,
    /// Its name.
    pub name: String,
    /// Whether its kind is `SERVER`.
    pub is_server: bool,
    /// Its attributes.
    pub attributes: BTreeMap<String, Value>,
    /// The message of its status, if the status is an error.
    pub error: Option<String>,
    /// Its duration.
    pub took: Duration,
    /// The name of its instrumentation scope.
    pub scope: String,
    /// `service.name`.
    pub service: String,
    /// Its `tracestate`.
    pub state: String,
}

/// A collector on 127.0.0.1.
pub struct Collector {
    spans: Arc<Mutex<Vec<Span>>>,
    server: LocalServer,
}

impl Collector {
    /// Starts one.
    pub async fn start() -> Self {
        let spans = Arc::default();
        let router = Router::new()
            .route("/v1/traces", post(receive))
            .with_state(Arc::clone(&spans));
        let server = LocalServer::start(|listener| serve_routes(listener, router)).await;
        Self { spans, server }
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// All spans so far.
    pub fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap().clone()
    }

    /// The spans of a trace, as soon as `enough` accepts them.
    pub async fn trace(&self, trace_id: &str, enough: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        let of_trace = || {
            let mut spans = self.spans();
            spans.retain(|span| span.trace_id == trace_id);
            spans
        };
        crate::until("the spans were sent", || async { enough(&of_trace()) }).await;
        of_trace()
    }
}

async fn receive(
    State(spans): State<Arc<Mutex<Vec<Span>>>>,
    body: Bytes,
) -> Result<Vec<u8>, StatusCode> {
    let request =
        ExportTraceServiceRequest::decode(body).map_err(|_| StatusCode::UNSUPPORTED_MEDIA_TYPE)?;
    let mut all = spans.lock().unwrap();
    for resource_spans in request.resource_spans {
        let resource = attributes(resource_spans.resource.unwrap_or_default().attributes);
        let service = resource["service.name"].as_str().unwrap().to_owned();
        for scope_spans in resource_spans.scope_spans {
            let scope = scope_spans.scope.unwrap_or_default().name;
            for span in scope_spans.spans {
                all.push(from_otlp(span, &scope, &service));
            }
        }
    }
    Ok(ExportTraceServiceResponse::default().encode_to_vec())
}

fn from_otlp(span: OtlpSpan, scope: &str, service: &str) -> Span {
    let status = span.status.clone().unwrap_or_default();
    Span {
        is_server: span.kind() == SpanKind::Server,
        error: (status.code() == SpanStatus::Error).then_some(status.message),
        took: Duration::from_nanos(span.end_time_unix_nano - span.start_time_unix_nano),
        trace_id: hexadecimal(&span.trace_id),
        id: hexadecimal(&span.span_id),
        parent: hexadecimal(&span.parent_span_id),
        name: span.name,
        attributes: attributes(span.attributes),
        scope: scope.to_owned(),
        service: service.to_owned(),
        state: span.trace_state,
    }
}

fn attributes(list: Vec<KeyValue>) -> BTreeMap<String, Value> {
    let pair = |KeyValue { key, value }| (key, json_of(value));
    list.into_iter().map(pair).collect()
}

fn json_of(value: Option<AnyValue>) -> Value {
    match value.and_then(|value| value.value) {
        Some(Any::StringValue(text)) => json!(text),
        Some(Any::IntValue(number)) => json!(number),
        Some(Any::DoubleValue(number)) => json!(number),
        Some(Any::BoolValue(yes)) => json!(yes),
        other => json!(format!("{other:?}")),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
