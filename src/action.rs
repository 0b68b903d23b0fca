//! The work that is done under the lock: **what you replace when you build your own service on this
//! one.** A component of yours gives its own function to [`service!`](crate::service) or
//! [`serve`](crate::serve); a fork of this project replaces [`run`].
//!
//! The function is called with the user's lock held. While it runs, the lock is renewed; what it
//! returns is kept as the user's `last-action` and answered as `result`, if the lock was held to
//! the end. Nothing else needs to change. For instance:
//!
//! ```no_run
//! use edgelatch::action::{Action, ActionError, ActionResult};
//! # #[derive(serde::Deserialize)]
//! # struct Order {}
//! # async fn charge(
//! #     _: &Order,
//! #     _: edgelatch::core::lock::FencingToken,
//! # ) -> Result<u64, std::io::Error> {
//! #     Ok(1)
//! # }
//!
//! pub async fn run(action: Action<'_>) -> ActionResult {
//!     let order: Order = action.input_as()?;
//!     let charged = charge(&order, action.fencing_token).await;
//!     let receipt = charged.map_err(ActionError::internal)?;
//!     let result = serde_json::value::to_raw_value(&receipt);
//!     Ok(Some(result.map_err(ActionError::internal)?))
//! }
//! ```
//!
//! - The future is **dropped** when the lock is lost (expired, taken by another, `max_hold` used
//!   up): put what must not be half done in one call of the store, and let that store refuse a
//!   fencing token smaller than the greatest it has seen.
//! - An [`ActionError`] is answered as a problem; then the lock is given back and nothing is kept.
//! - It must not panic: a panic ends every request of the component instance.

use std::pin::Pin;

use bytes::Bytes;
use http::HeaderMap;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::core::actions::WorkError;
use crate::core::lock::FencingToken;
use crate::platform::config::Config;
use crate::platform::origin::{self, Caller, Failure};
use crate::platform::redis::Redis;
use crate::platform::request_deadline::RequestDeadline;
use crate::types::error_code::ErrorCode;
use crate::types::request_id::RequestId;
use crate::types::user_id::UserId;

/// One call of the action.
pub struct Action<'a> {
    /// `perform-action` or `attempt-action`.
    pub name: &'static str,
    /// Whose lock is held.
    pub user: UserId,
    /// The request's body: JSON, as it was sent. `None` if there was none.
    pub input: Option<Bytes>,
    /// The number of this acquisition of the lock: greater than that of every earlier one.
    pub fencing_token: FencingToken,
    /// The id of the request.
    pub request_id: &'a RequestId,
    /// The request's headers, among them what the caller may use to log in here: pass on none that
    /// you don't name. Of those that Spin adds, `spin-client-addr` alone is there.
    pub headers: &'a HeaderMap,
    /// When the request has to be over: cut to what is left of it whatever may take long. The
    /// future is dropped soon after.
    pub deadline: RequestDeadline,
    /// The settings.
    pub config: &'a Config,
    /// Redis, on the account of the request: `Server-Timing` counts what its calls take.
    pub redis: &'a Redis,
}

/// What an action returns: its result as JSON, or none. It becomes the answer's `result`.
pub type ActionResult = Result<Option<Box<RawValue>>, ActionError>;

/// Any action, as a request carries it to its handler.
pub(crate) trait AnyAction {
    /// Runs it once.
    fn run<'a>(&'a self, action: Action<'a>) -> Pin<Box<dyn Future<Output = ActionResult> + 'a>>;
}

impl<F: AsyncFn(Action<'_>) -> ActionResult> AnyAction for F {
    fn run<'a>(&'a self, action: Action<'a>) -> Pin<Box<dyn Future<Output = ActionResult> + 'a>> {
        Box::pin(async move { self(action).await })
    }
}

impl Action<'_> {
    /// The input as a type of your own; without a body, JSON's `null` is read.
    ///
    /// # Errors
    /// 400 `malformed-json` that says what does not fit.
    pub fn input_as<T: DeserializeOwned>(&self) -> Result<T, ActionError> {
        let bytes = self.input.as_deref().unwrap_or(b"null");
        serde_json::from_slice(bytes)
            .map_err(|error| ActionError::invalid_input(format!("Not as expected: {error}")))
    }
}

/// Why an action failed, and what its caller is told.
#[derive(Debug)]
pub struct ActionError {
    pub(crate) kind: ActionErrorKind,
}

#[derive(Debug)]
pub(crate) enum ActionErrorKind {
    InvalidInput(String),
    Origin {
        failure: Failure,
        /// Whether a 4xx or 5xx of the origin is answered as it is.
        passthrough: bool,
    },
    Rejected {
        status: u16,
        code: &'static str,
        title: &'static str,
        detail: String,
    },
    Internal(String),
}

impl ActionError {
    /// 400 `malformed-json`: the input is not what the action takes. `detail` is shown to the
    /// caller.
    pub fn invalid_input(detail: impl Into<String>) -> Self {
        let detail = detail.into();
        ActionErrorKind::InvalidInput(detail).into()
    }

    /// A problem of your own. `code` becomes `urn:edgelatch:<code>`; `title` is the same for all of
    /// its kind, `detail` is about this one. All are shown to the caller. A `status` that is none
    /// is answered as 500.
    pub fn rejected(
        status: u16,
        code: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        let detail = detail.into();
        let kind = ActionErrorKind::Rejected {
            status,
            code,
            title,
            detail,
        };
        kind.into()
    }

    /// 500 `internal`. The cause goes to the log with the request's id, and nowhere else.
    pub fn internal(cause: impl ToString) -> Self {
        ActionErrorKind::Internal(cause.to_string()).into()
    }
}

impl From<ActionErrorKind> for ActionError {
    fn from(kind: ActionErrorKind) -> Self {
        Self { kind }
    }
}

impl ErrorCode for ActionError {
    fn code(&self) -> &'static str {
        match &self.kind {
            ActionErrorKind::InvalidInput(_) => "malformed-json",
            ActionErrorKind::Origin { failure, .. } => failure.code(),
            ActionErrorKind::Rejected { code, .. } => code,
            ActionErrorKind::Internal(_) => "internal",
        }
    }
}

impl WorkError for ActionError {
    fn may_go_on(&self) -> bool {
        match &self.kind {
            ActionErrorKind::Origin { failure, .. } => failure.may_go_on(),
            _ => false,
        }
    }
}

/// The built-in action: forwards the input to the `origin`, if there is one, and returns what that
/// answers. Without an origin it does nothing and returns nothing.
///
/// # Errors
/// 502 or 504 where the origin failed.
///
/// # Cancellation
/// Dropping the future does not stop what the origin has begun: it was given the fencing token.
pub async fn run(action: Action<'_>) -> ActionResult {
    let Some(origin) = &action.config.origin else {
        return Ok(None);
    };
    let caller = Caller {
        request_id: action.request_id,
        headers: action.headers,
        deadline: action.deadline,
    };
    let token = action.fencing_token.get();
    let limit = action.config.max_body_bytes;
    origin::forward(
        origin,
        action.name,
        action.user,
        token,
        action.input,
        caller,
        limit,
    )
    .await
    .map_err(|failure| {
        let passthrough = origin.passthrough;
        let kind = ActionErrorKind::Origin {
            failure,
            passthrough,
        };
        kind.into()
    })
}
