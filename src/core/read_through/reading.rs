//! What is kept in Redis of a reading.
//!
//! Freshness is not a date but what is left of the key's own time to live, so that no two clocks
//! are compared.

#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::meta_and_body::{is_of_a_fetch, join, split};
use crate::platform::origin::{Answer, Failure, Freshness, KeptHeaders};
use crate::types::etag::ETag;
use crate::types::ttl::{MAX_TTL_MS, Ttl};

/// How long a reading is kept at least, in milliseconds: those who wait for it look more often, and
/// take it also if it is stale.
const SHARED_FOR_MS: u64 = 1000;

/// An answer of the origin that was kept.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    meta: ReadingMeta,
    elapsed: Duration,
    /// Whether nobody has had the user's lock since the reading began.
    is_current: bool,
    /// The entity tag of `body`.
    pub(crate) etag: ETag,
    /// The origin's bytes.
    pub(crate) body: Bytes,
}

/// Under what a fetch began.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct FetchStart {
    /// The fencing token of the fetch.
    pub(super) number: i64,
    /// Where the user's fencing number was 0: beside whom it began, as `lookup.lua` says; else 0.
    pub(super) beside: i64,
    /// The user's fencing number; 0 while somebody had the user's lock. `None` where actions don't
    /// make readings stale.
    pub(super) fence: Option<i64>,
}

/// Milliseconds, where nothing else is said. `lookup.lua` reads the first three, in this order.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct ReadingMeta {
    /// The user's fencing number when the fetch began; 0 if somebody had the user's lock, or if
    /// actions don't make readings stale.
    fence: i64,
    /// How long it is kept beyond its lifetime, with which it is 30 days at most.
    grace: u64,
    /// The fencing token of the fetch.
    number: i64,
    /// How long it is fresh.
    lifetime: u64,
    /// The origin's: a 2xx, or a 404 or 410 where it knows no such user.
    status: u16,
    /// The digits of the body's entity tag.
    etag: String,
    /// Headers of a refusal.
    #[serde(skip_serializing_if = "KeptHeaders::is_empty", default)]
    headers: KeptHeaders,
    age: u64,
    /// For how long it was stale when it came.
    overdue: u64,
    /// For how long after its lifetime it may be served while it is fetched anew, 0 for never. It
    /// may be longer than the grace.
    while_revalidate: u64,
    /// The same while the origin is down.
    if_error: u64,
}

impl Reading {
    /// The user's JSON, just fetched.
    pub(super) fn found(start: FetchStart, answer: Answer, freshness: &Freshness) -> Self {
        let status = answer.status();
        Self::new(
            start,
            status,
            KeptHeaders::default(),
            answer.body,
            freshness,
        )
    }

    /// The origin's refusal, just fetched.
    pub(super) fn refused(start: FetchStart, failure: Failure, freshness: &Freshness) -> Self {
        let status = failure.status().unwrap_or_default();
        let headers = failure.kept_headers();
        Self::new(start, status, headers, failure.body, freshness)
    }

    fn new(
        start: FetchStart,
        status: u16,
        headers: KeptHeaders,
        body: Bytes,
        freshness: &Freshness,
    ) -> Self {
        // Whatever the freshness says, what is written and what is read back agree.
        let lifetime = ms(freshness.lifetime).min(MAX_TTL_MS);
        let window = |window| ms(window).min(MAX_TTL_MS);
        let while_revalidate = window(freshness.stale_while_revalidate);
        let if_error = window(freshness.stale_if_error);
        let etag = ETag::of(&body);
        let meta = ReadingMeta {
            fence: start.fence.unwrap_or(0),
            grace: while_revalidate
                .max(if_error)
                .max(SHARED_FOR_MS.saturating_sub(lifetime))
                .min(MAX_TTL_MS - lifetime),
            number: start.number,
            lifetime,
            status,
            etag: etag.digits().to_owned(),
            headers,
            age: ms(freshness.age),
            overdue: ms(freshness.overdue),
            while_revalidate,
            if_error,
        };
        Self {
            meta,
            elapsed: Duration::ZERO,
            is_current: start.fence.is_none_or(|fence| fence > 0),
            etag,
            body,
        }
    }

    /// Reads what is in Redis, with `left` milliseconds to live; `None` for what is no reading.
    /// `fence` is the user's fencing number now, as in [`FetchStart`].
    pub(super) fn read(value: impl Into<Bytes>, left: i64, fence: Option<i64>) -> Option<Self> {
        let value = value.into();
        let (meta, body) = split::<ReadingMeta>(&value)?;
        let meta = Some(meta).filter(|meta| is_of_a_fetch(meta.number))?;
        let reading = Self {
            elapsed: Duration::ZERO,
            is_current: false,
            etag: ETag::of_digits(&meta.etag)?,
            meta,
            // It may be megabytes: not copied.
            body: value.slice_ref(body),
        };
        reading.with_left(left, fence)
    }

    /// This reading at a later look, as [`Reading::read`] reads it.
    pub(super) fn with_left(self, left: i64, fence: Option<i64>) -> Option<Self> {
        let total = Duration::from_millis(self.meta.total());
        let left = Duration::from_millis(u64::try_from(left).ok()?);
        Some(Self {
            elapsed: total.saturating_sub(left),
            is_current: fence.is_none_or(|fence| self.began_under(fence)),
            ..self
        })
    }

    /// As it is kept, and for how long.
    pub(super) fn write(&self) -> (Vec<u8>, Ttl) {
        let ttl = Ttl::of_millis(self.meta.total());
        (join(&self.meta, &self.body), ttl)
    }

    /// Whether its fetch began under this fencing number of the user, with the user's lock free.
    pub(super) fn began_under(&self, fence: i64) -> bool {
        fence > 0 && fence == self.meta.fence
    }

    /// Whether nobody has had the user's lock since the reading began.
    pub(crate) fn is_current(&self) -> bool {
        self.is_current
    }

    /// The user's fencing number is this now, as in [`FetchStart`].
    pub(super) fn see_fence(&mut self, fence: i64) {
        self.is_current = self.began_under(fence);
    }

    /// How long it is kept as fresh.
    pub(super) fn lifetime(&self) -> Duration {
        Duration::from_millis(self.meta.lifetime)
    }

    /// The fencing token of the reading.
    pub(super) fn number(&self) -> i64 {
        self.meta.number
    }

    /// How long it is fresh yet; `None` once it is stale.
    pub(crate) fn fresh_for(&self) -> Option<Duration> {
        let left = self.lifetime().checked_sub(self.elapsed);
        left.filter(|left| self.is_current && !left.is_zero())
    }

    /// For how long it has been stale.
    pub(crate) fn stale_for(&self) -> Duration {
        self.expired_for() + Duration::from_millis(self.meta.overdue)
    }

    /// For how long its lifetime here has been over.
    fn expired_for(&self) -> Duration {
        self.elapsed.saturating_sub(self.lifetime())
    }

    /// Its age, counted from when the origin made it (RFC 9111, section 4.2.3).
    pub(crate) fn age(&self) -> Duration {
        Duration::from_millis(self.meta.age) + self.elapsed
    }

    /// Whether it may be served while it is fetched anew (RFC 5861, section 3).
    pub(super) fn serves_while_revalidating(&self) -> bool {
        self.is_current && self.is_within(self.meta.while_revalidate)
    }

    /// Whether it may be served while the origin is down (RFC 5861, section 4).
    pub(super) fn serves_if_error(&self) -> bool {
        self.is_within(self.meta.if_error)
    }

    /// Whether its lifetime has been over for no longer than a window. Without a window nothing
    /// stale is served, whatever made it stale.
    fn is_within(&self, window: u64) -> bool {
        window > 0 && self.expired_for() <= Duration::from_millis(window)
    }

    /// The status that the origin answered with.
    pub(crate) fn status(&self) -> u16 {
        self.meta.status
    }

    /// The origin's refusal, where this is one.
    pub(crate) fn refusal(&self) -> Option<Failure> {
        let (status, headers) = (self.meta.status, &self.meta.headers);
        let refusal = || Failure::refused_with(status, headers, Ok(self.body.clone()));
        (!(200..300).contains(&self.meta.status)).then(refusal)
    }
}

impl ReadingMeta {
    fn total(&self) -> u64 {
        self.lifetime.saturating_add(self.grace)
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
