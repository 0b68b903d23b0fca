//! An action that uses all it is given: it leaves a note in the cache of another user, under that
//! user's lock.

use std::time::Duration;

use edgelatch::action::{Action, ActionError, ActionResult};
use edgelatch::core::cache::JsonCache;
use edgelatch::core::lock::{LockError, Locks};
use edgelatch::types::keys::Keys;
use edgelatch::types::name::Name;
use serde::{Deserialize, Serialize};
use serde_json::value::to_raw_value;

/// The request's body.
#[derive(Deserialize)]
struct Input {
    /// For whom the note is.
    to: String,
}

/// The note, and the `result` of the answer: what the action was given.
#[derive(Serialize)]
struct Note<'a> {
    action: &'a str,
    from: &'a str,
    fencing_token: i64,
    request_id: &'a str,
    /// The header `Note`.
    text: Option<&'a str>,
    /// The names of the headers that the host added.
    of_host: Vec<&'a str>,
    input_bytes: usize,
    /// How long it may wait, of an hour.
    patience_ms: u128,
    lock_expire_ms: u128,
    max_hold_ms: u128,
}

/// Leaves the note.
///
/// # Errors
/// 400 where the body names nobody, 409 where the other user's lock is held, 500 where Redis fails.
pub(crate) async fn run(action: Action<'_>) -> ActionResult {
    let input: Input = action.input_as()?;
    let config = action.config;
    let (Some(to), Some(entry)) = (config.user_ids.read(&input.to), Name::parse("note")) else {
        return Err(ActionError::invalid_input("`to` is no user"));
    };
    let note = Note {
        action: action.name,
        from: action.user.as_str(),
        fencing_token: action.fencing_token.get(),
        request_id: action.request_id.as_str(),
        text: action
            .headers
            .get("note")
            .and_then(|text| text.to_str().ok()),
        of_host: action
            .headers
            .keys()
            .map(|name| name.as_str())
            .filter(|name| name.starts_with("spin-"))
            .collect(),
        input_bytes: action.input.as_ref().map_or(0, |input| input.len()),
        patience_ms: action.deadline.clamp(Duration::from_secs(3600)).as_millis(),
        lock_expire_ms: config.lock_expire.as_duration().as_millis(),
        max_hold_ms: config.max_hold.as_millis(),
    };
    let keys = Keys::new(config.key_prefix.as_str());
    let locks = Locks::new(action.redis.clone(), config.max_hold);
    let cache = JsonCache::new(action.redis.clone(), keys.clone());
    let leave = |_| cache.set_as(to, &entry, &note, config.cache_expire);
    let (lock, wait) = (
        keys.user_lock(to),
        action.deadline.clamp(config.lock_timeout),
    );
    match locks
        .with_lock(&lock, wait, config.lock_expire, leave)
        .await
    {
        Ok(Ok(_)) => Ok(Some(to_raw_value(&note).map_err(ActionError::internal)?)),
        Ok(Err(error)) => Err(ActionError::internal(error)),
        Err(LockError::Held(by)) => {
            let detail = format!("{} wait for this user's lock, too", by.waiting);
            Err(ActionError::rejected(409, "busy", "Busy", detail))
        }
        Err(error) => Err(ActionError::internal(error)),
    }
}
