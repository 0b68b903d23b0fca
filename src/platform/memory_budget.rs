//! Bounds how much memory work of one kind takes at once in a component instance: whoever would
//! take more waits for its turn. A host may give an instance 128 MiB, and ends it with all its
//! requests when they need more.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// So many bytes for all who share it.
pub(crate) struct MemoryBudget {
    bytes: usize,
    state: Mutex<State>,
}

struct State {
    used: usize,
    /// Those who wait, in their order.
    waiting: VecDeque<(u64, Waker)>,
    /// The number of the next who waits.
    next: u64,
}

impl MemoryBudget {
    pub(crate) const fn new(bytes: usize) -> Self {
        let state = State {
            used: 0,
            waiting: VecDeque::new(),
            next: 0,
        };
        Self {
            bytes,
            state: Mutex::new(state),
        }
    }

    /// Waits until `bytes` are free, behind all who wait already. Who needs more than there are in
    /// all waits until nobody else needs any.
    ///
    /// # Cancellation
    /// Dropping the future gives up the wait.
    pub(crate) fn reserve(&self, bytes: usize) -> Turn<'_> {
        Turn {
            budget: self,
            bytes,
            number: None,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wake_first(&self) {
        if let Some((_, waker)) = self.waiting.front() {
            waker.wake_by_ref();
        }
    }
}

/// A wait for memory.
pub(crate) struct Turn<'b> {
    budget: &'b MemoryBudget,
    bytes: usize,
    /// Its number, while it waits.
    number: Option<u64>,
}

impl<'b> Future for Turn<'b> {
    type Output = Reserved<'b>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Reserved<'b>> {
        let mut state = self.budget.state();
        let first = state.waiting.front().map(|(number, _)| *number);
        let is_first = first.is_none_or(|first| self.number == Some(first));
        let fits = state.used == 0 || state.used.saturating_add(self.bytes) <= self.budget.bytes;
        if is_first && fits {
            state.used += self.bytes;
            if self.number.take().is_some() {
                state.waiting.pop_front();
                state.wake_first();
            }
            drop(state);
            return Poll::Ready(Reserved {
                budget: self.budget,
                bytes: self.bytes,
            });
        }
        let waker = context.waker();
        match self.number {
            Some(number) => {
                let mut waiting = state.waiting.iter_mut();
                if let Some((_, own)) = waiting.find(|(other, _)| *other == number) {
                    own.clone_from(waker);
                }
            }
            None => {
                let number = state.next;
                state.next += 1;
                state.waiting.push_back((number, waker.clone()));
                drop(state);
                self.number = Some(number);
            }
        }
        Poll::Pending
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let mut state = self.budget.state();
            state.waiting.retain(|(other, _)| *other != number);
            state.wake_first();
        }
    }
}

/// Memory that is taken until this is dropped.
pub(crate) struct Reserved<'b> {
    budget: &'b MemoryBudget,
    bytes: usize,
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        let mut state = self.budget.state();
        state.used -= self.bytes;
        state.wake_first();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;
    use std::pin::pin;

    fn is_ready<'b>(turn: Pin<&mut Turn<'b>>) -> Option<Reserved<'b>> {
        turn.now_or_never()
    }

    #[test]
    fn who_does_not_fit_waits_in_order() {
        let budget = MemoryBudget::new(10);
        let first = budget.reserve(6).now_or_never();
        let mut second = pin!(budget.reserve(6));
        let mut third = pin!(budget.reserve(1));
        assert!(first.is_some());
        assert!(is_ready(second.as_mut()).is_none());
        // It would fit, and is not first.
        assert!(is_ready(third.as_mut()).is_none());
        drop(first);
        assert!(is_ready(third.as_mut()).is_none());
        let second = is_ready(second.as_mut());
        assert!(second.is_some() && is_ready(third.as_mut()).is_some());
    }

    #[test]
    fn who_needs_more_than_all_is_alone() {
        let budget = MemoryBudget::new(10);
        let small = budget.reserve(1).now_or_never();
        let mut large = pin!(budget.reserve(100));
        assert!(is_ready(large.as_mut()).is_none());
        drop(small);
        let large = is_ready(large.as_mut());
        assert!(large.is_some() && budget.reserve(1).now_or_never().is_none());
    }

    #[test]
    fn who_gives_up_is_waited_for_by_nobody() {
        let budget = MemoryBudget::new(10);
        let first = budget.reserve(6).now_or_never();
        let mut second = Box::pin(budget.reserve(6));
        let mut third = pin!(budget.reserve(4));
        assert!(is_ready(second.as_mut()).is_none() && is_ready(third.as_mut()).is_none());
        drop(second);
        assert!(is_ready(third.as_mut()).is_some());
        drop(first);
        assert_eq!(budget.state().used, 0);
    }
}
