//! What is kept in Redis of a fetch that left no reading: its outcome, for those who waited for it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::meta_and_body::{is_of_a_fetch, join, split};
use super::reading::FetchStart;
use crate::platform::origin::{Failure, FailureKind, KeptHeaders};

/// A fetch that left no reading.
#[derive(Debug, Clone)]
pub(super) struct EndedFetch {
    /// The fencing token of the fetch.
    pub(super) number: i64,
    /// The user's fencing number when the fetch began; 0 if somebody had the user's lock, or if
    /// actions don't make readings stale.
    fence: i64,
    pub(super) outcome: FetchOutcome,
}

/// How a fetch ended that left no reading.
#[derive(Debug, Clone)]
pub(super) enum FetchOutcome {
    /// The origin's answer is for its caller alone: each caller fetches for itself.
    Uncacheable,
    /// It failed.
    Failed(Failure),
}

/// `lookup.lua` reads number and fence, which come first.
#[derive(Serialize, Deserialize)]
struct OutcomeMeta {
    /// The fencing token of the fetch.
    number: i64,
    /// As in [`EndedFetch`].
    #[serde(default)]
    fence: i64,
    kind: OutcomeKind,
    #[serde(default)]
    status: u16,
    #[serde(default)]
    detail: String,
    #[serde(skip_serializing_if = "KeptHeaders::is_empty", default)]
    headers: KeptHeaders,
    /// Whether the body is not all of the origin's.
    #[serde(default)]
    cut: bool,
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

impl EndedFetch {
    pub(super) fn new(start: FetchStart, outcome: FetchOutcome) -> Self {
        Self {
            number: start.number,
            fence: start.fence.unwrap_or(0),
            outcome,
        }
    }

    /// Whether it began under this fencing number of the user, with the user's lock free.
    pub(super) fn began_under(&self, fence: i64) -> bool {
        fence > 0 && fence == self.fence
    }

    /// Reads what is in Redis; `None` for what is no outcome.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (meta, body) = split::<OutcomeMeta>(bytes)?;
        let meta = Some(meta).filter(|meta| is_of_a_fetch(meta.number))?;
        let ended = |outcome| Self {
            number: meta.number,
            fence: meta.fence,
            outcome,
        };
        let kind = match meta.kind {
            OutcomeKind::Uncacheable => return Some(ended(FetchOutcome::Uncacheable)),
            OutcomeKind::Down => FailureKind::Down,
            OutcomeKind::TimedOut => FailureKind::TimedOut,
            OutcomeKind::Refused => FailureKind::Refused(meta.status),
            OutcomeKind::Unusable => FailureKind::Unusable,
        };
        let body = Bytes::copy_from_slice(body);
        let failure = Failure::new(kind, meta.detail);
        let mut failure = failure.with_body(&meta.headers, body);
        failure.is_whole = !meta.cut;
        Some(Self {
            number: meta.number,
            fence: meta.fence,
            outcome: FetchOutcome::Failed(failure),
        })
    }

    /// As it is kept.
    pub(super) fn write(&self) -> Vec<u8> {
        let (kind, failure) = match &self.outcome {
            FetchOutcome::Uncacheable => (OutcomeKind::Uncacheable, None),
            FetchOutcome::Failed(failure) => {
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
            number: self.number,
            fence: self.fence,
            kind,
            status: status.unwrap_or_default(),
            detail: failure.map_or_else(String::new, |failure| failure.detail.clone()),
            headers: failure.map_or_else(KeptHeaders::default, Failure::kept_headers),
            cut: failure.is_some_and(|failure| !failure.is_whole),
        };
        join(&meta, failure.map_or(&[], |failure| &failure.body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: FetchStart = FetchStart {
        number: 7,
        fence: Some(5),
    };

    #[test]
    fn a_failure_is_the_same_after_it_was_kept() {
        let body = Bytes::from_static(b"<p>\n</p>");
        let headers = KeptHeaders::of(&[
            ("content-type", "text/html"),
            ("link", "</a>"),
            ("link", "</b>"),
        ]);
        let failure = Failure::refused_with(409, &headers, Ok(body));
        let again = |outcome| {
            let ended = EndedFetch::read(&EndedFetch::new(START, outcome).write())?;
            assert_eq!(ended.number, START.number);
            assert!(ended.began_under(5) && !ended.began_under(6));
            Some(ended.outcome)
        };
        let Some(FetchOutcome::Failed(read)) = again(FetchOutcome::Failed(failure.clone())) else {
            unreachable!("it was a failure");
        };
        assert_eq!((read.kind, &read.detail), (failure.kind, &failure.detail));
        assert_eq!(read.kept_headers(), headers);
        assert!(read.is_whole);
        assert_eq!(read.body, failure.body);
        let cut = Failure::refused_with(500, &KeptHeaders::default(), Err("broke off".to_owned()));
        let cut = again(FetchOutcome::Failed(cut));
        assert!(matches!(cut, Some(FetchOutcome::Failed(cut)) if !cut.is_whole));
        let uncacheable = again(FetchOutcome::Uncacheable);
        assert!(matches!(uncacheable, Some(FetchOutcome::Uncacheable)));
    }

    proptest! {
        #[test]
        fn no_value_makes_it_panic(value in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = EndedFetch::read(&value);
        }
    }
}
