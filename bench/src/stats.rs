//! The arithmetic of the report: percentiles, medians and spreads of rounds, and ratios of figures
//! that were measured side by side.

use std::time::Duration;

use serde::Serialize;

/// The median and the extremes of several rounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    /// The median.
    pub(crate) median: f64,
    /// The lowest value.
    pub(crate) low: f64,
    /// The highest value.
    pub(crate) high: f64,
}

impl Spread {
    /// The spread of these rounds. `None` without rounds.
    pub(crate) fn of(rounds: &[f64]) -> Option<Self> {
        let sorted = sorted(rounds);
        Some(Self {
            median: percentile(&sorted, 50.0)?,
            low: *sorted.first()?,
            high: *sorted.last()?,
        })
    }
}

/// The ratios of two series, round by round. Both figures of a round were measured close together,
/// so both include what else the machine did. Rounds without a counterpart, or with a counterpart
/// of zero, are left out.
pub(crate) fn ratios(ours: &[f64], theirs: &[f64]) -> Option<Spread> {
    let pairs = ours.iter().zip(theirs);
    let ratios: Vec<f64> = pairs
        .filter(|(_, theirs)| **theirs > 0.0)
        .map(|(ours, theirs)| ours / theirs)
        .collect();
    Spread::of(&ratios)
}

/// The value below which `percent` of the sorted values lie, interpolated. `None` without values.
pub(crate) fn percentile(sorted: &[f64], percent: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let position = last as f64 * percent.clamp(0.0, 100.0) / 100.0;
    let below = position.floor();
    let (lower, upper) = (
        sorted.get(below as usize)?,
        sorted.get(position.ceil() as usize)?,
    );
    Some(lower + (upper - lower) * (position - below))
}

/// A duration in milliseconds.
pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// The values in ascending order.
pub(crate) fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// The longest wait over the median wait. `None` if there was no wait.
///
/// `unfinished` are waits that had not ended with the measurement. The longest wait is at least as
/// long as those. They do not affect the median.
pub(crate) fn unfairness(finished: &[f64], unfinished: &[f64]) -> Option<f64> {
    let sorted = sorted(finished);
    let median = percentile(&sorted, 50.0)?;
    let longest = sorted.iter().chain(unfinished).copied();
    let longest = longest.fold(0.0, f64::max);
    (median > 0.0).then(|| longest / median)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn percentiles_lie_between_neighbours() {
        let values = [10.0, 20.0, 30.0, 40.0, 50.0];
        assert_eq!(percentile(&values, 0.0), Some(10.0));
        assert_eq!(percentile(&values, 50.0), Some(30.0));
        assert_eq!(percentile(&values, 90.0), Some(46.0));
        assert_eq!(percentile(&values, 100.0), Some(50.0));
        assert_eq!(percentile(&[7.0], 99.0), Some(7.0));
        assert_eq!(percentile(&[], 50.0), None);
    }

    #[test]
    fn a_percentile_never_leaves_the_values() {
        let values = [1.0, 2.0];
        assert_eq!(percentile(&values, -5.0), Some(1.0));
        assert_eq!(percentile(&values, 500.0), Some(2.0));
    }

    #[test]
    fn a_spread_does_not_depend_on_the_order_of_rounds() {
        let spread = Spread::of(&[3.0, 1.0, 2.0]).unwrap();
        assert_eq!(Some(spread), Spread::of(&[1.0, 2.0, 3.0]));
        assert_eq!((spread.low, spread.median, spread.high), (1.0, 2.0, 3.0));
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(Spread::of(&[1.0, 2.0]).unwrap().median, 1.5);
    }

    #[test]
    fn ratios_are_of_pairs() {
        // The machine was half as fast in the second round, for both.
        let spread = ratios(&[90.0, 45.0], &[100.0, 50.0]).unwrap();
        assert_eq!((spread.low, spread.median, spread.high), (0.9, 0.9, 0.9));
    }

    #[test]
    fn ratios_to_nothing_are_left_out() {
        assert_eq!(ratios(&[1.0], &[0.0]), None);
        assert_eq!(ratios(&[1.0, 2.0], &[0.0, 1.0]).unwrap().median, 2.0);
        assert_eq!(ratios(&[1.0, 8.0], &[1.0]).unwrap().high, 1.0);
    }

    #[test]
    fn equal_waits_are_fair() {
        assert_eq!(unfairness(&[5.0, 5.0, 5.0], &[]), Some(1.0));
        assert_eq!(unfairness(&[2.0, 4.0, 12.0], &[1.0]), Some(3.0));
    }

    #[test]
    fn unfinished_waits_count_for_the_longest_wait() {
        assert_eq!(unfairness(&[2.0, 2.0], &[10.0]), Some(5.0));
        assert_eq!(unfairness(&[], &[10.0]), None);
        assert_eq!(unfairness(&[0.0], &[]), None);
    }
}
