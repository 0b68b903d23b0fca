//! The line of a broken lock: what was done that no answer tells the one whom it concerns.

use http::Uri;
use percent_encoding::percent_decode_str;
use serde::Serialize;

use super::{hash, user_of};
use crate::core::lock::{Broken, FencingToken, OwnerName};
use crate::http::request::PathParameters;
use crate::platform::telemetry::log;
use crate::types::request_id::RequestId;
use crate::types::user_id::UserIds;

/// What became of a break.
#[derive(Clone, Copy)]
pub(in crate::http) enum Break<'a> {
    /// This holder lost its lock.
    Done(&'a Broken),
    /// Redis did not answer, or refused a part: the lock may have been broken or not.
    Unknown,
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    request_id: &'a str,
    event: &'static str,
    route: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    outcome: &'static str,
    owner: Option<&'a str>,
    fencing_token: Option<i64>,
    by: Option<&'a str>,
}

/// Writes that an administrator's request broke the lock at this path, or may have, whether or not
/// requests are logged. No token is told. `key` hashes the user and the lock's name, which are left
/// out without it. `by` is what the administrator says of itself.
pub(in crate::http) fn lock_broken(
    id: &RequestId,
    key: Option<&str>,
    user_ids: UserIds,
    (route, path): (&'static str, &PathParameters),
    came_to: Break<'_>,
    by: Option<&OwnerName>,
) {
    let user = user_of(user_ids, path.user_id.as_deref(), &Uri::default());
    let name = path.name.as_deref().map(percent_decode_str);
    let hashed = |text: &str| key.and_then(|key| hash(key, text));
    let (outcome, broken) = match came_to {
        Break::Done(broken) => ("broken", Some(broken)),
        Break::Unknown => ("unknown", None),
    };
    log::write(&Line {
        time: log::now(),
        request_id: id.as_str(),
        event: "lock-broken",
        route,
        user: user.and_then(|user| hashed(user.as_str())),
        name: name.and_then(|name| hashed(&name.decode_utf8_lossy())),
        outcome,
        owner: broken.and_then(|broken| broken.owner.as_ref().map(OwnerName::as_str)),
        fencing_token: broken.and_then(|broken| broken.fencing_token.map(FencingToken::get)),
        by: by.map(OwnerName::as_str),
    });
}
