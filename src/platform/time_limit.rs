//! Time limits, with one timer for all requests of a component instance.
//!
//! Every command to Redis has a limit, and nearly none reaches it. Setting, awaiting, cancelling and
//! dropping a timer are host calls: a timer for each command was a sixth to a fifth of what an
//! action cost. So deadlines are registered here, and one task, the watcher, sleeps for all of them.
//! It runs as part of the request that started it and outlives that request's answer. It exits 10 to
//! 100 ms after the last deadline.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures::future::{Either, select};

/// How long the watcher sleeps at first. The sleep doubles while deadlines are left. The watcher
/// exits at most one sleep after the last deadline; until then its instance is not idle.
const FIRST_SLEEP: Duration = Duration::from_millis(10);

/// How long it sleeps at most.
const LONGEST_SLEEP: Duration = Duration::from_millis(100);

/// How long each of the two pauses of a last look is at least, and at most. In between it is as long
/// as the end of the limit was noticed late: so slow is the machine, or so busy the service.
const LAST_LOOK: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(50));

/// Runs a future for `limit` at most, and a last look of 10 to 100 ms; `None` when that has
/// passed. The future is dropped then.
///
/// # Cancellation
/// Dropping it drops the future and the limit.
pub async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    within_since(Instant::now(), limit, future).await
}

/// The same, counted from `began`: reading the time is a host call too.
pub(crate) async fn within_since<T>(
    began: Instant,
    limit: Duration,
    future: impl Future<Output = T>,
) -> Option<T> {
    let Some(deadline) = began.checked_add(limit) else {
        return Some(future.await);
    };
    let mut future = pin!(future);
    let mut noted = Noted::new(deadline);
    let in_time = poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => noted.poll(context).map(|()| None),
    });
    match in_time.await {
        Some(output) => Some(output),
        None => {
            let (least, most) = LAST_LOOK;
            let late = Instant::now().saturating_duration_since(deadline);
            last_look(late.clamp(least, most), future).await
        }
    }
}

/// Looks whether the future is done after all. A component that had no processor for a while learns
/// of a reply and of the end of a limit at the same moment, and in any order: what is there when
/// the first pause begins is there when the second ends.
async fn last_look<T>(pause: Duration, mut future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    for _ in 0..2 {
        let pause = pin!(spin_sdk::time::sleep(pause));
        if let Either::Left((output, _)) = select(future.as_mut(), pause).await {
            return Some(output);
        }
    }
    None
}

static LIMITS: Mutex<Limits> = Mutex::new(Limits::new());

fn limits() -> MutexGuard<'static, Limits> {
    LIMITS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The deadlines that are registered. One is registered and removed for every call of Redis, and
/// they are looked at every 10 to 100 ms, so they stand in no order.
struct Limits {
    noted: Vec<Entry>,
    /// The places in `noted` that are free.
    free: Vec<usize>,
    /// The number of the current watcher. Earlier watchers exit.
    watch: u64,
    /// When the watcher looks next; `None` without a watcher.
    looks_at: Option<Instant>,
    /// The longest sleep before that.
    sleep: Duration,
}

struct Entry {
    deadline: Instant,
    /// `None` if the deadline has passed, and where the place is free.
    waker: Option<Waker>,
}

impl Limits {
    const fn new() -> Self {
        Self {
            noted: Vec::new(),
            free: Vec::new(),
            watch: 0,
            looks_at: None,
            sleep: FIRST_SLEEP,
        }
    }

    /// Registers a deadline and returns its place.
    fn note(&mut self, deadline: Instant, waker: Waker) -> usize {
        let waker = Some(waker);
        let entry = Entry { deadline, waker };
        let free = self.free.pop();
        if let Some((place, free)) =
            free.and_then(|place| Some((place, self.noted.get_mut(place)?)))
        {
            *free = entry;
            return place;
        }
        self.noted.push(entry);
        self.noted.len() - 1
    }

    /// Whether the deadline at this place has passed. Otherwise `waker` is woken when it does.
    fn has_passed(&mut self, place: usize, waker: &Waker) -> bool {
        let entry = self.noted.get_mut(place);
        let Some(noted) = entry.and_then(|entry| entry.waker.as_mut()) else {
            return true;
        };
        noted.clone_from(waker);
        false
    }

    fn remove(&mut self, place: usize) {
        if let Some(entry) = self.noted.get_mut(place) {
            entry.waker = None;
            self.free.push(place);
        }
    }

    /// Whether the watcher looks by then.
    fn is_watched(&self, deadline: Instant) -> bool {
        self.looks_at.is_some_and(|at| at <= deadline)
    }

    /// Starts a new watcher and returns its number.
    fn begin(&mut self, now: Instant) -> u64 {
        self.watch += 1;
        self.sleep = FIRST_SLEEP;
        self.plan(now);
        self.watch
    }

    /// Marks the deadlines that have passed, plans the next look, and returns whom to wake.
    fn look(&mut self, now: Instant) -> Vec<Waker> {
        let passed = self.noted.iter_mut();
        let passed = passed.filter(|entry| entry.deadline <= now);
        let wakers = passed.filter_map(|entry| entry.waker.take()).collect();
        self.sleep = (2 * self.sleep).min(LONGEST_SLEEP);
        self.plan(now);
        wakers
    }

    fn plan(&mut self, now: Instant) {
        let waiting = self.noted.iter().filter(|entry| entry.waker.is_some());
        let first = waiting.map(|entry| entry.deadline).min();
        self.looks_at = first.map(|deadline| deadline.min(now + self.sleep));
    }
}

/// A registered deadline.
struct Noted {
    deadline: Instant,
    place: Option<usize>,
}

impl Noted {
    fn new(deadline: Instant) -> Self {
        Self {
            deadline,
            place: None,
        }
    }

    /// Ready when the deadline has passed.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut limits = limits();
        match self.place {
            Some(place) if limits.has_passed(place, context.waker()) => return Poll::Ready(()),
            Some(_) => {}
            None => self.place = Some(limits.note(self.deadline, context.waker().clone())),
        }
        if !limits.is_watched(self.deadline) {
            let number = limits.begin(Instant::now());
            wit_bindgen::spawn(watch(Watch(number)));
            // A spawned task is polled for the first time at its next turn.
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            limits().remove(place);
        }
    }
}

/// The number of a watcher.
struct Watch(u64);

async fn watch(watch: Watch) {
    while let Some(at) = watch.looks_at() {
        spin_sdk::time::sleep(at.saturating_duration_since(Instant::now())).await;
        watch.look();
    }
}

impl Watch {
    /// When to look next; `None` when there is nothing left to do.
    fn looks_at(&self) -> Option<Instant> {
        let limits = limits();
        limits.looks_at.filter(|_| limits.watch == self.0)
    }

    fn look(&self) {
        let mut limits = limits();
        if limits.watch == self.0 {
            let passed = limits.look(Instant::now());
            drop(limits);
            passed.into_iter().for_each(Waker::wake);
        }
    }
}

/// If the watcher's task ends before the other requests', one of them starts a new watcher.
impl Drop for Watch {
    fn drop(&mut self) {
        let mut limits = limits();
        if limits.watch == self.0 && limits.looks_at.take().is_some() {
            let waiting = limits.noted.iter().filter_map(|entry| entry.waker.clone());
            let waiting: Vec<Waker> = waiting.collect();
            drop(limits);
            waiting.into_iter().for_each(Waker::wake);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    use std::task::Wake;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn noted(limits: &mut Limits, deadline: Instant) -> usize {
        limits.note(deadline, Waker::noop().clone())
    }

    #[test]
    fn passed_deadlines_are_told_and_the_rest_stays() {
        let now = Instant::now();
        let mut limits = Limits::new();
        let places = [1, 1, 2].map(|ms| noted(&mut limits, now + ms * MS));
        assert_eq!(limits.look(now + MS).len(), 2);
        let passed = places.map(|place| limits.has_passed(place, Waker::noop()));
        assert_eq!(passed, [true, true, false]);
        assert!(limits.look(now + MS).is_empty());
    }

    #[test]
    fn a_place_is_used_again_when_its_deadline_is_removed() {
        let now = Instant::now();
        let mut limits = Limits::new();
        let first = noted(&mut limits, now + MS);
        let second = noted(&mut limits, now + MS);
        // One that has passed keeps its place until it is removed.
        limits.look(now + MS);
        assert_eq!(noted(&mut limits, now + 3 * MS), 2);
        limits.remove(first);
        assert_eq!(noted(&mut limits, now + 2 * MS), first);
        assert!(limits.has_passed(second, Waker::noop()));
        assert!(!limits.has_passed(first, Waker::noop()));
        assert_eq!(limits.look(now + 2 * MS).len(), 1);
    }

    #[test]
    fn the_watch_looks_at_the_first_deadline_and_in_between() {
        let now = Instant::now();
        let mut limits = Limits::new();
        noted(&mut limits, now + 1000 * MS);
        assert_eq!(limits.begin(now), 1);
        let mut at = now;
        for sleep in [10, 20, 40, 80, 100, 100] {
            assert_eq!(limits.looks_at, Some(at + sleep * MS));
            at += sleep * MS;
            assert!(limits.look(at).is_empty());
        }
        noted(&mut limits, at + 5 * MS);
        // The current watcher would look too late for this deadline: a new one takes over.
        assert!(!limits.is_watched(at + 5 * MS));
        assert_eq!(limits.begin(at), 2);
        assert_eq!(limits.looks_at, Some(at + 5 * MS));
        assert!(limits.is_watched(at + 5 * MS));
    }

    #[test]
    fn the_watch_ends_with_the_last_limit() {
        let now = Instant::now();
        let mut limits = Limits::new();
        noted(&mut limits, now + MS);
        limits.begin(now);
        assert_eq!(limits.look(now + MS).len(), 1);
        assert_eq!(limits.looks_at, None);
        assert!(!limits.is_watched(now + 1000 * MS));
    }

    #[test]
    fn a_watch_that_is_cut_off_wakes_those_whom_it_leaves() {
        struct Count(AtomicU32);
        impl Wake for Count {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Relaxed);
            }
        }
        let count = Arc::new(Count(AtomicU32::new(0)));
        let now = Instant::now();
        // No other test has to do with those of the process.
        let number = {
            let mut limits = limits();
            limits.note(now + 1000 * MS, Arc::clone(&count).into());
            limits.begin(now)
        };
        drop(Watch(number - 1));
        assert_eq!(count.0.load(Relaxed), 0);
        drop(Watch(number));
        assert_eq!(count.0.load(Relaxed), 1);
        assert!(!limits().is_watched(now + 1000 * MS));
    }
}
