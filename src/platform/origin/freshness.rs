//! How long an answer may be kept, by its headers (RFC 9111; RFC 5861): pure, no clock but the one
//! it is given.
//!
//! This service is a shared cache in the sense of the RFC, since what it keeps of a user is served
//! to everybody who asks it for that user: so `s-maxage` goes before `max-age`, and `private` is
//! not kept. The RFC's estimate of a lifetime from `Last-Modified` is left out: where the origin
//! says nothing, the settings do. So is its apparent age: no two clocks are compared.

#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, StatusCode, header};

use super::cache_control::{CacheControl, seconds};
use crate::types::header_names::{TRACEPARENT, TRACESTATE, X_REQUEST_ID};
use crate::types::ttl::MAX_TTL_MS;

/// The statuses that may be kept where the origin does not say for how long (RFC 9110, section
/// 15.1), as far as they reach this cache.
const HEURISTICALLY_CACHEABLE: [StatusCode; 4] = [
    StatusCode::OK,
    StatusCode::NON_AUTHORITATIVE_INFORMATION,
    StatusCode::NOT_FOUND,
    StatusCode::GONE,
];

/// What the origin is sent that differs from one caller to the next.
const CALLERS: [HeaderName; 3] = [X_REQUEST_ID, TRACEPARENT, TRACESTATE];

/// When an answer was there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    /// By the clock.
    pub(crate) at: SystemTime,
    /// How long after it was asked for (RFC 9111, section 4.2.3: `response_delay`).
    pub(crate) delay: Duration,
}

/// How an answer may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Freshness {
    /// For how long from now on it is fresh.
    pub(crate) lifetime: Duration,
    /// How old it is already, by the origin and by how long it was on its way.
    pub(crate) age: Duration,
    /// Whether it was fresh when the origin sent it, so that those who have waited for it may share
    /// it, also if its lifetime was over on the way.
    pub(crate) was_fresh: bool,
    /// For how long it has been stale already.
    pub(crate) overdue: Duration,
    /// For how long after its expiry it may be served while it is fetched anew.
    pub(crate) stale_while_revalidate: Duration,
    /// For how long after its expiry it may be served while the origin is down.
    pub(crate) stale_if_error: Duration,
}

impl Freshness {
    /// That of an answer which is not kept.
    pub(crate) fn of_uncacheable(headers: &HeaderMap, arrival: Arrival) -> Self {
        Self {
            lifetime: Duration::ZERO,
            age: age(headers) + arrival.delay,
            was_fresh: false,
            overdue: Duration::ZERO,
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
        }
    }

    /// For how long it is worth keeping.
    pub(crate) fn total(&self) -> Duration {
        self.lifetime + self.stale_while_revalidate.max(self.stale_if_error)
    }
}

/// What holds where the origin says nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Defaults {
    /// The lifetime.
    pub(crate) lifetime: Duration,
    /// The longest lifetime, whatever the origin says.
    pub(crate) longest: Duration,
    /// See [`Freshness`].
    pub(crate) stale_while_revalidate: Duration,
    /// See [`Freshness`].
    pub(crate) stale_if_error: Duration,
}

/// How the answer with this status and these headers may be kept; `None` if it may not.
///
/// The time that it was on its way counts as age against what the origin says, and not against the
/// settings: those say how long it is kept from its arrival on.
///
/// An answer that is stale at once (`max-age=0`) is kept only where the origin itself allows it to
/// be served stale. `s-maxage` alone forbids that too (RFC 9111, section 5.2.2.10).
pub(crate) fn freshness(
    status: StatusCode,
    headers: &HeaderMap,
    defaults: &Defaults,
    arrival: Arrival,
) -> Option<Freshness> {
    let directives = CacheControl::of(headers);
    let is_known = HEURISTICALLY_CACHEABLE.contains(&status);
    // Ranges are not asked for, and their parts not put together (RFC 9111, section 3.3).
    let forbidden = directives.no_store
        || directives.no_cache
        || directives.private
        || directives.must_understand && !is_known
        || status == StatusCode::PARTIAL_CONTENT
        || varies(headers);
    if forbidden {
        return None;
    }
    let said = directives
        .s_maxage
        .or(directives.max_age)
        .map(|seconds| (Duration::from_secs(seconds), Duration::ZERO))
        .or_else(|| until_expires(headers, arrival.at));
    let (said, expired, delay) = match said {
        Some((said, expired)) => (said, expired, arrival.delay),
        None if is_known || directives.public => {
            (defaults.lifetime, Duration::ZERO, Duration::ZERO)
        }
        None => return None,
    };
    let sent_at_age = age(headers);
    let used_up = sent_at_age + delay;
    let longest = defaults.longest.min(Duration::from_millis(MAX_TTL_MS));
    let lifetime = said.saturating_sub(used_up).min(longest);
    let overdue = (used_up + expired).saturating_sub(said);
    let was_fresh = said > sent_at_age;
    let implied = was_fresh && directives.s_maxage.is_none();
    let stale = |said: Option<u64>, default: Duration| {
        let window = match said {
            _ if directives.must_revalidate => Duration::ZERO,
            Some(seconds) => Duration::from_secs(seconds),
            None if implied => default,
            None => Duration::ZERO,
        };
        // Not cut to what a long lifetime leaves of 30 days: without a window nothing stale may be
        // served, also not what an action made stale.
        let longest = Duration::from_millis(MAX_TTL_MS);
        window.saturating_sub(overdue).min(longest)
    };
    let freshness = Freshness {
        lifetime,
        age: sent_at_age + arrival.delay,
        was_fresh,
        overdue,
        stale_while_revalidate: stale(
            directives.stale_while_revalidate,
            defaults.stale_while_revalidate,
        ),
        stale_if_error: stale(directives.stale_if_error, defaults.stale_if_error),
    };
    (was_fresh || !freshness.total().is_zero()).then_some(freshness)
}

/// Whether a success that may not be kept takes the place of what was kept before: it is newer, or
/// it says that nothing may be kept. Another status (202, 206) or a `Vary` says neither.
pub(super) fn replaces_older(status: StatusCode, headers: &HeaderMap) -> bool {
    let directives = CacheControl::of(headers);
    let forbids = directives.no_store || directives.no_cache || directives.private;
    forbids || HEURISTICALLY_CACHEABLE.contains(&status) && !varies(headers)
}

/// Whether the answer would be another for another request (RFC 9111, section 4.1): `*` says so,
/// and so does the name of a header that is the caller's.
fn varies(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::VARY).iter();
    let mut members = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    members.any(|member| {
        let member = member.trim_ascii();
        let is = |name: &HeaderName| member.eq_ignore_ascii_case(name.as_str().as_bytes());
        member == b"*" || CALLERS.iter().any(is)
    })
}

/// The age that the origin says (RFC 9111, section 5.1): of several the first counts, and what is
/// no number is ignored.
fn age(headers: &HeaderMap) -> Duration {
    let first = headers.get(header::AGE).and_then(|value| {
        let text = value.to_str().ok()?;
        text.split(',').next()
    });
    let seconds = first.and_then(|text| seconds(text.trim()));
    Duration::from_secs(seconds.unwrap_or(0))
}

/// The lifetime by `Expires` (RFC 9111, section 5.3), and how long ago it was over: a date that is
/// none, `0` for one, is in the past.
fn until_expires(headers: &HeaderMap, now: SystemTime) -> Option<(Duration, Duration)> {
    let date = |name| {
        let text = headers.get(name)?.to_str().ok()?;
        httpdate::parse_http_date(text).ok()
    };
    headers.get(header::EXPIRES)?;
    let sent = date(header::DATE).unwrap_or(now);
    // Of several lines the RFC lets a cache take any: the first.
    let expires = date(header::EXPIRES).unwrap_or(sent);
    Some(match expires.duration_since(sent) {
        Ok(lifetime) => (lifetime, Duration::ZERO),
        Err(past) => (Duration::ZERO, past.duration()),
    })
}
