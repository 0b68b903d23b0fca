//! How long a reading that was written is fresh, and serves stale, when it is read back.

use super::*;
use proptest::prelude::*;

const FRESHNESS: Freshness = Freshness {
    lifetime: Duration::from_secs(10),
    age: Duration::from_secs(3),
    was_fresh: true,
    overdue: Duration::ZERO,
    stale_while_revalidate: Duration::from_secs(5),
    stale_if_error: Duration::from_secs(20),
};

const START: FetchStart = FetchStart {
    number: 7,
    beside: 0,
    fence: Some(5),
};

/// A reading of the origin's JSON `1`, with so many milliseconds to live.
fn with_left(left: i64) -> Option<Reading> {
    let entry = Reading::found(START, Answer::ok(b"1"), &FRESHNESS);
    let (bytes, ttl) = entry.write();
    assert_eq!(ttl.as_millis(), 30_000);
    Reading::read(bytes, left, START.fence)
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
fn it_is_fresh_under_the_fencing_number_that_it_began_under_alone() {
    let reading = |began: Option<i64>, now: Option<i64>| {
        let start = FetchStart {
            fence: began,
            ..START
        };
        let entry = Reading::found(start, Answer::ok(b"1"), &FRESHNESS);
        let read = Reading::read(entry.write().0, 30_000, now)?;
        assert!(read.serves_if_error());
        assert_eq!(read.serves_while_revalidating(), read.is_current());
        Some(read.fresh_for().is_some())
    };
    assert_eq!(reading(Some(5), Some(5)), Some(true));
    assert_eq!(reading(Some(5), Some(6)), Some(false));
    // Somebody has the lock now, or had it then.
    assert_eq!(reading(Some(5), Some(0)), Some(false));
    assert_eq!(reading(Some(0), Some(5)), Some(false));
    assert_eq!(reading(Some(0), Some(0)), Some(false));
    // Actions don't make readings stale; then they do.
    assert_eq!(reading(None, None), Some(true));
    assert_eq!(reading(Some(5), None), Some(true));
    assert_eq!(reading(None, Some(5)), Some(false));
    assert_eq!(reading(None, Some(0)), Some(false));
}

#[test]
fn without_a_window_nothing_stale_stands_in_for_an_origin_that_is_down() {
    let freshness = Freshness {
        stale_if_error: Duration::ZERO,
        ..FRESHNESS
    };
    let written = Reading::found(START, Answer::ok(b"1"), &freshness);
    let (value, ttl) = written.write();
    // An action made it stale, with all of its lifetime left.
    let read = Reading::read(value, ttl.as_millis() as i64, Some(6));
    assert!(read.is_some_and(|read| !read.is_current() && !read.serves_if_error()));
}

#[test]
fn a_lifetime_of_30_days_forbids_nothing_stale() {
    let freshness = Freshness {
        lifetime: Duration::from_millis(2 * MAX_TTL_MS),
        ..FRESHNESS
    };
    let written = Reading::found(START, Answer::ok(b"1"), &freshness);
    let (value, ttl) = written.write();
    assert_eq!(ttl.as_millis(), MAX_TTL_MS);
    let read = Reading::read(value, 1, Some(6));
    assert!(read.is_some_and(|read| !read.is_current() && read.serves_if_error()));
}

proptest! {
    #[test]
    fn no_value_makes_it_panic(value in prop::collection::vec(any::<u8>(), 0..80), left in any::<i64>()) {
        let _ = Reading::read([&value[..], b"\n"].concat(), left, None);
        let _ = Reading::read(value, left, Some(1));
    }

    #[test]
    fn with_all_of_its_time_left_a_reading_is_as_it_was_written(
        lifetime in any::<u32>(),
        while_revalidate in any::<u32>(),
        if_error in any::<u32>(),
        (age, overdue) in (any::<u32>(), any::<u32>()),
    ) {
        let seconds = |seconds| Duration::from_secs(u64::from(seconds));
        let freshness = Freshness {
            lifetime: seconds(lifetime),
            age: seconds(age),
            was_fresh: true,
            overdue: seconds(overdue),
            stale_while_revalidate: seconds(while_revalidate),
            stale_if_error: seconds(if_error),
        };
        let written = Reading::found(START, Answer::ok(b"1"), &freshness);
        let (value, ttl) = written.write();
        let read = Reading::read(value, ttl.as_millis() as i64, START.fence);
        let read = read.ok_or_else(|| TestCaseError::fail("no reading"))?;
        if !read.lifetime().is_zero() || read.meta.grace > 0 {
            prop_assert_eq!(read.elapsed, Duration::ZERO);
        }
        prop_assert_eq!(read.fresh_for(), written.fresh_for());
        prop_assert_eq!(read.stale_for(), written.stale_for());
        prop_assert_eq!(read.age(), written.age());
        prop_assert_eq!(&read.etag, &written.etag);
        prop_assert!(read.lifetime() <= seconds(lifetime));
    }
}
