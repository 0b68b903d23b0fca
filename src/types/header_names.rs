//! Header names of this service's own, once for the server in `http` and for the client in
//! `platform::origin`.

use http::HeaderName;

/// The number of the acquisition that an action runs under.
pub(crate) const FENCING_TOKEN: HeaderName = HeaderName::from_static("fencing-token");

/// Identifies a request that may be sent again (draft-ietf-httpapi-idempotency-key-header).
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Whose action it is.
pub(crate) const X_USER_ID: HeaderName = HeaderName::from_static("x-user-id");

/// Names a request, from the caller to the last log line.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The caller's span (<https://www.w3.org/TR/trace-context/#traceparent-header>).
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What tracing systems add to it (<https://www.w3.org/TR/trace-context/#tracestate-header>).
pub(crate) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
