//! The spans themselves.

use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

use http::HeaderMap;
use serde_json::json;

use super::RequestEnd;
use super::trace_context::Context;
use crate::types::error_code::ErrorCode;
use crate::types::random;
use bindings::wasi::clocks::wall_clock::Datetime;
use bindings::wasi::otel::tracing::{self, SpanContext, SpanData, SpanKind, Status, TraceFlags};
use bindings::wasi::otel::types::{InstrumentationScope, KeyValue};

/// What the host offers, generated.
mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "telemetry", generate_all });
}

/// What of a span is neither success nor a problem's slug: its future was dropped half-way.
const CANCELLED: &str = "cancelled";

/// The trace of a request. New spans in it are children of the request's own.
#[derive(Clone)]
pub(crate) struct Trace(Context);

impl Trace {
    /// Begins a span for a part of the request.
    pub(crate) fn span(&self, name: &'static str) -> Span {
        Span::start(name, Some(&self.0))
    }
}

/// A span that has begun. Dropping it ends it: as cancelled, unless it was told how it ended.
pub(crate) struct Span {
    context: Context,
    /// 0 where there is no parent.
    parent_id: u64,
    name: Cow<'static, str>,
    began: SystemTime,
    attributes: Vec<KeyValue>,
    outcome: &'static str,
    failed: bool,
}

impl Span {
    /// Begins the span of a request with these headers: under the host's, or the caller's, or in a
    /// trace of its own.
    pub(crate) fn of_request(headers: &HeaderMap) -> Self {
        let host = tracing::outer_span_context();
        let sampled = host.trace_flags.contains(TraceFlags::SAMPLED);
        let host = Context::of_host(&host.trace_id, &host.span_id, sampled, host.trace_state);
        let outer = Context::outer(host, Context::of_caller(headers));
        Self::start("HTTP", outer.as_ref())
    }

    fn start(name: &'static str, parent: Option<&Context>) -> Self {
        let span_id = random::bits64().max(1);
        let context = match parent {
            Some(parent) => parent.child(span_id),
            None => Context {
                trace_id: u128::from(span_id) << 64 | u128::from(random::bits64()),
                span_id,
                sampled: true,
                state: [].into(),
            },
        };
        tracing::on_start(&wire(&context));
        Self {
            context,
            parent_id: parent.map_or(0, |parent| parent.span_id),
            name: name.into(),
            began: SystemTime::now(),
            attributes: Vec::new(),
            outcome: CANCELLED,
            failed: true,
        }
    }

    /// The trace, for the spans below this one.
    pub(crate) fn trace(&self) -> Trace {
        Trace(self.context.clone())
    }

    /// Notes the acquisition that this part of the request runs under.
    pub(crate) fn under(mut self, fencing_token: i64) -> Self {
        self.note("edgelatch.fencing_token", json!(fencing_token));
        self
    }

    /// These headers, as they are to be sent on from here: the next span in the trace is this one's
    /// child.
    pub(crate) fn headers<'a>(&self, of: &'a HeaderMap) -> Cow<'a, HeaderMap> {
        let mut headers = of.clone();
        self.context.write(&mut headers);
        Cow::Owned(headers)
    }

    /// Notes whether a lock was acquired, and under which fencing token.
    pub(crate) fn acquired(mut self, fencing_token: Option<i64>) -> Self {
        self.note("edgelatch.lock.acquired", json!(fencing_token.is_some()));
        match fencing_token {
            Some(fencing_token) => self.under(fencing_token),
            None => self,
        }
    }

    /// Ends it: the answer was there already.
    pub(crate) fn replayed(self) {
        self.end("replayed", false);
    }

    /// Ends it with the name of the error, if it is one.
    pub(crate) fn ended<T, E: ErrorCode>(self, result: &Result<T, E>) {
        match result {
            Ok(_) => self.end("success", false),
            Err(error) => self.end(error.code(), true),
        }
    }

    /// Ends the span of a request with what its line in the log says. It is an error where the
    /// service failed, and not where the caller did, as OpenTelemetry has it for servers
    /// (<https://opentelemetry.io/docs/specs/semconv/http/http-spans/#status>).
    pub(crate) fn request_ended(mut self, end: RequestEnd<'_>) {
        let method = known_method(end.method);
        self.name = match (method, end.route) {
            ("_OTHER", _) => "HTTP".into(),
            (method, Some(route)) => format!("{method} {route}").into(),
            (method, None) => method.into(),
        };
        self.note("http.request.method", json!(method));
        if let Some(route) = end.route {
            self.note("http.route", json!(route));
        }
        self.note("http.response.status_code", json!(end.status));
        self.note("edgelatch.request_id", json!(end.request_id));
        if let Some(user) = end.user {
            self.note("edgelatch.user", json!(user));
        }
        self.end(end.outcome, end.status >= 500);
    }

    fn end(mut self, outcome: &'static str, failed: bool) {
        self.outcome = outcome;
        self.failed = failed;
    }

    fn note(&mut self, key: &str, value: serde_json::Value) {
        self.attributes.push(KeyValue {
            key: key.to_owned(),
            value: value.to_string(),
        });
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        let outcome = self.outcome;
        self.note("edgelatch.outcome", json!(outcome));
        let mut status = Status::Unset;
        if self.failed {
            self.note("error.type", json!(outcome));
            status = Status::Error(outcome.to_owned());
        }
        tracing::on_end(&SpanData {
            span_context: wire(&self.context),
            parent_span_id: format!("{:016x}", self.parent_id),
            span_kind: SpanKind::Internal,
            name: std::mem::take(&mut self.name).into_owned(),
            start_time: datetime(self.began),
            end_time: datetime(SystemTime::now()),
            attributes: std::mem::take(&mut self.attributes),
            events: Vec::new(),
            links: Vec::new(),
            status,
            instrumentation_scope: InstrumentationScope {
                name: env!("CARGO_PKG_NAME").to_owned(),
                version: Some(env!("CARGO_PKG_VERSION").to_owned()),
                schema_url: None,
                attributes: Vec::new(),
            },
            dropped_attributes: 0,
            dropped_events: 0,
            dropped_links: 0,
        });
    }
}

/// The methods of RFC 9110 and PATCH; what else there is comes from the caller and is not told
/// (<https://opentelemetry.io/docs/specs/semconv/registry/attributes/http/>,
/// `http.request.method`).
fn known_method(method: &str) -> &'static str {
    match method {
        "CONNECT" => "CONNECT",
        "DELETE" => "DELETE",
        "GET" => "GET",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        "PATCH" => "PATCH",
        "POST" => "POST",
        "PUT" => "PUT",
        "TRACE" => "TRACE",
        _ => "_OTHER",
    }
}

fn wire(context: &Context) -> SpanContext {
    SpanContext {
        trace_id: format!("{:032x}", context.trace_id),
        span_id: format!("{:016x}", context.span_id),
        trace_flags: if context.sampled {
            TraceFlags::SAMPLED
        } else {
            TraceFlags::empty()
        },
        is_remote: false,
        trace_state: context.state.to_vec(),
    }
}

fn datetime(time: SystemTime) -> Datetime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Datetime {
        seconds: since.as_secs(),
        nanoseconds: since.subsec_nanos(),
    }
}
