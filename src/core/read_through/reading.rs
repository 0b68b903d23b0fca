//! What is kept in Redis of a reading: a line of JSON that says what it is, and the origin's bytes
//! after it.
//!
//! Freshness is not a date but what is left of the key's own time to live, so that no two clocks
//! are compared.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::platform::origin::{Failure, FailureKind, Freshness};
use crate::types::ttl::{MAX_TTL_MS, Ttl};

/// The status of a reading of a user that the origin knows.
const FOUND: u16 = 200;

/// An answer of the origin that was kept.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    meta: ReadingMeta,
    elapsed: Duration,
    /// The origin's bytes.
    pub(crate) body: Bytes,
}

/// Milliseconds, where nothing else is said. The names are read by `outdate.lua` too.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct ReadingMeta {
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

/// How a fetch ended that left no reading.
#[derive(Debug, Clone)]
pub(crate) enum FetchOutcome {
    /// The origin's answer may not be kept: each caller fetches for itself.
    Uncacheable,
    /// It failed.
    Failed(Failure),
}

#[derive(Serialize, Deserialize)]
struct OutcomeMeta {
    number: i64,
    kind: OutcomeKind,
    #[serde(default)]
    status: u16,
    #[serde(default)]
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    content_type: Option<String>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum OutcomeKind {
    #[serde(rename = "pass")]
    Uncacheable,
    Down,
    TimedOut,
    Refused,
    Unusable,
}

impl Reading {
    /// The user's JSON, just fetched under this fencing token.
    pub(crate) fn found(
        number: i64,
        content_type: Option<&str>,
        body: Bytes,
        freshness: &Freshness,
    ) -> Self {
        Self::new(number, FOUND, content_type, body, freshness)
    }

    /// The origin's refusal, just fetched under this fencing token.
    pub(crate) fn refused(number: i64, failure: Failure, freshness: &Freshness) -> Self {
        let status = failure.status().unwrap_or_default();
        let content_type = failure.content_type().map(str::to_owned);
        Self::new(
            number,
            status,
            content_type.as_deref(),
            failure.body,
            freshness,
        )
    }

    fn new(
        number: i64,
        status: u16,
        content_type: Option<&str>,
        body: Bytes,
        freshness: &Freshness,
    ) -> Self {
        let meta = ReadingMeta {
            number,
            status,
            content_type: content_type.map(str::to_owned),
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

    /// Reads what is in Redis, with `left` milliseconds to live; `None` for what is no reading.
    pub(super) fn read(value: impl Into<Bytes>, left: i64) -> Option<Self> {
        let value = value.into();
        let (meta, body) = parts::<ReadingMeta>(&value)?;
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
        let total = self.meta.total().clamp(1, MAX_TTL_MS);
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

    /// The origin's refusal, where this is one.
    pub(crate) fn refusal(&self) -> Option<Failure> {
        let content_type = self.meta.content_type.as_deref();
        let refusal = || Failure::refused(self.meta.status, content_type, self.body.clone());
        (!(200..300).contains(&self.meta.status)).then(refusal)
    }
}

impl ReadingMeta {
    fn total(&self) -> u64 {
        let grace = self.while_revalidate.max(self.if_error);
        self.lifetime.saturating_add(grace)
    }
}

impl FetchOutcome {
    /// Reads what is in Redis, and under which fencing token it came about; `None` for what is no
    /// outcome.
    pub(super) fn read(bytes: &[u8]) -> Option<(i64, Self)> {
        let (meta, body) = parts::<OutcomeMeta>(bytes)?;
        let kind = match meta.kind {
            OutcomeKind::Uncacheable => return Some((meta.number, Self::Uncacheable)),
            OutcomeKind::Down => FailureKind::Down,
            OutcomeKind::TimedOut => FailureKind::TimedOut,
            OutcomeKind::Refused => FailureKind::Refused(meta.status),
            OutcomeKind::Unusable => FailureKind::Unusable,
        };
        let body = Bytes::copy_from_slice(body);
        let failure = Failure::new(kind, meta.detail);
        let failure = failure.with_body(meta.content_type.as_deref(), body);
        Some((meta.number, Self::Failed(failure)))
    }

    /// As it is kept.
    pub(super) fn write(&self, number: i64) -> Vec<u8> {
        let (kind, failure) = match self {
            Self::Uncacheable => (OutcomeKind::Uncacheable, None),
            Self::Failed(failure) => {
                let kind = match failure.kind {
                    FailureKind::Down => OutcomeKind::Down,
                    FailureKind::TimedOut => OutcomeKind::TimedOut,
                    FailureKind::Refused(_) => OutcomeKind::Refused,
                    FailureKind::Unusable => OutcomeKind::Unusable,
                };
                (kind, Some(failure))
            }
        };
        let status = failure.and_then(Failure::status);
        let meta = OutcomeMeta {
            number,
            kind,
            status: status.unwrap_or_default(),
            detail: failure.map_or_else(String::new, |failure| failure.detail.clone()),
            content_type: failure.and_then(Failure::content_type).map(str::to_owned),
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
    // Numbers and strings under string keys always serialize, and JSON in one line holds no line
    // break.
    let mut bytes = serde_json::to_vec(meta).unwrap_or_default();
    bytes.push(b'\n');
    bytes.extend_from_slice(body);
    bytes
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
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

    /// A reading of the origin's JSON `1`, with so many milliseconds to live.
    fn with_left(left: i64) -> Option<Reading> {
        let body = Bytes::from_static(b"1");
        let entry = Reading::found(7, None, body, &FRESHNESS);
        let (bytes, ttl) = entry.write();
        assert_eq!(ttl.as_millis(), 30_000);
        Reading::read(bytes, left)
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
        let body = Bytes::from_static(b"<p>\n</p>");
        let failure = Failure::refused(409, Some("text/html"), body);
        let kept = FetchOutcome::Failed(failure.clone()).write(9);
        let Some((9, FetchOutcome::Failed(read))) = FetchOutcome::read(&kept) else {
            unreachable!("it was a failure");
        };
        assert_eq!((read.kind, &read.detail), (failure.kind, &failure.detail));
        assert_eq!(read.content_type(), failure.content_type());
        assert_eq!(read.body, failure.body);
        let kept = FetchOutcome::Uncacheable.write(9);
        assert!(matches!(
            FetchOutcome::read(&kept),
            Some((9, FetchOutcome::Uncacheable))
        ));
    }

    proptest! {
        #[test]
        fn no_value_makes_it_panic(value in prop::collection::vec(any::<u8>(), 0..80), left in any::<i64>()) {
            let _ = FetchOutcome::read(&value);
            let _ = Reading::read([&value[..], b"\n"].concat(), left);
            let _ = Reading::read(value, left);
        }
    }
}
