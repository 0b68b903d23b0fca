//! Actions: one at a time for each user, with a result that is committed only if the lock was held
//! to the end.
//!
//! [`Actions::perform`] is the whole of it: take the lock, run the work, commit the result and give
//! the lock back. The work is the caller's closure.

use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;
use serde_json::value::RawValue;

use super::cache::format;
use super::idempotency::{Idempotency, ReplayError, StoredAnswer};
use super::lock::{Acquisition, FencingToken, Lease, LockError, Locks, Record};
use crate::platform::telemetry::{Span, Telemetry};
use crate::types::error_code::ErrorCode;
use crate::types::keys::Keys;
use crate::types::ttl::{LAST_ACTION_TTL_MS, Ttl};
use crate::types::user_id::UserId;

/// What actions need, on the account of one request.
pub(crate) struct Actions {
    pub(crate) locks: Locks,
    pub(crate) keys: Keys,
    pub(crate) telemetry: Telemetry,
    /// How long the answer to an idempotent request is kept.
    pub(crate) idempotency_expire: Ttl,
}

/// One request for an action.
pub(crate) struct ActionRequest {
    /// Whose lock is taken.
    pub(crate) user: UserId,
    /// How long to wait for it; zero tries once.
    pub(crate) timeout: Duration,
    /// How long it lives without renewal.
    pub(crate) expire: Ttl,
    /// Where the caller may send the request again.
    pub(crate) idempotency: Option<Idempotency>,
    /// Makes the answer of the action's result. It is stored for replays.
    pub(crate) answer: fn(Option<&RawValue>) -> Result<Vec<u8>, serde_json::Error>,
}

/// An action that ran, now or under an earlier request with the same `Idempotency-Key`.
pub(crate) struct Performed {
    /// The answer.
    pub(crate) answer: Vec<u8>,
    /// The number of the acquisition that it ran under.
    pub(crate) fencing_token: i64,
    /// How long the lock took.
    pub(crate) waited: Duration,
    /// Whether it ran under an earlier request.
    pub(crate) replayed: bool,
}

/// Why an action has no result.
#[derive(Debug)]
pub(crate) enum PerformError<E> {
    /// The lock was not acquired, or was lost while the action ran.
    Lock(LockError),
    /// The work failed; the lock was given back and nothing was kept.
    Work(E),
    /// An answer is stored under the request's `Idempotency-Key` that can't be replayed.
    Replay(ReplayError),
    /// The result can't be written as JSON.
    Json(serde_json::Error),
}

impl<E> From<LockError> for PerformError<E> {
    fn from(error: LockError) -> Self {
        Self::Lock(error)
    }
}

/// A failure of an action's work.
pub(crate) trait WorkError: ErrorCode {
    /// Whether what was begun may still go on elsewhere.
    fn may_go_on(&self) -> bool;
}

impl<E: ErrorCode> ErrorCode for PerformError<E> {
    fn code(&self) -> &'static str {
        match self {
            Self::Lock(error) => error.code(),
            Self::Work(error) => error.code(),
            Self::Replay(error) => error.code(),
            Self::Json(_) => "internal",
        }
    }
}

impl Actions {
    /// Takes the user's lock, runs `work` under it, commits its result and gives the lock back, in
    /// one step. Where an earlier request with the same `Idempotency-Key` succeeded, its answer is
    /// returned and `work` is not called.
    ///
    /// # Errors
    /// [`PerformError`]. After [`PerformError::Work`] the lock is free. After a lost answer of
    /// Redis the commit may have happened.
    ///
    /// # Cancellation
    /// Dropping the future drops `work` and gives the lock back in the background.
    pub(crate) async fn perform<E: WorkError>(
        &self,
        request: &ActionRequest,
        work: impl AsyncFnOnce(FencingToken, &Span) -> Result<Option<Box<RawValue>>, E>,
    ) -> Result<Performed, PerformError<E>> {
        let mut lease = match self.acquire(request).await? {
            Acquisition::Lease(lease) => lease,
            Acquisition::ResultExists(stored) => return replay(request, &stored),
        };
        let (fencing_token, waited) = (lease.fencing_token(), lease.waited());
        let (result, ended) = match self.run(&mut lease, work).await {
            Ok(done) => done,
            Err(error) => {
                give_up(lease, &error).await;
                return Err(error);
            }
        };
        let answer = (request.answer)(result.as_deref()).map_err(PerformError::Json)?;
        let last_action = last_action(result.as_deref(), fencing_token);
        let last_action = last_action.map_err(PerformError::Json)?;
        self.commit(request, lease, ended, &last_action, &answer)
            .await?;
        Ok(Performed {
            answer,
            fencing_token: fencing_token.get(),
            waited,
            replayed: false,
        })
    }

    /// The user's lock, unless the answer exists already.
    async fn acquire(&self, request: &ActionRequest) -> Result<Acquisition, LockError> {
        let lock = self.keys.user_lock(request.user);
        let stored_at = request.idempotency.as_ref();
        let stored_at = stored_at.map(|idempotency| idempotency.redis_key.as_str());
        let span = self.telemetry.trace.span("lock wait");
        let (began, timeout, expire) = (Instant::now(), request.timeout, request.expire);
        let locks = &self.locks;
        let acquisition = locks.acquire_unless_done(began, &lock, timeout, expire, stored_at);
        let acquisition = acquisition.await;
        self.telemetry.stopwatches.add_wait(match &acquisition {
            Ok(Acquisition::Lease(lease)) => lease.waited(),
            _ => began.elapsed(),
        });
        match &acquisition {
            Ok(Acquisition::Lease(lease)) => span
                .acquired(Some(lease.fencing_token().get()))
                .ended(&acquisition),
            Ok(Acquisition::ResultExists(_)) => span.acquired(None).replayed(),
            Err(_) => span.acquired(None).ended(&acquisition),
        }
        acquisition
    }

    /// Runs the work while the lock is renewed. Returns when it ended, too.
    async fn run<E: ErrorCode>(
        &self,
        lease: &mut Lease,
        work: impl AsyncFnOnce(FencingToken, &Span) -> Result<Option<Box<RawValue>>, E>,
    ) -> Result<(Option<Box<RawValue>>, Instant), PerformError<E>> {
        let fencing_token = lease.fencing_token();
        let span = self.telemetry.trace.span("action");
        let span = span.under(fencing_token.get());
        let result = lease.keep_during(work(fencing_token, &span)).await;
        let ended = Instant::now();
        let took = ended.saturating_duration_since(lease.acquired_at());
        self.telemetry.stopwatches.add_action(took);
        let result = match result {
            Ok(result) => result.map_err(PerformError::Work),
            Err(lost) => Err(lost.into()),
        };
        span.ended(&result);
        Ok((result?, ended))
    }

    /// Writes the results and gives the lock back, at `began`, which is now.
    async fn commit(
        &self,
        request: &ActionRequest,
        lease: Lease,
        began: Instant,
        last_action: &[u8],
        answer: &[u8],
    ) -> Result<(), LockError> {
        let fencing_token = lease.fencing_token().get();
        let last_action_key = self.keys.last_action(request.user);
        let ttl = Ttl::of_millis(LAST_ACTION_TTL_MS);
        let stored_action = format::stored(last_action, ttl);
        let mut records = vec![Record {
            key: &last_action_key,
            value: &stored_action,
            ttl,
        }];
        let stored = request.idempotency.as_ref().map(|idempotency| {
            let body = answer.to_vec();
            let stored = idempotency.write(&StoredAnswer {
                fencing_token,
                body,
            });
            (idempotency.redis_key.as_str(), stored)
        });
        records.extend(stored.iter().map(|(key, value)| Record {
            key,
            value,
            ttl: self.idempotency_expire,
        }));
        let span = self.telemetry.trace.span("commit").under(fencing_token);
        let committed = lease.commit_since(began, &records, &[]).await;
        span.ended(&committed);
        committed
    }
}

/// After a failure: gives the lock back, since the caller may try again at once. What fails here
/// expires.
async fn give_up<E: WorkError>(lease: Lease, error: &PerformError<E>) {
    let ended = match error {
        PerformError::Work(error) => !error.may_go_on(),
        PerformError::Lock(_) => false,
        PerformError::Replay(_) | PerformError::Json(_) => true,
    };
    let _ = if ended {
        lease.release().await
    } else {
        lease.release_early().await
    };
}

/// The stored answer, as it was.
fn replay<E>(request: &ActionRequest, stored: &[u8]) -> Result<Performed, PerformError<E>> {
    let read = |idempotency: &Idempotency| idempotency.read(stored);
    let stored = request.idempotency.as_ref().map(read);
    let stored = stored.unwrap_or(Err(ReplayError::Malformed));
    let StoredAnswer {
        fencing_token,
        body,
    } = stored.map_err(PerformError::Replay)?;
    Ok(Performed {
        answer: body,
        fencing_token,
        waited: Duration::ZERO,
        replayed: true,
    })
}

/// How the result of an action is kept under `last-action`.
#[derive(Serialize)]
struct LastAction<'a> {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a RawValue>,
    /// The number of the acquisition that it ran under.
    fencing_token: i64,
    /// When it ended (RFC 3339).
    finished_at: String,
}

fn last_action(
    result: Option<&RawValue>,
    fencing_token: FencingToken,
) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&LastAction {
        status: "success",
        result,
        fencing_token: fencing_token.get(),
        finished_at: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
    })
}
