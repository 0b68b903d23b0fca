//! Spans: the component that makes some of its own, and a collector that gets them.
//!
//! On Spin the host's spans are others, and a component of WASI 0.3 is not told which of them it is
//! in: there, the component's spans belong below the caller's.

mod collectors;
mod contents;
mod tree;

use edgelatch_tests::{App, AppBuilder, Call, Collector, Span};

/// The route of an action, which names its span.
const PERFORM: &str = "POST /api/v1/users/perform-action";

/// The caller's span.
const CALLER: &str = "00f067aa0ba902b7";

/// The service with spans of its own.
fn traced(collector: &Collector) -> AppBuilder {
    App::builder()
        .patient()
        .with_spans()
        .exporting_to(&collector.url())
}

/// A trace id that ends like this.
fn trace(number: u8) -> String {
    // With a zero at the beginning, which Spin leaves out where it writes an id.
    format!("0bf92f3577b34da6a3ce929d0e0e47{number:02x}")
}

/// The call, as part of the caller's trace.
fn in_trace(call: Call, trace_id: &str) -> Call {
    call.header("traceparent", &format!("00-{trace_id}-{CALLER}-01"))
}

/// The component's spans of a trace, once the request's own is among them, which is the last to
/// end.
async fn of_component(collector: &Collector, trace_id: &str) -> Vec<Span> {
    let ended = |spans: &[Span]| spans.iter().any(is_request);
    let mut spans = collector.trace(trace_id, ended).await;
    spans.retain(is_component_s);
    spans
}

fn is_component_s(span: &Span) -> bool {
    span.scope == "edgelatch"
}

/// Whether it is the component's span of a whole request.
fn is_request(span: &Span) -> bool {
    is_component_s(span) && span.attributes.contains_key("http.request.method")
}

/// The one span of this name.
fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let found: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
    assert_eq!(found.len(), 1, "{name} in {spans:#?}");
    found[0]
}

/// The span with this id.
fn with_id<'a>(spans: &'a [Span], id: &str) -> &'a Span {
    let found: Vec<_> = spans.iter().filter(|span| span.id == id).collect();
    assert_eq!(found.len(), 1, "{id} in {spans:#?}");
    found[0]
}

/// The names, in alphabetical order.
fn names(spans: &[Span]) -> Vec<&str> {
    let mut names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    names.sort_unstable();
    names
}

/// The outcome that it tells of.
fn outcome(span: &Span) -> &str {
    span.attributes["edgelatch.outcome"].as_str().unwrap()
}
