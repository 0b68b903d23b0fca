//! `Cache-Control` (RFC 9111, section 5.2; RFC 5861) and how long an answer may be kept by it:
//! pure, no clock but the one it is given.
//!
//! This service is a shared cache in the sense of the RFC, since what it keeps of a user is served
//! to everybody who asks it for that user: so `s-maxage` goes before `max-age`, and `private` is
//! not kept. The RFC's estimate of a lifetime from `Last-Modified` is left out: where the origin
//! says nothing, the settings do. So is its apparent age: no two clocks are compared.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, StatusCode, header};

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

/// The greatest number of seconds that is told from greater ones (RFC 9111, section 1.2.2).
const MAX_SECONDS: u64 = 1 << 31;

/// The directives that matter here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CacheControl {
    /// Not to be kept at all.
    pub(crate) no_store: bool,
    /// Of an answer: not to be served without asking the origin. Of a request: the origin is to be
    /// asked.
    pub(crate) no_cache: bool,
    /// For one recipient alone.
    private: bool,
    /// `must-revalidate` or `proxy-revalidate`: never to be served stale.
    must_revalidate: bool,
    /// Kept only by who knows what the status means.
    must_understand: bool,
    /// May be kept though the status alone does not say so.
    public: bool,
    max_age: Option<u64>,
    s_maxage: Option<u64>,
    stale_while_revalidate: Option<u64>,
    stale_if_error: Option<u64>,
}

impl CacheControl {
    /// Reads the header, all of its lines. Unknown directives are skipped; a number that is none
    /// counts as 0, and of several the least, so that what is unclear is stale (RFC 9111, section
    /// 4.2.1).
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut directives = Self::default();
        for value in headers.get_all(header::CACHE_CONTROL) {
            for directive in split(value.as_bytes()) {
                directives.read(&String::from_utf8_lossy(directive));
            }
        }
        directives
    }

    fn read(&mut self, directive: &str) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        let (name, value) = (name.trim(), value.trim());
        self.read_misplaced(name);
        if !value.starts_with('"') {
            self.read_misplaced(value);
        }
        let value = value.trim_matches('"');
        let least = |before: Option<u64>| {
            let seconds = seconds(value).unwrap_or(0);
            Some(before.map_or(seconds, |before| before.min(seconds)))
        };
        let name = name.rsplit(is_separator).next().unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "no-store" => self.no_store = true,
            "no-cache" => self.no_cache = true,
            "private" => self.private = true,
            "must-revalidate" | "proxy-revalidate" => self.must_revalidate = true,
            "must-understand" => self.must_understand = true,
            "public" => self.public = true,
            "max-age" => self.max_age = least(self.max_age),
            "s-maxage" => self.s_maxage = least(self.s_maxage),
            "stale-while-revalidate" => {
                self.stale_while_revalidate = least(self.stale_while_revalidate);
            }
            "stale-if-error" => self.stale_if_error = least(self.stale_if_error),
            _ => {}
        }
    }

    /// Reads what forbids to keep an answer also where it is not separated by commas, as in
    /// `public; no-store`. What is unclear is not kept.
    fn read_misplaced(&mut self, text: &str) {
        for part in text.split(is_separator) {
            match part.to_ascii_lowercase().as_str() {
                "no-store" => self.no_store = true,
                "no-cache" => self.no_cache = true,
                "private" => self.private = true,
                _ => {}
            }
        }
    }
}

/// Whether no token holds this character (RFC 9110, section 5.6.2), as far as people take it for a
/// separator of directives.
fn is_separator(character: char) -> bool {
    matches!(character, ';' | '"' | ' ' | '\t')
}

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

/// Whole seconds (RFC 9111, section 1.2.2); greater ones than can be told apart are the greatest.
fn seconds(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(MAX_SECONDS).min(MAX_SECONDS))
}

/// Splits at the commas that are not within quotes. A quote begins a value, right behind `=`. Where
/// it is not closed, every comma splits, so that nothing hides behind it.
fn split(value: &[u8]) -> Vec<&[u8]> {
    let (mut quoted, mut escaped, mut may_open) = (false, false, false);
    let parts = value
        .split(|byte| {
            let is_quote = *byte == b'"' && !escaped && (quoted || may_open);
            escaped = quoted && *byte == b'\\' && !escaped;
            quoted ^= is_quote;
            may_open = *byte == b'=' || may_open && byte.is_ascii_whitespace();
            *byte == b',' && !quoted
        })
        .collect();
    if quoted {
        return value.split(|byte| *byte == b',').collect();
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    const DEFAULTS: Defaults = Defaults {
        lifetime: Duration::from_secs(3600),
        longest: Duration::from_secs(2_592_000),
        stale_while_revalidate: Duration::from_secs(30),
        stale_if_error: Duration::from_secs(300),
    };

    fn with(headers: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = headers.iter().filter_map(|(name, value)| {
            let value = HeaderValue::try_from(*value).ok()?;
            Some((header::HeaderName::from_static(name), value))
        });
        pairs.collect()
    }

    /// An answer that came so many seconds after it was asked for.
    fn after(delay: u64) -> Arrival {
        Arrival {
            at: SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777),
            delay: Duration::from_secs(delay),
        }
    }

    /// Lifetime, age and both times of grace, in seconds.
    fn kept(headers: &[(&'static str, &str)]) -> Option<[u64; 4]> {
        kept_after(0, headers)
    }

    fn kept_after(delay: u64, headers: &[(&'static str, &str)]) -> Option<[u64; 4]> {
        let freshness = freshness(StatusCode::OK, &with(headers), &DEFAULTS, after(delay))?;
        Some([
            freshness.lifetime.as_secs(),
            freshness.age.as_secs(),
            freshness.stale_while_revalidate.as_secs(),
            freshness.stale_if_error.as_secs(),
        ])
    }

    fn said(cache_control: &str) -> Option<[u64; 4]> {
        kept(&[("cache-control", cache_control)])
    }

    #[test]
    fn where_the_origin_says_nothing_the_settings_do() {
        assert_eq!(kept(&[]), Some([3600, 0, 30, 300]));
        assert_eq!(said("public"), Some([3600, 0, 30, 300]));
        assert_eq!(kept(&[("age", "7")]), Some([3593, 7, 30, 300]));
        assert_eq!(kept(&[("age", "3600")]), None);
    }

    #[test]
    fn what_the_origin_says_goes_before() {
        assert_eq!(said("max-age=60"), Some([60, 0, 30, 300]));
        assert_eq!(said("max-age=60, s-maxage=5"), Some([5, 0, 0, 0]));
        assert_eq!(said("MAX-AGE=\"60\""), Some([60, 0, 30, 300]));
        assert_eq!(said("max-age=60, max-age=9"), Some([9, 0, 30, 300]));
        assert_eq!(said("max-age=99999999999"), Some([2_592_000, 0, 30, 300]));
        let framework = "s-maxage=60, stale-while-revalidate=31535940";
        assert_eq!(said(framework), Some([60, 0, 2_592_000, 0]));
        let aged = [("cache-control", "max-age=60"), ("age", "20")];
        assert_eq!(kept(&aged), Some([40, 20, 30, 300]));
    }

    #[test]
    fn what_may_not_be_kept_is_not() {
        for never in [
            "no-store",
            "no-cache",
            "private",
            "max-age=60, no-store",
            "private=\"set-cookie\", max-age=60",
            "no-store; max-age=60",
            "max-age=60; no-store",
            "max-age=60, no-store;",
            "public; no-store",
            "private no-store, max-age=60",
            "no-cache no-store must-revalidate",
            "\"no-store\"",
            "x=a\"b, no-store, y=c\"d",
            "public\", no-store, \"max-age=60",
            "max-age=0",
            "max-age=soon",
            "max-age",
            "max-age=0, must-revalidate",
        ] {
            assert_eq!(said(never), None, "{never}");
        }
        // Within quotes it is no directive, but behind an open one it may be.
        assert_eq!(said("ext=\"a, no-store\""), Some([3600, 0, 30, 300]));
        assert_eq!(said(r#"ext="a\", no-store""#), Some([3600, 0, 30, 300]));
        assert_eq!(said("ext=\"a, no-store"), None);
        assert_eq!(said(r#"ext="a\", no-store"#), None);
        assert_eq!(said(r#"ext="a\\", no-store"#), None);
    }

    #[test]
    fn what_varies_by_anything_or_by_the_caller_is_not_kept() {
        for vary in [
            "*",
            "Accept, *",
            " * ",
            ", *",
            "X-Request-ID",
            "accept,traceparent",
        ] {
            assert_eq!(
                kept(&[("vary", vary), ("cache-control", "max-age=9")]),
                None,
                "{vary}"
            );
        }
        assert!(kept(&[("vary", "Accept, Cookie")]).is_some());
        assert!(kept(&[("vary", "")]).is_some());
    }

    #[test]
    fn of_several_ages_the_first_counts_and_what_is_none_is_ignored() {
        let aged = |age| kept(&[("cache-control", "max-age=3600"), ("age", age)]);
        assert_eq!(aged("7200, 0"), None);
        assert_eq!(aged("60, 7200"), Some([3540, 60, 30, 300]));
        assert_eq!(aged(" 60 "), Some([3540, 60, 30, 300]));
        assert_eq!(aged("99999999999999999999"), None);
        for invalid in ["", "-7200", "7200.0", "7200;a=b", "soon"] {
            assert_eq!(aged(invalid), Some([3600, 0, 30, 300]), "{invalid}");
        }
    }

    #[test]
    fn the_time_on_the_way_is_taken_off_what_the_origin_says() {
        let control = ("cache-control", "max-age=60");
        let aged = |delay| kept_after(delay, &[control, ("age", "20")]);
        assert_eq!(aged(3), Some([37, 23, 30, 300]));
        assert_eq!(aged(40), Some([0, 60, 30, 300]));
        assert_eq!(aged(50), Some([0, 70, 20, 290]));
        // Over, but those who waited for it may share it.
        assert_eq!(aged(1000), Some([0, 1020, 0, 0]));
        let strict = [("cache-control", "max-age=60, must-revalidate")];
        assert_eq!(kept_after(60, &strict), Some([0, 60, 0, 0]));
        assert_eq!(kept_after(0, &[control, ("age", "60")]), None);
        let expires = [
            ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("expires", "Sun, 06 Nov 1994 08:50:37 GMT"),
        ];
        assert_eq!(kept_after(7, &expires), Some([53, 7, 30, 300]));
        // The settings say how long it is kept here.
        assert_eq!(kept_after(7, &[]), Some([3600, 7, 30, 300]));
        assert_eq!(kept_after(7, &[("age", "5")]), Some([3595, 12, 30, 300]));
    }

    #[test]
    fn the_windows_are_counted_from_expiry() {
        let windows = "max-age=60, stale-while-revalidate=50, stale-if-error=100";
        let aged = |age| kept(&[("cache-control", windows), ("age", age)]);
        assert_eq!(aged("59"), Some([1, 59, 50, 100]));
        assert_eq!(aged("100"), Some([0, 100, 10, 60]));
        assert_eq!(aged("120"), Some([0, 120, 0, 40]));
        assert_eq!(aged("160"), None);
        let expired = [
            ("cache-control", "stale-if-error=100"),
            ("date", "Sun, 06 Nov 1994 08:50:37 GMT"),
            ("expires", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ];
        assert_eq!(kept(&expired), Some([0, 0, 0, 40]));
    }

    #[test]
    fn a_status_that_does_not_say_so_is_kept_only_where_the_origin_does() {
        let is_kept = |status, control| {
            let status = StatusCode::from_u16(status).unwrap_or_default();
            let headers = with(&[("cache-control", control)]);
            freshness(status, &headers, &DEFAULTS, after(0)).is_some()
        };
        for status in [201, 202, 226, 299] {
            assert!(!is_kept(status, "stale-if-error=9"), "{status}");
            assert!(is_kept(status, "max-age=9"), "{status}");
            assert!(is_kept(status, "public"), "{status}");
            assert!(!is_kept(status, "max-age=9, must-understand"), "{status}");
        }
        assert!(is_kept(200, "max-age=9, must-understand"));
        assert!(is_kept(203, ""));
        // Part of a user is no user.
        assert!(!is_kept(206, "max-age=9"));
    }

    #[test]
    fn the_times_of_grace_are_the_origins_to_say() {
        assert_eq!(said("max-age=9, must-revalidate"), Some([9, 0, 0, 0]));
        assert_eq!(said("max-age=9, proxy-revalidate"), Some([9, 0, 0, 0]));
        let both = "max-age=9, stale-while-revalidate=1, stale-if-error=2";
        assert_eq!(said(both), Some([9, 0, 1, 2]));
        let at_once = "max-age=0, stale-while-revalidate=60";
        assert_eq!(said(at_once), Some([0, 0, 60, 0]));
    }

    #[test]
    fn expires_counts_where_no_age_is_said() {
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        let expires = ("expires", "Sun, 06 Nov 1994 08:50:37 GMT");
        assert_eq!(kept(&[date, expires]), Some([60, 0, 30, 300]));
        assert_eq!(kept(&[expires]), Some([60, 0, 30, 300]));
        let aged = ("cache-control", "max-age=5");
        assert_eq!(kept(&[date, expires, aged]), Some([5, 0, 30, 300]));
        assert_eq!(kept(&[date, ("expires", "0")]), None);
        assert_eq!(
            kept(&[expires, ("date", "Sun, 06 Nov 1994 08:51:37 GMT")]),
            None
        );
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(value in "[ -~]{0,80}", age in "[ -~]{0,12}") {
            let all = [("cache-control", &*value), ("age", &age), ("expires", &value)];
            let _ = kept(&[all[0], all[1], all[2], ("vary", &value)]);
        }

        #[test]
        fn lifetime_and_windows_are_those_of_a_clock_that_ticks(
            (said, sent_at_age, delay, longest) in (0u64..40, 0u64..60, 0u64..20, 1u64..40),
            (revalidate, error) in (0u64..40, 0u64..40),
        ) {
            let control = format!(
                "max-age={said}, stale-while-revalidate={revalidate}, stale-if-error={error}"
            );
            let headers = with(&[("cache-control", &control), ("age", &sent_at_age.to_string())]);
            let defaults = Defaults {
                longest: Duration::from_secs(longest),
                ..DEFAULTS
            };
            let freshness = freshness(StatusCode::OK, &headers, &defaults, after(delay));
            // When it was made, its age was 0; it came when its age was `age`.
            let age = sent_at_age + delay;
            let mut expired_at = None;
            for tick in 0..200 {
                let kept_for = tick as i64 - age as i64;
                if expired_at.is_none() && (tick >= said || kept_for >= longest as i64) {
                    expired_at = Some(tick);
                }
                if kept_for < 0 {
                    continue;
                }
                let stale_for = expired_at.map(|at| tick - at);
                let at = Duration::from_secs(kept_for as u64);
                let is_fresh = freshness.is_some_and(|it| at < it.lifetime);
                prop_assert_eq!(is_fresh, stale_for.is_none(), "{} s", tick);
                let Some(stale_for) = stale_for else { continue };
                let serves = |window: fn(&Freshness) -> Duration| {
                    let end = freshness.map(|it| it.lifetime + window(&it));
                    end.is_some_and(|end| at < end)
                };
                prop_assert_eq!(serves(|it| it.stale_while_revalidate), stale_for < revalidate);
                prop_assert_eq!(serves(|it| it.stale_if_error), stale_for < error);
            }
        }
    }
}
