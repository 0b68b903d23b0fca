//! Which requests run on a connection, and which of its answers wait for the client.
//!
//! Only a whole request is activity: bytes that make none keep no connection open. A request runs
//! until the last byte of its answer has been written to the socket.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::ResponseBody;
use super::limits::SCARCE;

/// Bytes of an answer that the client must take in within the time limit. HTTP/2 holds this much of
/// an answer whose client does not read.
const PIECE: usize = 16 << 10;

/// How many pieces of an answer may wait to be written. HTTP/1 would hold 16 of them.
const HELD: usize = 4;

/// Room for the requests of all connections.
#[derive(Clone, Debug)]
pub(super) struct Room {
    places: Arc<Semaphore>,
    size: usize,
}

impl Room {
    pub(super) fn new(size: usize) -> Self {
        let size = size.min(Semaphore::MAX_PERMITS);
        Self {
            places: Arc::new(Semaphore::new(size)),
            size,
        }
    }

    /// Whether more than half of it is taken.
    fn is_scarce(&self) -> bool {
        self.places.available_permits() < self.size / 2
    }
}

/// What happens on one connection.
#[derive(Debug)]
pub(super) struct Activity {
    room: Room,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// How many requests run.
    running: usize,
    /// When the last request ended.
    ended: Instant,
    /// Answers that are not completely written, by a number of their own.
    answers: BTreeMap<u64, Weak<Answer>>,
    /// The number of the next answer.
    next: u64,
}

impl Activity {
    pub(super) fn new(room: Room) -> Arc<Self> {
        Arc::new(Self {
            room,
            state: Mutex::new(State {
                running: 0,
                ended: Instant::now(),
                answers: BTreeMap::new(),
                next: 0,
            }),
        })
    }

    /// Notes that a request runs, until what is returned is dropped. `None` if there is no room.
    pub(super) fn run(self: &Arc<Self>) -> Option<Running> {
        let place = Arc::clone(&self.room.places).try_acquire_owned();
        let mut state = lock(&self.state);
        let Ok(place) = place else {
            state.ended = Instant::now();
            return None;
        };
        state.running += 1;
        Some(Running {
            activity: Arc::clone(self),
            place: Arc::new(place),
        })
    }

    /// For how long no request has run. `None` while one runs.
    pub(super) fn idle(&self) -> Option<Duration> {
        let state = lock(&self.state);
        (state.running == 0).then(|| state.ended.elapsed())
    }

    /// Gives up the answers that have waited for the client for `limit`, or for an eighth of it
    /// when connections or room are scarce. Returns whether there were any.
    pub(super) fn give_up_stalled(&self, limit: Duration, scarce: bool) -> bool {
        let limit = if scarce || self.room.is_scarce() {
            limit / SCARCE
        } else {
            limit
        };
        // Collected first, since an answer that is dropped locks the state.
        let answers: Vec<_> = lock(&self.state)
            .answers
            .values()
            .filter_map(Weak::upgrade)
            .collect();
        let given_up = answers
            .iter()
            .filter(|answer| answer.give_up_if_stalled(limit));
        given_up.count() > 0
    }
}

/// A request that runs.
#[derive(Debug)]
pub(super) struct Running {
    activity: Arc<Activity>,
    /// Free once nobody holds it any more.
    place: Arc<OwnedSemaphorePermit>,
}

impl Running {
    /// Its place, for the component to hold too: it works on when the client hangs up.
    pub(super) fn place(&self) -> Arc<OwnedSemaphorePermit> {
        Arc::clone(&self.place)
    }

    /// The request's answer. The request runs until all of `body` is written or given up.
    pub(super) fn answer(self, body: ResponseBody) -> ResponseBody {
        let activity = Arc::clone(&self.activity);
        let mut state = lock(&activity.state);
        let number = state.next;
        state.next += 1;
        let answer = Arc::new(Answer {
            activity: Arc::clone(&activity),
            number,
            progress: Mutex::new(Progress {
                running: Some(self),
                body: Some(body),
                rest: Bytes::new(),
                held: 0,
                room_for_more: None,
                awaits_body: false,
                moved: Instant::now(),
            }),
        });
        state.answers.insert(number, Arc::downgrade(&answer));
        AnswerBody(answer).boxed_unsync()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = lock(&self.activity.state);
        state.running -= 1;
        state.ended = Instant::now();
    }
}

/// An answer, from its head to the write of its last byte.
#[derive(Debug)]
struct Answer {
    activity: Arc<Activity>,
    number: u64,
    progress: Mutex<Progress>,
}

#[derive(Debug)]
struct Progress {
    /// `None` once given up.
    running: Option<Running>,
    /// `None` once given up, or at its end.
    body: Option<ResponseBody>,
    /// What came from `body` and was not yet asked for.
    rest: Bytes,
    /// How many pieces wait to be written.
    held: usize,
    /// Wakes the server once fewer wait, or once the answer is given up.
    room_for_more: Option<Waker>,
    /// Whether the body has nothing to send yet.
    awaits_body: bool,
    /// When the client last took in something.
    moved: Instant,
}

impl Answer {
    fn give_up_if_stalled(&self, limit: Duration) -> bool {
        let given_up = {
            let mut progress = lock(&self.progress);
            let waits_for_client = progress.held > 0 || !progress.awaits_body;
            if !waits_for_client || progress.moved.elapsed() < limit {
                return false;
            }
            progress.rest = Bytes::new();
            let waker = progress.room_for_more.take();
            (progress.body.take(), progress.running.take(), waker)
        };
        if let Some(waker) = given_up.2 {
            waker.wake();
        }
        // Not twice.
        given_up.1.is_some()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        lock(&self.activity.state).answers.remove(&self.number);
    }
}

/// What the server sends of an answer.
struct AnswerBody(Arc<Answer>);

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = wasmtime::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, wasmtime::Error>>> {
        let mut progress = lock(&self.0.progress);
        if progress.held >= HELD && progress.body.is_some() {
            progress.room_for_more = Some(context.waker().clone());
            return Poll::Pending;
        }
        if progress.rest.is_empty() {
            let Some(body) = progress.body.as_mut() else {
                return Poll::Ready(Some(Err(wasmtime::format_err!(
                    "the client took in nothing of its answer for too long"
                ))));
            };
            let frame = Pin::new(body).poll_frame(context);
            progress.awaits_body = frame.is_pending();
            match std::task::ready!(frame) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => progress.rest = data,
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                other => return Poll::Ready(other),
            }
        }
        let size = progress.rest.len().min(PIECE);
        let bytes = progress.rest.split_to(size);
        progress.held += 1;
        progress.moved = Instant::now();
        let answer = Arc::clone(&self.0);
        let piece = Bytes::from_owner(Piece { bytes, answer });
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        let progress = lock(&self.0.progress);
        let body = progress.body.as_ref();
        progress.rest.is_empty() && body.is_some_and(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let progress = lock(&self.0.progress);
        let rest = progress.rest.len() as u64;
        let mut hint = SizeHint::new();
        if let Some(body) = &progress.body {
            let of_body = body.size_hint();
            if let Some(upper) = of_body.upper() {
                hint.set_upper(upper.saturating_add(rest));
            }
            hint.set_lower(of_body.lower().saturating_add(rest));
        }
        hint
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        // The component learns at once that nobody wants more.
        let body = lock(&self.0.progress).body.take();
        drop(body);
    }
}

/// A part of an answer that waits to be written.
struct Piece {
    bytes: Bytes,
    answer: Arc<Answer>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let waker = {
            let mut progress = lock(&self.answer.progress);
            progress.held -= 1;
            progress.moved = Instant::now();
            progress.room_for_more.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
