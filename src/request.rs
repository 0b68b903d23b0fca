//! What belongs to one request and to nothing else: its id, its handle on Redis, its stop-watches.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::instance::Instance;
use crate::random;
use crate::redis::Redis;
use crate::telemetry::Trace;

/// Names a request, from whoever asked to the last log line.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const MAX_REQUEST_ID: usize = 128;

/// The id of a request: the caller's, if it is one and 1 to 128 of `A-Z a-z 0-9 . _ ~ + / = : -`, else a new one.
#[derive(Debug, Clone)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The id for a request with these headers.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(X_REQUEST_ID).iter();
        match (values.next(), values.next()) {
            (Some(value), None) if Self::is_valid(value.as_bytes()) => Self(value.clone()),
            // 32 hexadecimal digits are always a header's value.
            _ => Self(
                HeaderValue::try_from(random::hex128())
                    .unwrap_or_else(|_| HeaderValue::from_static("none")),
            ),
        }
    }

    /// Whether a caller's id is taken over.
    pub(crate) fn is_valid(bytes: &[u8]) -> bool {
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"._~+/=:-".contains(byte);
        (1..=MAX_REQUEST_ID).contains(&bytes.len()) && bytes.iter().all(allowed)
    }

    /// As a header's value.
    pub fn header(&self) -> &HeaderValue {
        &self.0
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

/// One request's context. Clones are of the same request.
#[derive(Clone)]
pub(crate) struct RequestContext {
    /// The settings and connections of the component instance.
    pub(crate) instance: Arc<Instance>,
    /// The request's id.
    pub(crate) id: RequestId,
    /// Redis, on this request's account.
    pub(crate) redis: Redis,
    /// Where its spans belong.
    pub(crate) trace: Trace,
    watches: Arc<Watches>,
}

#[derive(Default)]
struct Watches {
    wait_us: AtomicU64,
    action_us: AtomicU64,
}

impl RequestContext {
    /// The context of a request with this id, whose own span has begun in `trace`.
    pub(crate) fn new(instance: Arc<Instance>, id: RequestId, trace: Trace) -> Self {
        let redis = instance.redis();
        Self {
            instance,
            id,
            redis,
            trace,
            watches: Arc::default(),
        }
    }

    /// Notes how long the request waited for a lock.
    pub(crate) fn waited(&self, duration: Duration) {
        let us = duration.as_micros() as u64;
        self.watches.wait_us.fetch_add(us, Ordering::Relaxed);
    }

    /// Notes how long the action ran.
    pub(crate) fn acted(&self, duration: Duration) {
        let us = duration.as_micros() as u64;
        self.watches.action_us.fetch_add(us, Ordering::Relaxed);
    }

    /// How long its parts took so far.
    pub(crate) fn timing(&self) -> Timing {
        let us = |watch: &AtomicU64| Duration::from_micros(watch.load(Ordering::Relaxed));
        Timing {
            redis: self.redis.spent(),
            wait: us(&self.watches.wait_us),
            action: us(&self.watches.action_us),
        }
    }
}

/// How long the parts of a request took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timing {
    /// Waiting for Redis.
    pub redis: Duration,
    /// Waiting for the lock, which includes asking Redis for it.
    pub wait: Duration,
    /// The action.
    pub action: Duration,
}

impl Timing {
    /// The value of `Server-Timing` (<https://www.w3.org/TR/server-timing/>), in milliseconds.
    pub(crate) fn header(&self) -> String {
        let us = |duration: Duration| duration.as_micros() as u64;
        let (redis, wait, action) = (us(self.redis), us(self.wait), us(self.action));
        format!(
            "redis;dur={}.{:03}, wait;dur={}.{:03}, action;dur={}.{:03}",
            redis / 1000,
            redis % 1000,
            wait / 1000,
            wait % 1000,
            action / 1000,
            action % 1000
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_ids_are_taken_over() {
        assert!(RequestId::is_valid(b"a1._~+/=:-"));
        assert!(RequestId::is_valid(&[b'x'; 128]));
        assert!(!RequestId::is_valid(&[b'x'; 129]));
        for bad in ["", "a b", "a,b", "\u{e9}", "a\"b"] {
            assert!(!RequestId::is_valid(bad.as_bytes()), "{bad:?}");
        }
    }

    #[test]
    fn timings_are_in_milliseconds() {
        let timing = Timing {
            redis: Duration::from_micros(412),
            wait: Duration::ZERO,
            action: Duration::from_secs(2),
        };
        assert_eq!(
            timing.header(),
            "redis;dur=0.412, wait;dur=0.000, action;dur=2000.000"
        );
    }
}
