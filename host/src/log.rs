//! Lines of this host's own log that callers can bring about: short ones, and few of them. Nobody
//! fills a disk by failing.
//!
//! What a component prints is passed on as it is.

use std::fmt::{Display, Write as _};
use std::io::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many lines of one kind are written in a second.
const PER_SECOND: u32 = 3;

/// The longest line, in bytes. The stack of a component that trapped is cut there.
const LONGEST: usize = 4 << 10;

/// Characters of a text of the caller's.
const LONGEST_QUOTED: usize = 100;

/// Lines of one kind, on stderr.
pub(crate) struct FewLines(Mutex<Second>);

/// The lines of the current second.
struct Second {
    /// `None` before the first line.
    since: Option<Instant>,
    written: u32,
    /// How many lines were left out since the last one.
    left_out: u64,
}

impl FewLines {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(Second {
            since: None,
            written: 0,
            left_out: 0,
        }))
    }

    /// Writes this line, unless there are too many of its kind.
    pub(crate) fn write(&self, text: impl Display) {
        let line = {
            let mut second = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            second.line(&text, Instant::now())
        };
        if let Some(line) = line {
            // Not `eprintln!`, which panics if the disk is full.
            let _ = std::io::stderr().write_all(line.as_bytes());
        }
    }
}

impl Second {
    fn line(&mut self, text: &impl Display, now: Instant) -> Option<String> {
        let over = |since| now.duration_since(since) >= Duration::from_secs(1);
        if self.since.is_none_or(over) {
            self.since = Some(now);
            self.written = 0;
        }
        if self.written >= PER_SECOND {
            self.left_out += 1;
            return None;
        }
        self.written += 1;
        let mut line = text.to_string();
        if line.len() > LONGEST {
            line.truncate(line.floor_char_boundary(LONGEST));
            line.push_str("...");
        }
        match std::mem::take(&mut self.left_out) {
            0 => {}
            left_out => {
                // Writing to a string does not fail.
                let _ = write!(line, " ({left_out} lines like this one were left out)");
            }
        }
        line.push('\n');
        Some(line)
    }
}

/// The beginning of a text of the caller's, in quotes and escaped. Anybody may send one of 64 KB.
pub(crate) fn quoted(text: &str) -> String {
    match text.char_indices().nth(LONGEST_QUOTED) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(quoted("/a\n"), "\"/a\\n\"");
        let logged = quoted(&"\u{7f}".repeat(60_000));
        assert!(logged.ends_with("...") && logged.len() < 1000, "{logged}");
        let FewLines(second) = FewLines::new();
        let mut second = second.into_inner().unwrap();
        let line = second.line(&"ä".repeat(60_000), Instant::now()).unwrap();
        assert!(line.ends_with("ä...\n"), "{line}");
        assert!(line.len() <= LONGEST + 4, "{}", line.len());
    }

    #[test]
    fn few_lines_are_written_in_one_second_and_the_next_one_counts_the_others() {
        let FewLines(second) = FewLines::new();
        let mut second = second.into_inner().unwrap();
        let began = Instant::now();
        let mut at = |ms| second.line(&"a", began + Duration::from_millis(ms));
        for ms in 0..3 {
            assert_eq!(at(ms).as_deref(), Some("a\n"));
        }
        assert_eq!([at(3), at(999)], [None, None]);
        let next = at(1000).unwrap();
        assert_eq!(next, "a (2 lines like this one were left out)\n");
        assert_eq!(at(1001).as_deref(), Some("a\n"));
    }
}
