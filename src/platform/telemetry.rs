//! What is measured and told of a request: its timings, its lines in the log, its spans.
//!
//! Spans exist with the feature `otel` alone, for the host to export (`wasi:otel/tracing`). Without
//! it the span types are empty, and so are their functions. A span may say what a line of the log
//! may say, and no more. Sampling, batching and sending are the host's business. The interface is
//! experimental: Spin 4.1 has it only with `--experimental-wasi-otel`.

pub(crate) mod log;
mod timings;
#[cfg(any(feature = "otel", test))]
mod trace_context;
mod traceparent;

#[cfg(not(feature = "otel"))]
mod disabled;
#[cfg(feature = "otel")]
mod spans;

#[cfg(not(feature = "otel"))]
pub(crate) use disabled::{Span, Trace};
#[cfg(feature = "otel")]
pub(crate) use spans::{Span, Trace};
pub(crate) use timings::{Stopwatches, Timings};
pub(crate) use traceparent::{continued_trace, trace_id};

use crate::types::request_id::RequestId;

/// What is measured and told of one request. Clones are of the same request.
#[derive(Clone)]
pub(crate) struct Telemetry {
    /// The request's id.
    pub(crate) request_id: RequestId,
    /// Where its spans belong.
    pub(crate) trace: Trace,
    /// How long its parts take.
    pub(crate) stopwatches: Stopwatches,
}

/// What a request came to, as a span says it.
#[cfg_attr(not(feature = "otel"), expect(dead_code, reason = "for spans alone"))]
pub(crate) struct RequestEnd<'a> {
    /// The method.
    pub(crate) method: &'a str,
    /// The route, with its parameters in braces; `None` where there is no such route.
    pub(crate) route: Option<&'static str>,
    /// The user, hashed; `None` without a key to hash with.
    pub(crate) user: Option<String>,
    /// The status of the answer.
    pub(crate) status: u16,
    /// What the log calls the outcome.
    pub(crate) outcome: &'static str,
    /// The request's id.
    pub(crate) request_id: &'a str,
}
