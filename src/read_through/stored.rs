//! What is kept in Redis of a reading: a line of JSON that says what it is, and the origin's bytes after it.
//!
//! Freshness is not a date but what is left of the key's own time to live, so that no two clocks are compared.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};

use crate::cache_control::Freshness;
use crate::origin::{Failure, FailureKind};
use crate::seconds::Ttl;

/// What the origin answered, kept.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    meta: EntryMeta,
    elapsed: Duration,
    /// The origin's bytes.
    pub(crate) body: Bytes,
}

/// Milliseconds, where nothing else is said. The names are read by `outdate.lua` too.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct EntryMeta {
    /// The fencing token of the reading.
    number: i64,
    /// 200, or 404 where the origin knows no such user.
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    content_type: Option<String>,
    lifetime: u64,
    age: u64,
    while_revalidate: u64,
    if_error: u64,
}

/// How a reading ended that left no entry.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    /// The origin's answer may not be kept: there is no use in waiting for each other.
    Pass,
    /// It failed.
    Failed(Failure),
}

#[derive(Serialize, Deserialize)]
struct OutcomeMeta {
    number: i64,
    kind: Kind,
    #[serde(default)]
    status: u16,
    #[serde(default)]
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    content_type: Option<String>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Pass,
    Down,
    TimedOut,
    Refused,
    Unusable,
}

impl Entry {
    /// An answer of the origin, just read under this fencing token.
    pub(crate) fn new(
        number: i64,
        status: StatusCode,
        headers: &HeaderMap,
        body: Bytes,
        freshness: &Freshness,
    ) -> Self {
        let meta = EntryMeta {
            number,
            status: status.as_u16(),
            content_type: text(headers.get(header::CONTENT_TYPE)),
            lifetime: ms(freshness.lifetime),
            age: ms(freshness.age),
            while_revalidate: ms(freshness.stale_while_revalidate),
            if_error: ms(freshness.stale_if_error),
        };
        Self {
            meta,
            elapsed: Duration::ZERO,
            body,
        }
    }

    /// Reads what is in Redis, with `left` milliseconds to live; `None` for what is no entry.
    pub(super) fn read(value: impl Into<Bytes>, left: i64) -> Option<Self> {
        let value = value.into();
        let (meta, body) = parts::<EntryMeta>(&value)?;
        let total = Duration::from_millis(meta.total());
        let left = Duration::from_millis(u64::try_from(left).ok()?);
        Some(Self {
            meta,
            elapsed: total.saturating_sub(left),
            // It may be megabytes: not copied.
            body: value.slice_ref(body),
        })
    }

    /// As it is kept, and for how long.
    pub(super) fn write(&self) -> (Vec<u8>, Ttl) {
        let total = self.meta.total().clamp(1, crate::seconds::MAX_TTL_MS);
        (joined(&self.meta, &self.body), Ttl::of_millis(total))
    }

    /// The fencing token of the reading.
    pub(super) fn number(&self) -> i64 {
        self.meta.number
    }

    /// How long it is fresh yet; `None` once it is stale.
    pub(crate) fn fresh_for(&self) -> Option<Duration> {
        let lifetime = Duration::from_millis(self.meta.lifetime);
        lifetime
            .checked_sub(self.elapsed)
            .filter(|left| !left.is_zero())
    }

    /// For how long it has been stale.
    pub(crate) fn stale_for(&self) -> Duration {
        let lifetime = Duration::from_millis(self.meta.lifetime);
        self.elapsed.saturating_sub(lifetime)
    }

    /// Its age, counted from when the origin made it (RFC 9111, section 4.2.3).
    pub(crate) fn age(&self) -> Duration {
        Duration::from_millis(self.meta.age) + self.elapsed
    }

    /// Whether it may be served while it is fetched anew (RFC 5861, section 3).
    pub(super) fn serves_while_revalidating(&self) -> bool {
        self.stale_for() <= Duration::from_millis(self.meta.while_revalidate)
    }

    /// Whether it may be served while the origin is down (RFC 5861, section 4).
    pub(super) fn serves_if_error(&self) -> bool {
        self.stale_for() <= Duration::from_millis(self.meta.if_error)
    }

    /// The refusal that it is, where it is one.
    pub(crate) fn refusal(&self) -> Option<Failure> {
        let status = StatusCode::from_u16(self.meta.status).ok()?;
        let headers = typed(self.meta.content_type.as_deref());
        (!status.is_success()).then(|| Failure::refused(status, headers, self.body.clone()))
    }
}

impl EntryMeta {
    fn total(&self) -> u64 {
        let grace = self.while_revalidate.max(self.if_error);
        self.lifetime.saturating_add(grace)
    }
}

impl Outcome {
    /// Reads what is in Redis, and under which fencing token it came about; `None` for what is no outcome.
    pub(super) fn read(bytes: &[u8]) -> Option<(i64, Self)> {
        let (meta, body) = parts::<OutcomeMeta>(bytes)?;
        let refused = || StatusCode::from_u16(meta.status).ok();
        let kind = match meta.kind {
            Kind::Pass => return Some((meta.number, Self::Pass)),
            Kind::Down => FailureKind::Down,
            Kind::TimedOut => FailureKind::TimedOut,
            Kind::Refused => FailureKind::Refused(refused()?),
            Kind::Unusable => FailureKind::Unusable,
        };
        let failure = Failure {
            headers: Box::new(typed(meta.content_type.as_deref())),
            body: Bytes::copy_from_slice(body),
            ..Failure::new(kind, meta.detail)
        };
        Some((meta.number, Self::Failed(failure)))
    }

    /// As it is kept.
    pub(super) fn write(&self, number: i64) -> Vec<u8> {
        let (kind, failure) = match self {
            Self::Pass => (Kind::Pass, None),
            Self::Failed(failure) => {
                let kind = match failure.kind {
                    FailureKind::Down => Kind::Down,
                    FailureKind::TimedOut => Kind::TimedOut,
                    FailureKind::Refused(_) => Kind::Refused,
                    FailureKind::Unusable => Kind::Unusable,
                };
                (kind, Some(failure))
            }
        };
        let status = failure.and_then(Failure::status);
        let meta = OutcomeMeta {
            number,
            kind,
            status: status.map_or(0, |status| status.as_u16()),
            detail: failure.map_or_else(String::new, |failure| failure.detail.clone()),
            content_type: failure.and_then(|failure| text(failure.content_type())),
        };
        joined(&meta, failure.map_or(&[], |failure| &failure.body))
    }
}

fn parts<'a, T: Deserialize<'a>>(value: &'a [u8]) -> Option<(T, &'a [u8])> {
    let end = value.iter().position(|byte| *byte == b'\n')?;
    let meta = serde_json::from_slice(&value[..end]).ok()?;
    Some((meta, &value[end + 1..]))
}

fn joined(meta: &impl Serialize, body: &[u8]) -> Vec<u8> {
    // Numbers and strings under string keys always serialize, and JSON in one line holds no line break.
    let mut bytes = serde_json::to_vec(meta).unwrap_or_default();
    bytes.push(b'\n');
    bytes.extend_from_slice(body);
    bytes
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn text(value: Option<&HeaderValue>) -> Option<String> {
    Some(value?.to_str().ok()?.to_owned())
}

/// Headers with this `Content-Type`.
fn typed(text: Option<&str>) -> HeaderMap {
    let value = text.and_then(|text| HeaderValue::try_from(text).ok());
    value
        .map(|value| (header::CONTENT_TYPE, value))
        .into_iter()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FRESHNESS: Freshness = Freshness {
        lifetime: Duration::from_secs(10),
        age: Duration::from_secs(3),
        stale_while_revalidate: Duration::from_secs(5),
        stale_if_error: Duration::from_secs(20),
    };

    /// An entry of the origin's JSON `1`, with so many milliseconds to live.
    fn with_left(left: i64) -> Option<Entry> {
        let body = Bytes::from_static(b"1");
        let entry = Entry::new(7, StatusCode::OK, &HeaderMap::new(), body, &FRESHNESS);
        let (bytes, ttl) = entry.write();
        assert_eq!(ttl.as_millis(), 30_000);
        Entry::read(bytes, left)
    }

    #[test]
    fn what_is_left_to_live_tells_how_fresh_it_is() {
        let seconds = |left| {
            let entry = with_left(left)?;
            let fresh = entry.fresh_for().map(|left| left.as_secs());
            Some((
                fresh,
                entry.age().as_secs(),
                entry.serves_while_revalidating(),
                entry.serves_if_error(),
            ))
        };
        assert_eq!(seconds(30_000), Some((Some(10), 3, true, true)));
        assert_eq!(seconds(21_000), Some((Some(1), 12, true, true)));
        assert_eq!(seconds(20_000), Some((None, 13, true, true)));
        assert_eq!(seconds(15_000), Some((None, 18, true, true)));
        assert_eq!(seconds(14_999), Some((None, 18, false, true)));
        assert_eq!(seconds(1), Some((None, 32, false, true)));
        // A stranger took its expiry away.
        assert_eq!(seconds(-1), None);
    }

    #[test]
    fn a_failure_is_the_same_after_it_was_kept() {
        let html = typed(Some("text/html"));
        let body = Bytes::from_static(b"<p>\n</p>");
        let failure = Failure::refused(StatusCode::CONFLICT, html, body);
        let kept = Outcome::Failed(failure.clone()).write(9);
        let Some((9, Outcome::Failed(read))) = Outcome::read(&kept) else {
            unreachable!("it was a failure");
        };
        assert_eq!((read.kind, read.detail), (failure.kind, failure.detail));
        assert_eq!((read.headers, read.body), (failure.headers, failure.body));
        let kept = Outcome::Pass.write(9);
        assert!(matches!(Outcome::read(&kept), Some((9, Outcome::Pass))));
    }

    proptest! {
        #[test]
        fn no_value_makes_it_panic(value in prop::collection::vec(any::<u8>(), 0..80), left in any::<i64>()) {
            let _ = Outcome::read(&value);
            let _ = Entry::read([&value[..], b"\n"].concat(), left);
            let _ = Entry::read(value, left);
        }
    }
}
