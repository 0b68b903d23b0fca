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
    /// As in [`FetchStart`].
    beside: i64,
    pub(super) outcome: FetchOutcome,
}

/// How a fetch ended that left no reading.
#[derive(Debug, Clone)]
pub(super) enum FetchOutcome {
    /// The origin's answer may not be kept: each of those who waited for it fetches for itself.
    Uncacheable,
    /// The failure is its caller's own. It tells nothing of what others would be answered.
    CallersOwn,
    /// It failed.
    Failed(Failure),
}

/// `lookup.lua` reads the first four, in this order.
#[derive(Serialize, Deserialize)]
struct OutcomeMeta {
    /// The fencing token of the fetch.
    number: i64,
    /// As in [`EndedFetch`].
    #[serde(default)]
    fence: i64,
    /// As in [`EndedFetch`].
    #[serde(default)]
    beside: i64,
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
    CallersOwn,
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
            beside: start.beside,
            outcome,
        }
    }

    /// Whether it began under this fencing number of the user, with the user's lock free, or beside
    /// this holder; so no action has begun or been answered in between.
    pub(super) fn began_under(&self, fence: i64, beside: i64) -> bool {
        let is_known = fence > 0 || beside != 0;
        is_known && (fence, beside) == (self.fence, self.beside)
    }

    /// Reads what is in Redis; `None` for what is no outcome.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (meta, body) = split::<OutcomeMeta>(bytes)?;
        let meta = Some(meta).filter(|meta| is_of_a_fetch(meta.number))?;
        let ended = |outcome| Self {
            number: meta.number,
            fence: meta.fence,
            beside: meta.beside,
            outcome,
        };
        let kind = match meta.kind {
            OutcomeKind::Uncacheable => return Some(ended(FetchOutcome::Uncacheable)),
            OutcomeKind::CallersOwn => return Some(ended(FetchOutcome::CallersOwn)),
            OutcomeKind::Down => FailureKind::Down,
            OutcomeKind::TimedOut => FailureKind::TimedOut,
            OutcomeKind::Refused => FailureKind::Refused(meta.status),
            OutcomeKind::Unusable => FailureKind::Unusable,
        };
        let body = Bytes::copy_from_slice(body);
        let failure = Failure::new(kind, meta.detail);
        let mut failure = failure.with_body(&meta.headers, body);
        failure.is_whole = !meta.cut;
        Some(ended(FetchOutcome::Failed(failure)))
    }

    /// As it is kept.
    pub(super) fn write(&self) -> Vec<u8> {
        let (kind, failure) = match &self.outcome {
            FetchOutcome::Uncacheable => (OutcomeKind::Uncacheable, None),
            FetchOutcome::CallersOwn => (OutcomeKind::CallersOwn, None),
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
            beside: self.beside,
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
        beside: 0,
        fence: Some(5),
    };

    #[test]
    fn what_it_began_beside_is_the_same_only_if_it_is_known() {
        let began = |fence, beside| {
            let start = FetchStart {
                fence,
                beside,
                ..START
            };
            let ended = EndedFetch::new(start, FetchOutcome::Uncacheable);
            move |fence, beside| {
                let read = EndedFetch::read(&ended.write());
                read.is_some_and(|read| read.began_under(fence, beside))
            }
        };
        let held = began(Some(0), 5);
        assert!(held(0, 5) && !held(0, 6) && !held(0, -5) && !held(5, 0) && !held(0, 0));
        let late = began(Some(0), -5);
        assert!(late(0, -5) && !late(0, 5) && !late(5, 0));
        let free = began(Some(5), 0);
        assert!(free(5, 0) && !free(6, 0) && !free(0, 5) && !free(0, -5));
        let unknown = began(Some(0), 0);
        assert!(!unknown(0, 0) && !unknown(0, 5));
    }

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
            assert!(ended.began_under(5, 0) && !ended.began_under(6, 0));
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
        let own = again(FetchOutcome::CallersOwn);
        assert!(matches!(own, Some(FetchOutcome::CallersOwn)));
    }

    proptest! {
        #[test]
        fn no_value_makes_it_panic(value in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = EndedFetch::read(&value);
        }
    }
}
