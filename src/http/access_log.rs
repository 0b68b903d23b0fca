//! The access log: one line of JSON on stderr for a request, its failure's cause included.
//!
//! Owns what stands in a line, and what may not: no path, since it names users, no header, no body,
//! no parameter. A user is a keyed hash, and left out without a key: there are so few ids that
//! anybody could try them all on a hash without one.
//!
//! A caller that this service refuses (401, 403) has a line too, so that guesses at a token can be
//! seen, but few of them have, whether or not requests are logged: nobody fills a disk by being
//! refused. The same holds for other failures of requests that need no token: those of `/readyz`,
//! of a service that is misconfigured, and of the API without `api_token`, unless each of its
//! requests has a line anyway. A line says how many before it are missing.

mod broken_lock;

use std::mem;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hmac::{Hmac, Mac as _};
use http::Uri;
use percent_encoding::percent_decode_str;
use serde::Serialize;
use sha1::Sha1;

use super::problem::Blame;
use crate::platform::telemetry::{Timings, log};
use crate::types::digest::hex;
use crate::types::user_id::{UserId, UserIds};
pub(super) use broken_lock::{Break, lock_broken};

/// The longest method that a line repeats, in characters: longer than any that is registered.
const MAX_METHOD: usize = 32;

/// How many requests of an instance that are refused, or that need no token and fail, have a line
/// in one second.
const LINES_PER_SECOND: u32 = 3;

/// What is logged of a request.
#[derive(Clone, Copy)]
pub struct AccessLog<'a> {
    /// Whether each request has a line, or only one whose failure has a cause, and is not its
    /// client's doing. Of those that are refused, few have one in any case.
    pub(super) requests: bool,
    /// The key that users are hashed with; without it they are left out.
    pub(super) key: Option<&'a str>,
    /// The route, with its parameters in braces; `None` where there is no such route.
    pub(super) route: Option<&'static str>,
    /// What names users.
    pub(super) user_ids: UserIds,
    /// `{user_id}` of the path, where the route has it.
    pub(super) user_in_path: Option<&'a str>,
    /// Whether anybody can bring about lines: callers need no token, and would have no line without
    /// a failure. Then few of their failures have one.
    pub(super) is_open: bool,
}

impl AccessLog<'_> {
    /// Causes alone, of requests whose routes are not known, and which need no token.
    pub const CAUSES: Self = Self {
        requests: false,
        key: None,
        route: None,
        user_ids: UserIds::Integer,
        user_in_path: None,
        is_open: true,
    };

    /// The user that a request for `uri` is about, hashed; `None` without a key.
    pub(super) fn user(&self, uri: &Uri) -> Option<String> {
        let key = self.key?;
        self.route?;
        let user = user_of(self.user_ids, self.user_in_path, uri)?;
        hash(key, user.as_str())
    }
}

/// A line, in the order of its fields.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
    method: &'a str,
    /// `null` where there is no such route.
    route: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    status: u16,
    outcome: &'static str,
    total_ms: f64,
    wait_ms: f64,
    redis_ms: f64,
    action_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
    /// How many requests of this kind, refused or failed, have no line since the last one that has.
    #[serde(skip_serializing_if = "is_zero")]
    left_out: u32,
}

/// A request that has its answer.
pub(super) struct Answered<'a> {
    pub(super) request_id: &'a str,
    pub(super) trace_id: Option<&'a str>,
    pub(super) method: &'a str,
    pub(super) uri: &'a Uri,
    pub(super) status: u16,
    /// What the request came to.
    pub(super) outcome: &'static str,
    pub(super) began: Instant,
    pub(super) timings: Timings,
    /// Why it failed, for the log alone.
    pub(super) cause: Option<&'a str>,
    /// Whose doing that was.
    pub(super) blame: Blame,
}

impl AccessLog<'_> {
    /// Writes the line of a request, if it has one.
    pub(super) fn write(&self, request: &Answered<'_>) {
        // The status does not tell: an origin's 403 may be passed on.
        let refused = request.blame == Blame::Refused;
        let failed = request.cause.is_some() && request.blame != Blame::Client;
        let left_out = if refused {
            next_of(&REFUSED)
        } else if self.is_open && failed {
            next_of(&FAILED)
        } else {
            (self.requests || failed).then_some(0)
        };
        let Some(left_out) = left_out else {
            return;
        };
        log::write(&Line {
            time: log::now(),
            request_id: request.request_id,
            trace_id: request.trace_id,
            method: shown_method(request.method),
            route: self.route,
            user: self.user(request.uri),
            status: request.status,
            outcome: request.outcome,
            total_ms: ms(request.began.elapsed()),
            wait_ms: ms(request.timings.wait),
            redis_ms: ms(request.timings.redis),
            action_ms: ms(request.timings.action),
            cause: request.cause.map(log::one_line),
            left_out,
        });
    }
}

/// Callers that were refused.
static REFUSED: Mutex<Few> = Mutex::new(Few::NONE);

/// Failures that anybody can bring about. Those who are refused hide none of them.
static FAILED: Mutex<Few> = Mutex::new(Few::NONE);

/// How many requests of a kind before this one have no line, if this is one of the few that have.
fn next_of(kind: &Mutex<Few>) -> Option<u32> {
    let mut few = kind.lock().unwrap_or_else(PoisonError::into_inner);
    few.next(Instant::now())
}

/// The requests of a kind in the current second, of which few have a line.
struct Few {
    /// When it began. `None` before the first request.
    since: Option<Instant>,
    written: u32,
    /// How many have no line since the last one that has.
    left_out: u32,
}

impl Few {
    const NONE: Self = Self {
        since: None,
        written: 0,
        left_out: 0,
    };

    /// As [`next_of`].
    fn next(&mut self, now: Instant) -> Option<u32> {
        let is_over = |since| now.duration_since(since) >= Duration::from_secs(1);
        if self.since.is_none_or(is_over) {
            self.since = Some(now);
            self.written = 0;
        }
        if self.written >= LINES_PER_SECOND {
            self.left_out = self.left_out.saturating_add(1);
            return None;
        }
        self.written += 1;
        Some(mem::take(&mut self.left_out))
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A method, cut after [`MAX_METHOD`] characters, all of which are ASCII.
fn shown_method(method: &str) -> &str {
    method.get(..MAX_METHOD).unwrap_or(method)
}

/// The user that a request is about, as its path or its query says.
fn user_of(user_ids: UserIds, in_path: Option<&str>, uri: &Uri) -> Option<UserId> {
    if let Some(user) = in_path {
        return user_ids.read(&percent_decode_str(user).decode_utf8_lossy());
    }
    let mut parameters = form_urlencoded::parse(uri.query()?.as_bytes());
    let (_, user) = parameters.find(|(name, _)| name == "user_id")?;
    user_ids.read(&user)
}

/// The first 64 bits of HMAC-SHA-1 (RFC 2104), in hexadecimal.
fn hash(key: &str, user: &str) -> Option<String> {
    let mut hmac = Hmac::<Sha1>::new_from_slice(key.as_bytes()).ok()?;
    hmac.update(user.as_bytes());
    let mut hash = hex(&hmac.finalize().into_bytes());
    hash.truncate(16);
    Some(hash)
}

/// In milliseconds, to the microsecond.
fn ms(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_user_is_in_the_path_or_in_the_query() {
        let user = |in_path, uri: &'static str| {
            user_of(UserIds::Integer, in_path, &Uri::from_static(uri)).map(|user| user.to_string())
        };
        let lock = "/api/v1/users/-7/lock";
        assert_eq!(user(Some("-7"), lock).as_deref(), Some("-7"));
        assert_eq!(user(Some("%2D7"), lock).as_deref(), Some("-7"));
        assert_eq!(user(Some("%zz"), lock), None);
        assert_eq!(user(None, "/a?x=1&user_id=%37").as_deref(), Some("7"));
        assert_eq!(user(None, "/a?user_id=07"), None);
        assert_eq!(user(None, "/a"), None);
    }

    #[test]
    fn few_refusals_have_a_line_in_one_second() {
        let began = Instant::now();
        let mut refusals = Few::NONE;
        let mut at = |ms| refusals.next(began + Duration::from_millis(ms));
        let written = Some(0);
        assert_eq!([at(0), at(1), at(2)], [written; 3]);
        assert_eq!([at(3), at(999)], [None, None]);
        assert_eq!([at(1000), at(1001)], [Some(2), written]);
    }

    #[test]
    fn a_long_method_is_cut() {
        assert_eq!(shown_method("BASELINE-CONTROL"), "BASELINE-CONTROL");
        assert_eq!(shown_method(&"M".repeat(60_000)).len(), MAX_METHOD);
    }

    #[test]
    fn the_hash_is_hmac_sha_1() {
        // RFC 2202, section 3, test case 2.
        let hash = |key: &str, text: &str| hash(key, text).unwrap();
        assert_eq!(
            hash("Jefe", "what do ya want for nothing?"),
            "effcdf6ae5eb2fa2"
        );
        assert_ne!(hash("a", "7"), hash("b", "7"));
        assert_eq!(hash(&"k".repeat(65), "7").len(), 16);
    }
}
