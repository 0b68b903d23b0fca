//! Tables: rows, and numbers with their significant digits.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

use crate::stats::Spread;

/// A table that grows by rows.
pub(super) struct Table(pub(super) String);

impl Table {
    pub(super) fn new(title: &str, caption: &str, columns: &[&str]) -> Self {
        let mut text = format!("\n## {title}\n\n");
        if !caption.is_empty() {
            let _ = write!(text, "{caption}\n\n");
        }
        let mut table = Self(text);
        table.row(columns);
        table.row(&vec!["---"; columns.len()]);
        table
    }

    pub(super) fn row(&mut self, cells: &[impl Display]) {
        self.0.push('|');
        for cell in cells {
            // Writing to a String never fails.
            let _ = write!(self.0, " {cell} |");
        }
        self.0.push('\n');
    }
}

/// How often each status was answered.
pub(super) fn statuses(counts: &BTreeMap<u16, usize>) -> String {
    let all = counts.iter().map(|(status, count)| match status {
        0 => format!("{count} none"),
        status => format!("{count} × {status}"),
    });
    let all: Vec<String> = all.collect();
    if all.is_empty() {
        "0".to_owned()
    } else {
        all.join(", ")
    }
}

/// The median, with the extremes in brackets.
pub(super) fn spread(spread: Option<Spread>) -> String {
    spread.map_or_else(String::new, |it| {
        if it.low == it.high {
            return number(it.median);
        }
        format!(
            "{} ({}–{})",
            number(it.median),
            number(it.low),
            number(it.high)
        )
    })
}

/// A number, or a dash.
pub(super) fn number_or_dash(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), number)
}

/// Significant digits only, with thousands separated.
pub(super) fn number(value: f64) -> String {
    if value.abs() < 10.0 {
        return format!("{value:.2}");
    }
    if value.abs() < 100.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_significant_digits() {
        assert_eq!(number(0.954), "0.95");
        assert_eq!(number(12.34), "12.3");
        assert_eq!(number(999.6), "1 000");
        assert_eq!(number(450_000.0), "450 000");
        assert_eq!(number(1_234_567.0), "1 234 567");
    }

    #[test]
    fn spreads_show_their_extremes() {
        assert_eq!(spread(Spread::of(&[1.0, 2.0, 3.0])), "2.00 (1.00–3.00)");
        assert_eq!(spread(Spread::of(&[2.0])), "2.00");
        assert_eq!(spread(None), "");
    }

    #[test]
    fn statuses_are_counted_by_name() {
        assert_eq!(statuses(&BTreeMap::new()), "0");
        let counts = BTreeMap::from([(0, 2), (423, 1000)]);
        assert_eq!(statuses(&counts), "2 none, 1000 × 423");
    }
}
