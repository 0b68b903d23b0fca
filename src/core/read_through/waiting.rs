//! Waiting for the fetches of other requests: how long, and whose end may be shared.

use std::time::{Duration, Instant};

use super::ended_fetch::{EndedFetch, FetchOutcome};
use super::lookup::{Claim, Lookup, When};
use super::{FetchReason, ReadThrough, Reading};
use crate::platform::origin::Failure;
use crate::platform::request_deadline::RequestDeadline;

/// How many fetches a request waits for at most: one that is too old for it, the next one, and the
/// one in place of a host that died.
const MOST_FETCHES: usize = 3;

/// How long a request waits. Each fetch that it waits for may take `origin_timeout`.
pub(super) struct Patience {
    origin_timeout: Duration,
    deadline: RequestDeadline,
    /// The fencing token of the fetch that the limit is for.
    fetch: i64,
    fetches: usize,
    limit: Duration,
    until: Instant,
}

impl Patience {
    /// That of a request which has to be over by `deadline`.
    pub(super) fn new(origin_timeout: Duration, deadline: RequestDeadline) -> Self {
        Self {
            origin_timeout,
            deadline,
            fetch: 0,
            fetches: 0,
            limit: Duration::ZERO,
            until: Instant::now(),
        }
    }

    /// How much longer to wait for the fetch with this fencing token, `now` that it is under way.
    ///
    /// # Errors
    /// The failure that the origin was too slow, once there is no time left.
    pub(super) fn left(&mut self, fetch: i64, now: Instant) -> Result<Duration, Failure> {
        if fetch != self.fetch && self.fetches < MOST_FETCHES {
            self.fetch = fetch;
            self.fetches += 1;
            self.limit = self.deadline.clamp_since(now, self.origin_timeout);
            self.until = now + self.limit;
        }
        let left = self.until.saturating_duration_since(now);
        if !left.is_zero() {
            Ok(left)
        } else if self.limit.is_zero() {
            Err(Failure::no_time_left())
        } else {
            Err(Failure::timed_out(self.limit))
        }
    }
}

/// How a fetch ended that was waited for.
pub(super) enum FetchEnd {
    Reading(Reading),
    Failure(Failure),
    Uncacheable,
}

/// What `lookup.lua` returns for a fetch under way whose fencing token it can't tell.
const UNKNOWN_FETCH: i64 = 1;

/// Which fetch of another request may end a request's wait.
pub(super) struct Shared {
    reason: FetchReason,
    /// The fencing token of the first fetch that the request saw.
    fetch: Option<i64>,
    /// Whether that was under way when the request came.
    began_before: bool,
    /// The fencing token of the last fetch that had ended when the request came.
    ended: i64,
    /// The user's fencing number when the request came.
    fence: Option<i64>,
    /// As in [`FetchStart`](super::reading::FetchStart), when the request came.
    beside: i64,
}

impl Shared {
    pub(super) fn at_arrival(reason: FetchReason, lookup: &Lookup) -> Self {
        let fetch = (lookup.fetching > 0).then_some(lookup.fetching);
        Self {
            reason,
            fetch,
            began_before: fetch.is_some(),
            ended: lookup.last_ended(),
            fence: lookup.follows_lock.then_some(lookup.fence),
            beside: lookup.beside,
        }
    }

    /// What the next look may claim, after so many looks that found no fetch under way and took no
    /// lock. The end of a fetch that is of use goes before a fetch of the request's own.
    pub(super) fn claim(&self, read: &ReadThrough, vain_looks: usize) -> Claim {
        let is_request = self.reason == FetchReason::Request;
        let when = match vain_looks {
            _ if is_request => When::Always,
            0 => When::Unspared,
            1 => When::Stale,
            _ => When::Always,
        };
        let after = i64::from(vain_looks > 0 || is_request && self.began_before);
        let unless_ended = self.fetch.map(|fetch| fetch + after);
        read.claim(when, unless_ended.filter(|_| vain_looks < 2))
    }

    pub(super) fn see(&mut self, lookup: &Lookup) {
        let fetch = (lookup.fetching > 0).then_some(lookup.fetching);
        self.fetch = self.fetch.or(fetch);
    }

    /// Whether a fetch with this fencing token may have been under way when the request came.
    fn may_be_older(&self, number: i64) -> bool {
        let is_known = self.fetch != Some(UNKNOWN_FETCH);
        self.began_before && (!is_known || self.fetch == Some(number))
    }

    /// Whether the end of a fetch with this fencing token is of use at all.
    fn is_of_use(&self, number: i64) -> bool {
        let waited_for = self.fetch.is_some_and(|fetch| number >= fetch);
        let too_old = self.reason == FetchReason::Request && self.may_be_older(number);
        waited_for && number > self.ended && !too_old
    }

    /// Whether what a fetch found may be answered. A fetch that was under way when the request came
    /// may be older than an action that had ended by then, if anybody had the user's lock since.
    fn is_new_enough(&self, number: i64, began_under: impl FnOnce(i64) -> bool) -> bool {
        !self.may_be_older(number) || self.fence.is_none_or(began_under)
    }

    fn takes(&self, reading: &Reading) -> bool {
        let number = reading.number();
        let is_fresh = reading.fresh_for().is_some() && self.reason != FetchReason::Request;
        is_fresh
            || self.is_of_use(number)
                && self.is_new_enough(number, |fence| reading.began_under(fence))
    }

    /// The end of a fetch from before the last action, or from before this request, tells nothing of
    /// what the origin would answer now.
    fn takes_end(&self, ended: &EndedFetch) -> bool {
        self.is_of_use(ended.number)
            && self.is_new_enough(ended.number, |fence| ended.began_under(fence, self.beside))
    }

    pub(super) fn end_of(&self, lookup: &Lookup) -> Option<FetchEnd> {
        if let Some(reading) = &lookup.reading
            && self.takes(reading)
        {
            return Some(FetchEnd::Reading(reading.clone()));
        }
        let ended = lookup.ended.as_ref();
        let ended = ended.filter(|ended| self.takes_end(ended))?;
        match &ended.outcome {
            FetchOutcome::Uncacheable => Some(FetchEnd::Uncacheable),
            // One caller's headers make nobody else go without the cache. But where the next fetch
            // ends so too, one after the other would take too long.
            FetchOutcome::CallersOwn => {
                let is_next = self.fetch.is_some_and(|fetch| ended.number > fetch);
                is_next.then_some(FetchEnd::Uncacheable)
            }
            FetchOutcome::Failed(failure) => Some(FetchEnd::Failure(failure.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn each_fetch_has_time_of_its_own_but_not_any_number_of_them() {
        let mut patience = Patience::new(10 * SECOND, RequestDeadline::NONE);
        let began = Instant::now();
        let mut left = |fetch, second| {
            let left = patience.left(fetch, began + second * SECOND);
            left.ok().map(|left| left.as_secs())
        };
        assert_eq!(left(1, 0), Some(10));
        assert_eq!(left(1, 8), Some(2));
        assert_eq!(left(2, 9), Some(10));
        assert_eq!(left(3, 18), Some(10));
        assert_eq!(left(4, 27), Some(1));
        assert_eq!(left(5, 28), None);
    }

    #[test]
    fn all_of_them_end_before_the_request() {
        let began = Instant::now();
        let deadline = RequestDeadline::new(began, Some(15 * SECOND), Duration::ZERO);
        let mut patience = Patience::new(10 * SECOND, deadline);
        let mut left = |fetch, second| patience.left(fetch, began + second * SECOND);
        assert!(left(1, 9).is_ok_and(|left| left < 6 * SECOND));
        assert!(left(2, 14).is_ok_and(|left| left < SECOND));
        let failure = left(3, 15).err();
        assert!(failure.is_some_and(|failure| failure.came_late()));
    }
}
