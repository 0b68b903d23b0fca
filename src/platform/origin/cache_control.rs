//! `Cache-Control` (RFC 9111, section 5.2; RFC 5861) and how long an answer may be kept by it:
//! pure, no clock but the one it is given.
//!
//! This service is a shared cache in the sense of the RFC, since what it keeps of a user is served
//! to everybody who asks it for that user: so `s-maxage` goes before `max-age`, and `private` is
//! not kept. The RFC's estimate of a lifetime from `Last-Modified` is left out: where the origin
//! says nothing, the settings do.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, header};

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
        let value = value.trim().trim_matches('"');
        let least = |before: Option<u64>| {
            let seconds = seconds(value).unwrap_or(0);
            Some(before.map_or(seconds, |before| before.min(seconds)))
        };
        match name.trim().to_ascii_lowercase().as_str() {
            "no-store" => self.no_store = true,
            "no-cache" => self.no_cache = true,
            "private" => self.private = true,
            "must-revalidate" | "proxy-revalidate" => self.must_revalidate = true,
            "max-age" => self.max_age = least(self.max_age),
            "s-maxage" => self.s_maxage = least(self.s_maxage),
            "stale-while-revalidate" => {
                self.stale_while_revalidate = least(self.stale_while_revalidate);
            }
            "stale-if-error" => self.stale_if_error = least(self.stale_if_error),
            _ => {}
        }
    }
}

/// How an answer may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Freshness {
    /// For how long from now on it is fresh.
    pub(crate) lifetime: Duration,
    /// How old it is already.
    pub(crate) age: Duration,
    /// For how long after its expiry it may be served while it is fetched anew.
    pub(crate) stale_while_revalidate: Duration,
    /// For how long after its expiry it may be served while the origin is down.
    pub(crate) stale_if_error: Duration,
}

impl Freshness {
    /// Not to be kept.
    pub(crate) const NONE: Self = Self {
        lifetime: Duration::ZERO,
        age: Duration::ZERO,
        stale_while_revalidate: Duration::ZERO,
        stale_if_error: Duration::ZERO,
    };

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

/// How the answer with these headers, which came at `now`, may be kept; `None` if it may not.
///
/// An answer that is stale at once (`max-age=0`) is kept only where the origin itself allows it to
/// be served stale.
pub(crate) fn freshness(
    headers: &HeaderMap,
    defaults: &Defaults,
    now: SystemTime,
) -> Option<Freshness> {
    let directives = CacheControl::of(headers);
    if directives.no_store || directives.no_cache || directives.private {
        return None;
    }
    let said = directives
        .s_maxage
        .or(directives.max_age)
        .map(Duration::from_secs)
        .or_else(|| until_expires(headers, now));
    let age = number(headers, header::AGE).map_or(Duration::ZERO, Duration::from_secs);
    let lifetime = said.map_or(defaults.lifetime, |said| said.saturating_sub(age));
    let lifetime = lifetime.min(defaults.longest);
    let stale = |said: Option<u64>, default: Duration| match said {
        _ if directives.must_revalidate => Duration::ZERO,
        Some(seconds) => Duration::from_secs(seconds),
        None if lifetime.is_zero() => Duration::ZERO,
        None => default,
    };
    let freshness = Freshness {
        lifetime,
        age,
        stale_while_revalidate: stale(
            directives.stale_while_revalidate,
            defaults.stale_while_revalidate,
        ),
        stale_if_error: stale(directives.stale_if_error, defaults.stale_if_error),
    };
    (!freshness.total().is_zero()).then_some(freshness)
}

/// The lifetime by `Expires` (RFC 9111, section 5.3): a date that is none, `0` for one, is in the
/// past.
fn until_expires(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let date = |name| {
        let text = headers.get(name)?.to_str().ok()?;
        httpdate::parse_http_date(text).ok()
    };
    headers.get(header::EXPIRES)?;
    let sent = date(header::DATE).unwrap_or(now);
    let lifetime = date(header::EXPIRES).and_then(|expires| expires.duration_since(sent).ok());
    Some(lifetime.unwrap_or_default())
}

fn number(headers: &HeaderMap, name: header::HeaderName) -> Option<u64> {
    seconds(headers.get(name)?.to_str().ok()?.trim())
}

/// Whole seconds (RFC 9111, section 1.2.2); greater ones than can be told apart are the greatest.
fn seconds(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(MAX_SECONDS).min(MAX_SECONDS))
}

/// Splits at the commas that are not within quotes.
fn split(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    value.split(move |byte| {
        quoted ^= *byte == b'"';
        *byte == b',' && !quoted
    })
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

    /// Lifetime, age and both times of grace, in seconds.
    fn kept(headers: &[(&'static str, &str)]) -> Option<[u64; 4]> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let freshness = freshness(&with(headers), &DEFAULTS, now)?;
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
        assert_eq!(kept(&[("age", "7")]), Some([3600, 7, 30, 300]));
    }

    #[test]
    fn what_the_origin_says_goes_before() {
        assert_eq!(said("max-age=60"), Some([60, 0, 30, 300]));
        assert_eq!(said("max-age=60, s-maxage=5"), Some([5, 0, 30, 300]));
        assert_eq!(said("MAX-AGE=\"60\""), Some([60, 0, 30, 300]));
        assert_eq!(said("max-age=60, max-age=9"), Some([9, 0, 30, 300]));
        assert_eq!(said("max-age=99999999999"), Some([2_592_000, 0, 30, 300]));
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
            "max-age=0",
            "max-age=soon",
            "max-age",
            "max-age=0, must-revalidate",
        ] {
            assert_eq!(said(never), None, "{never}");
        }
        // Within quotes it is no directive.
        assert_eq!(said("ext=\"a, no-store\""), Some([3600, 0, 30, 300]));
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
            let _ = kept(&[("cache-control", &value), ("age", &age), ("expires", &value)]);
        }
    }
}
