//! The work under the user's lock.
//!
//! - What `run` returns is the `result` of the answer, and is kept as the user's `last-action`.
//! - If it fails, the lock is released, nothing is kept, and the error is the answer.
//! - If the lock is lost, the future is dropped: write what belongs together in one call of your
//!   store, and let the store refuse a fencing token smaller than the greatest it has seen.
//! - It must not panic: a panic ends every request of the component instance.

use edgelatch::action::{Action, ActionError, ActionResult};
{% if origin == "" %}use serde::{Deserialize, Serialize};
use serde_json::value::to_raw_value;

/// The request's body.
#[derive(Deserialize)]
struct Input {
    name: String,
}

/// The `result` of the answer.
#[derive(Serialize)]
struct Output {
    greeting: String,
    fencing_token: i64,
}

/// Greets.
///
/// # Errors
/// 400 where the body has no name.
pub async fn run(action: Action<'_>) -> ActionResult {
    let input: Input = action.input_as()?;
    let output = Output {
        greeting: format!("Hello, {}!", input.name),
        fencing_token: action.fencing_token.get(),
    };
    let result = to_raw_value(&output).map_err(ActionError::internal)?;
    Ok(Some(result))
}
{% else %}use serde::Deserialize;

/// The request's body.
#[derive(Deserialize)]
struct Input {
    name: String,
}

/// Checks the body, and lets the origin do the work.
///
/// # Errors
/// 400 where the body has no name, 502 or 504 where the origin failed.
pub async fn run(action: Action<'_>) -> ActionResult {
    let input: Input = action.input_as()?;
    if input.name.is_empty() {
        return Err(ActionError::invalid_input("The name is empty"));
    }
    edgelatch::action::run(action).await
}
{% endif %}
