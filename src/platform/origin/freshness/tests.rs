//! What is kept, and for how long, by what the origin says.

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
fn what_merely_may_not_be_kept_leaves_what_was_kept_before() {
    let replaces = |status: u16, headers: &[(&'static str, &str)]| {
        let status = StatusCode::from_u16(status).unwrap_or_default();
        replaces_older(status, &with(headers))
    };
    for status in [201, 202, 206] {
        assert!(!replaces(status, &[]), "{status}");
        assert!(!replaces(status, &[("cache-control", "max-age=0")]));
        for control in ["no-store", "private", "no-cache"] {
            assert!(replaces(status, &[("cache-control", control)]), "{control}");
        }
    }
    assert!(!replaces(200, &[("vary", "*")]));
    assert!(replaces(
        200,
        &[("vary", "*"), ("cache-control", "no-store")]
    ));
    assert!(replaces(200, &[("cache-control", "max-age=0")]));
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
