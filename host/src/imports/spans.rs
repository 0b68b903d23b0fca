//! `wasi:otel/tracing@0.2.0-rc.2`: the spans that a component makes.
//!
//! The outer span is that of the request whose task makes the call. Spin 4.1 intends the same, but
//! gives components of WASI 0.3 none, since it loses the span on the way to their instances.
//! Events, links and lists are left out on purpose, and refused.
//!
//! Follows Spin's `crates/factor-otel/src/host.rs` and `crates/world/src/wasi_otel`.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use wasmtime::component::{Access, GuestTaskId, HasData};
use wasmtime::{AsContextMut as _, Result, bail, ensure};
use wasmtime_wasi::p2::bindings::clocks::wall_clock;

use super::bindings::{otel_types, tracing};
use crate::telemetry::Telemetry;

/// The spans of one instance.
pub(crate) struct Spans {
    telemetry: Telemetry,
    /// The host's span of each request, by the task that handles it. Ids of finished tasks are used
    /// again, so the map is no larger than the most concurrent requests so far.
    outer: HashMap<GuestTaskId, SpanContext>,
    /// Started and not ended.
    open: HashSet<SpanId>,
}

impl Spans {
    pub(crate) fn new(telemetry: Telemetry) -> Self {
        Self {
            telemetry,
            outer: HashMap::new(),
            open: HashSet::new(),
        }
    }

    /// Records that `task` handles the request of the span `outer`.
    pub(crate) fn set_outer(&mut self, task: GuestTaskId, outer: Option<SpanContext>) {
        if let Some(outer) = outer {
            self.outer.insert(task, outer);
        }
    }
}

/// Selects [`Spans`] in the store for the generated code.
pub(crate) struct HasSpans;

impl HasData for HasSpans {
    type Data<'a> = &'a mut Spans;
}

impl tracing::Host for Spans {}

impl<T: 'static> tracing::HostWithStore<T> for HasSpans {
    fn on_start(mut host: Access<'_, T, Self>, context: tracing::SpanContext) -> Result<()> {
        let spans = host.get();
        if spans.telemetry.is_on() {
            spans.open.insert(read_context(context).span_id());
        }
        Ok(())
    }

    fn on_end(mut host: Access<'_, T, Self>, span: tracing::SpanData) -> Result<()> {
        let spans = host.get();
        if spans.telemetry.is_on() {
            let span = read_span(span)?;
            let id = span.span_context.span_id();
            ensure!(
                spans.open.remove(&id),
                "Trying to end a span that was not started"
            );
            spans.telemetry.export(span);
        }
        Ok(())
    }

    fn outer_span_context(mut host: Access<'_, T, Self>) -> Result<tracing::SpanContext> {
        let mut store = host.as_context_mut();
        let tasks: Vec<_> = store.async_call_stack()?.collect();
        let outer = &host.get().outer;
        let outer = tasks.iter().find_map(|task| outer.get(task));
        Ok(write_context(outer.unwrap_or(&SpanContext::NONE)))
    }
}

fn read_context(context: tracing::SpanContext) -> SpanContext {
    let sampled = context.trace_flags.contains(tracing::TraceFlags::SAMPLED);
    SpanContext::new(
        TraceId::from_hex(&context.trace_id).unwrap_or(TraceId::INVALID),
        SpanId::from_hex(&context.span_id).unwrap_or(SpanId::INVALID),
        TraceFlags::default().with_sampled(sampled),
        context.is_remote,
        TraceState::from_key_value(context.trace_state).unwrap_or_default(),
    )
}

/// Ids are written without leading zeros, as in Spin.
fn write_context(context: &SpanContext) -> tracing::SpanContext {
    let state = context.trace_state().header();
    let members = state.split(',').filter_map(|member| member.split_once('='));
    tracing::SpanContext {
        trace_id: format!("{:x}", context.trace_id()),
        span_id: format!("{:x}", context.span_id()),
        trace_flags: if context.is_sampled() {
            tracing::TraceFlags::SAMPLED
        } else {
            tracing::TraceFlags::empty()
        },
        is_remote: context.is_remote(),
        trace_state: members
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect(),
    }
}

fn read_span(span: tracing::SpanData) -> Result<SpanData> {
    ensure!(
        span.events.is_empty() && span.links.is_empty(),
        "events and links of spans are not supported by this host"
    );
    Ok(SpanData {
        span_context: read_context(span.span_context),
        parent_span_id: SpanId::from_hex(&span.parent_span_id).unwrap_or(SpanId::INVALID),
        span_kind: match span.span_kind {
            tracing::SpanKind::Client => SpanKind::Client,
            tracing::SpanKind::Server => SpanKind::Server,
            tracing::SpanKind::Producer => SpanKind::Producer,
            tracing::SpanKind::Consumer => SpanKind::Consumer,
            tracing::SpanKind::Internal => SpanKind::Internal,
        },
        name: span.name.into(),
        start_time: read_time(span.start_time),
        end_time: read_time(span.end_time),
        attributes: read_attributes(span.attributes)?,
        dropped_attributes_count: span.dropped_attributes,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: match span.status {
            tracing::Status::Unset => Status::Unset,
            tracing::Status::Ok => Status::Ok,
            tracing::Status::Error(description) => Status::error(description),
        },
        instrumentation_scope: read_scope(span.instrumentation_scope)?,
    })
}

fn read_scope(scope: otel_types::InstrumentationScope) -> Result<InstrumentationScope> {
    let mut builder = InstrumentationScope::builder(scope.name)
        .with_attributes(read_attributes(scope.attributes)?);
    if let Some(version) = scope.version {
        builder = builder.with_version(version);
    }
    if let Some(url) = scope.schema_url {
        builder = builder.with_schema_url(url);
    }
    Ok(builder.build())
}

fn read_attributes(attributes: Vec<otel_types::KeyValue>) -> Result<Vec<KeyValue>> {
    let read = |attribute: otel_types::KeyValue| {
        let value = read_value(&attribute.value)?;
        Ok(KeyValue::new(attribute.key, value))
    };
    attributes.into_iter().map(read).collect()
}

fn read_value(json: &str) -> Result<Value> {
    match serde_json::from_str(json)? {
        serde_json::Value::String(text) => Ok(text.into()),
        serde_json::Value::Bool(yes) => Ok(yes.into()),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Ok(integer.into()),
            (None, Some(float)) if number.is_f64() => Ok(float.into()),
            _ => bail!("an attribute's integer does not fit 64 bits"),
        },
        _ => bail!("an attribute is neither text nor a number nor a boolean"),
    }
}

fn read_time(time: wall_clock::Datetime) -> SystemTime {
    let since_epoch = Duration::from_secs(time.seconds)
        .saturating_add(Duration::from_nanos(time.nanoseconds.into()));
    UNIX_EPOCH.checked_add(since_epoch).unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_context_is_the_same_after_a_round_trip() {
        let context = SpanContext::new(
            TraceId::from_hex("0fb34cb4484029f7881399b149e41e98").unwrap(),
            SpanId::from_hex("0ffd58d3cd4dd90b").unwrap(),
            TraceFlags::SAMPLED,
            false,
            TraceState::from_key_value([("a", "1"), ("b", "2")]).unwrap(),
        );
        assert_eq!(read_context(write_context(&context)), context);
        let none = write_context(&SpanContext::NONE);
        assert_eq!((none.trace_id.as_str(), none.span_id.as_str()), ("0", "0"));
    }

    #[test]
    fn values_are_json() {
        assert_eq!(read_value("\"a\"").unwrap(), Value::from("a"));
        assert_eq!(read_value("-7").unwrap(), Value::from(-7));
        assert_eq!(read_value("0.5").unwrap(), Value::from(0.5));
        assert_eq!(read_value("true").unwrap(), Value::from(true));
        for wrong in ["a", "", "[1]", "null", "18446744073709551615"] {
            assert!(read_value(wrong).is_err(), "{wrong}");
        }
    }
}
