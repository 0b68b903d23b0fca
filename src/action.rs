//! The work that is done under the lock: **the file to replace when you build your own service on this one.**
//!
//! [`run`] is called with the user's lock held. While it runs, the lock is renewed; what it returns is kept as the user's
//! `last-action` and answered as `result`, if the lock was ours to the end. Nothing else needs to change. For instance:
//!
//! ```text
//! pub async fn run(action: Action<'_>) -> Result<Option<Box<RawValue>>, Problem> {
//!     let order: Order = action.input_as()?;
//!     let receipt = charge(&order, action.fencing_token).await.map_err(Problem::internal)?;
//!     Ok(Some(serde_json::value::to_raw_value(&receipt).map_err(Problem::internal)?))
//! }
//! ```
//!
//! - The future is **dropped** where it stands when the lock is lost (expired, taken by another, `max_hold` used up): keep
//!   what must not be half done in one call of the store, and let that store refuse a fencing token smaller than
//!   the greatest it has seen.
//! - What it returns as [`Problem`] is the answer; then the lock is given back and nothing is kept.
//! - It must not panic: a panic ends every request of the component instance.

use bytes::Bytes;
use http::HeaderMap;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::config::Config;
use crate::keys::UserId;
use crate::lock::FencingToken;
use crate::origin;
use crate::problem::Problem;
use crate::request::RequestId;

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
    /// The request's headers, among them what the caller may use to log in here: pass on none that you don't name.
    pub headers: &'a HeaderMap,
    /// The settings.
    pub config: &'a Config,
}

impl Action<'_> {
    /// The input as a type of your own; without a body, JSON's `null` is read.
    ///
    /// # Errors
    /// 400 `malformed-json` that says what does not fit.
    pub fn input_as<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let bytes = self.input.as_deref().unwrap_or(b"null");
        serde_json::from_slice(bytes)
            .map_err(|error| Problem::malformed_json(format!("Not as expected: {error}")))
    }
}

/// The built-in action: forwards the input to the `origin`, if there is one, and returns what that answers. Without an origin
/// it does nothing and returns nothing.
///
/// # Errors
/// 502 or 504 where the origin failed.
///
/// # Cancellation
/// A dropped future leaves behind what the origin has begun: it was given the fencing token.
pub async fn run(action: Action<'_>) -> Result<Option<Box<RawValue>>, Problem> {
    match &action.config.origin {
        Some(origin) => origin::forward(origin, &action).await,
        None => Ok(None),
    }
}
