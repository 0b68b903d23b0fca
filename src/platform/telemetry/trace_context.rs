//! Where a span is in its trace (<https://www.w3.org/TR/trace-context/>).

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};

use super::traceparent::{is_hex, states, trace_id};
use crate::types::header_names::{TRACEPARENT, TRACESTATE};

/// A span's position in its trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Context {
    /// Never 0.
    pub(super) trace_id: u128,
    /// Never 0.
    pub(super) span_id: u64,
    /// Whether the trace is recorded.
    pub(super) sampled: bool,
    /// What tracing systems add to it.
    pub(super) state: Arc<[(String, String)]>,
}

impl Context {
    /// What the host says; `None` where it has no span. Its ids are hexadecimal, zeros at the
    /// beginning possibly left out.
    pub(super) fn of_host(
        trace_id: &str,
        span_id: &str,
        sampled: bool,
        state: Vec<(String, String)>,
    ) -> Option<Self> {
        let trace_id = u128::from_str_radix(trace_id, 16).ok()?;
        let span_id = u64::from_str_radix(span_id, 16).ok()?;
        (trace_id != 0 && span_id != 0).then(|| Self {
            trace_id,
            span_id,
            sampled,
            state: state.into(),
        })
    }

    /// What the caller says with `traceparent` and `tracestate`; `None` where it says nothing that
    /// is valid.
    pub(super) fn of_caller(headers: &HeaderMap) -> Option<Self> {
        if headers.get_all(TRACEPARENT).iter().count() != 1 {
            return None;
        }
        let trace_id = u128::from_str_radix(trace_id(headers)?, 16).ok()?;
        let value = headers.get(TRACEPARENT)?.to_str().ok()?;
        let mut rest = value.split('-').skip(2);
        let span_id = hexadecimal(rest.next()?, 16)?;
        let flags = hexadecimal(rest.next()?, 2)?;
        // A later version may have more parts.
        if span_id == 0 || (value.starts_with("00") && rest.next().is_some()) {
            return None;
        }
        Some(Self {
            trace_id,
            span_id,
            sampled: flags & 1 == 1,
            state: state_of(headers),
        })
    }

    /// The parent of a request's first span: the host's, which is between the caller's and ours. A
    /// host that names a span of another trace than the caller's means another request's, and one
    /// that names none leaves the caller's.
    pub(super) fn outer(host: Option<Self>, caller: Option<Self>) -> Option<Self> {
        match (host, caller) {
            (Some(host), Some(caller)) if host.trace_id != caller.trace_id => Some(caller),
            (host, caller) => host.or(caller),
        }
    }

    /// A span with this id in the same trace.
    pub(super) fn child(&self, span_id: u64) -> Self {
        Self {
            span_id,
            ..self.clone()
        }
    }

    /// Makes headers say that this span is the parent of whatever they are sent to. The state of
    /// another trace goes.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        let continued = Self::of_caller(headers);
        if continued.is_none_or(|caller| caller.trace_id != self.trace_id) {
            headers.remove(TRACESTATE);
        }
        let Self {
            trace_id, span_id, ..
        } = self;
        let flags = u8::from(self.sampled);
        let value = format!("00-{trace_id:032x}-{span_id:016x}-{flags:02x}");
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(TRACEPARENT, value);
        }
    }
}

/// A number of so many hexadecimal digits in lower case.
fn hexadecimal(text: &str, digits: usize) -> Option<u64> {
    is_hex(text, digits).then(|| u64::from_str_radix(text, 16).ok())?
}

/// The members of `tracestate`.
fn state_of(headers: &HeaderMap) -> Arc<[(String, String)]> {
    let values = states(headers).into_iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    let members = texts.flat_map(|text| text.split(','));
    let pairs = members.filter_map(|member| member.trim().split_once('='));
    pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    const TRACE: u128 = 0x04bf_92f3_577b_34da_6a3c_e929_d0e0_e473;
    const CALLER: &str = "00-04bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01";

    fn headers(traceparent: &'static str, tracestate: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, HeaderValue::from_static(traceparent));
        headers.insert(TRACESTATE, HeaderValue::from_static(tracestate));
        headers
    }

    fn caller() -> Context {
        Context::of_caller(&headers(CALLER, "a=1, b=2")).unwrap()
    }

    #[test]
    fn a_caller_s_context_is_what_the_headers_say() {
        let caller = caller();
        assert_eq!(caller.trace_id, TRACE);
        assert_eq!(caller.span_id, 0x00f0_67aa_0ba9_02b7);
        assert!(caller.sampled);
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(*caller.state, [pair("a", "1"), pair("b", "2")]);
        let unsampled = "00-04bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-02";
        assert!(!Context::of_caller(&headers(unsampled, "")).unwrap().sampled);
        let later = "01-04bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01-more";
        assert!(Context::of_caller(&headers(later, "")).is_some());
    }

    #[test]
    fn a_state_that_is_long_or_malformed_is_left_out() {
        let long = format!("a={}", "b".repeat(250));
        for (state, members) in [
            (long.as_str(), 1),
            (&[long.as_str(); 2].join(","), 2),
            (&[long.as_str(); 3].join(","), 0),
            ("a=1,nonsense", 0),
        ] {
            let mut headers = headers(CALLER, "");
            headers.insert(TRACESTATE, state.parse().unwrap());
            let context = Context::of_caller(&headers).unwrap();
            assert_eq!(context.state.len(), members, "{state}");
        }
    }

    #[test]
    fn what_is_no_context_is_none() {
        for wrong in [
            "00-04bf92f3577b34da6a3ce929d0e0e473-0000000000000000-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-04bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01-more",
            "00-04bf92f3577b34da6a3ce929d0e0e473-00F067AA0BA902B7-01",
            "00-04bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-1",
            "00-04bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7",
            "",
        ] {
            assert_eq!(Context::of_caller(&headers(wrong, "")), None, "{wrong}");
        }
        let mut twice = headers(CALLER, "");
        twice.append(TRACEPARENT, HeaderValue::from_static(CALLER));
        assert_eq!(Context::of_caller(&twice), None);
        assert_eq!(Context::of_host("0", "0", false, Vec::new()), None);
        assert_eq!(Context::of_host("", "", true, Vec::new()), None);
    }

    #[test]
    fn the_host_s_span_is_the_parent_if_it_is_of_the_same_trace() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e473";
        let host = Context::of_host(trace, "7", true, Vec::new()).unwrap();
        assert_eq!(host.trace_id, TRACE);
        let stranger = Context::of_host("1", "7", true, Vec::new());
        let outer = |host, caller| Context::outer(host, caller).map(|context| context.span_id);
        assert_eq!(outer(Some(host.clone()), Some(caller())), Some(7));
        assert_eq!(outer(Some(host), None), Some(7));
        assert_eq!(outer(stranger, Some(caller())), Some(caller().span_id));
        assert_eq!(outer(None, None), None);
    }

    #[test]
    fn headers_name_the_span_that_they_are_sent_by() {
        let mut sent = headers(CALLER, "a=1");
        caller().child(7).write(&mut sent);
        let expected = "00-04bf92f3577b34da6a3ce929d0e0e473-0000000000000007-01";
        assert_eq!(sent.get(TRACEPARENT).unwrap(), expected);
        assert_eq!(sent.get(TRACESTATE).unwrap(), "a=1");
        let mut sent = headers("nonsense", "a=1");
        caller().child(7).write(&mut sent);
        assert_eq!(sent.get(TRACEPARENT).unwrap(), expected);
        assert_eq!(sent.get(TRACESTATE), None);
    }
}
