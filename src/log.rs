//! The log: one line of JSON on stderr for a request, its failure's cause included.
//!
//! Owns what stands in a line, and what may not: no path, since it names users, no header, no body, no parameter. A user is a keyed
//! hash, and left out without a key: there are few enough ids to try them all on a hash that anybody can compute.

use std::io::Write as _;
use std::time::{Duration, Instant, SystemTime};

use http::{HeaderMap, Method, StatusCode, Uri, header};
use serde::Serialize;
use sha1_smol::Sha1;

use crate::keys::UserId;
use crate::problem::Problem;
use crate::request::{RequestId, Timing};
use crate::router::Router;

/// What is logged.
#[derive(Clone, Copy)]
pub struct Log<'a> {
    /// Whether each request has a line, or only one whose failure has a cause to tell.
    pub requests: bool,
    /// What users are hashed with; without it they are left out.
    pub key: Option<&'a str>,
    /// What tells the route of a path.
    pub(crate) router: Option<&'a Router>,
}

impl Log<'_> {
    /// Causes alone, of requests whose routes are not known.
    pub const CAUSES: Self = Self {
        requests: false,
        key: None,
        router: None,
    };

    /// The route of a request for `uri`, with its parameters in braces.
    pub(crate) fn route(&self, uri: &Uri) -> Option<&'static str> {
        let route = self.router?.find(uri.path())?;
        Some(route.template)
    }

    /// The user whom a request for `uri` is about, hashed; `None` without a key.
    pub(crate) fn user(&self, uri: &Uri) -> Option<String> {
        hash(self.key?, &user_of(uri, self.route(uri)?)?)
    }
}

/// What a line says of the request, whatever its answer.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) id: RequestId,
    trace_id: Option<Box<str>>,
    began: Instant,
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
}

impl Asked {
    pub(crate) fn new(method: Method, uri: Uri, id: RequestId, headers: &HeaderMap) -> Self {
        Self {
            trace_id: trace_id(headers).map(Into::into),
            method,
            uri,
            id,
            began: Instant::now(),
        }
    }

    /// Writes the line of this request, if it has one.
    pub(crate) fn answered(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        problem: Option<&Problem>,
        timing: Timing,
        log: Log<'_>,
    ) {
        let cause = problem.and_then(|problem| problem.cause.as_deref());
        if !log.requests && cause.is_none() {
            return;
        }
        let line = Line {
            time: now(),
            request_id: self.id.as_str(),
            trace_id: self.trace_id.as_deref(),
            method: self.method.as_str(),
            route: log.route(&self.uri),
            user: log.user(&self.uri),
            status: status.as_u16(),
            outcome: outcome(status, headers, problem),
            total_ms: ms(self.began.elapsed()),
            wait_ms: ms(timing.wait),
            redis_ms: ms(timing.redis),
            action_ms: ms(timing.action),
            cause: cause.map(one_line),
        };
        write(&line);
    }
}

/// A line for what has failed behind a request's answer.
#[derive(Serialize)]
struct Behind<'a> {
    time: String,
    request_id: &'a str,
    outcome: &'static str,
    cause: String,
}

/// Writes a line for what has failed behind the answer of this request, whatever is said of requests.
pub(crate) fn failed_behind(id: &RequestId, outcome: &'static str, cause: &str) {
    write(&Behind {
        time: now(),
        request_id: id.as_str(),
        outcome,
        cause: one_line(cause),
    });
}

fn now() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}

fn write(line: &impl Serialize) {
    if let Ok(mut line) = serde_json::to_vec(line) {
        line.push(b'\n');
        // In one piece: each is a call of the host. There is nobody to tell of a stderr that is closed.
        let _ = std::io::stderr().write_all(&line);
    }
}

/// What became of a request: the problem that ended it, or what an answer with this status and these headers says.
pub(crate) fn outcome(
    status: StatusCode,
    headers: &HeaderMap,
    problem: Option<&Problem>,
) -> &'static str {
    if let Some(problem) = problem {
        problem.slug
    } else if headers.contains_key("idempotent-replayed") {
        "replayed"
    } else if status == StatusCode::OK && headers.contains_key(header::RETRY_AFTER) {
        // Of `attempt-action`, which answers 200 where it has not had the lock.
        "lock-held"
    } else {
        "success"
    }
}

/// The user whom a request is about, as its path or its query says.
fn user_of(uri: &Uri, route: &str) -> Option<String> {
    let segments = route.split('/').zip(uri.path().split('/'));
    let mut in_path = segments.filter(|(name, _)| *name == "{user_id}");
    let user = match in_path.next() {
        Some((_, segment)) => segment.to_owned(),
        None => {
            let mut parameters = form_urlencoded::parse(uri.query()?.as_bytes());
            let (_, user) = parameters.find(|(name, _)| name == "user_id")?;
            user.into_owned()
        }
    };
    UserId::parse(&user).map(|user| user.to_string())
}

/// The trace that a request belongs to (W3C Trace Context, `traceparent`: version, trace id, parent id, flags).
pub(crate) fn trace_id(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get("traceparent")?.to_str().ok()?;
    let mut parts = value.split('-');
    let (version, trace) = (parts.next()?, parts.next()?);
    let hexadecimal = |text: &str| {
        let mut bytes = text.bytes();
        bytes.all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let valid = version.len() == 2
        && version != "ff"
        && hexadecimal(version)
        && trace.len() == 32
        && hexadecimal(trace)
        && trace.bytes().any(|byte| byte != b'0');
    valid.then_some(trace)
}

/// The first 64 bits of HMAC-SHA-1 (RFC 2104), in hexadecimal.
fn hash(key: &str, user: &str) -> Option<String> {
    const BLOCK: usize = 64;
    let mut block = [0_u8; BLOCK];
    let key = key.as_bytes();
    let digest = Sha1::from(key).digest().bytes();
    let key = if key.len() > BLOCK { &digest } else { key };
    block.get_mut(..key.len())?.copy_from_slice(key);
    let mut inner = Sha1::from(block.map(|byte| byte ^ 0x36));
    inner.update(user.as_bytes());
    let mut outer = Sha1::from(block.map(|byte| byte ^ 0x5c));
    outer.update(&inner.digest().bytes());
    let mut hash = outer.digest().to_string();
    hash.truncate(16);
    Some(hash)
}

/// In milliseconds, to the microsecond.
fn ms(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

/// What others say may have several lines, the parser of Redis' replies for one.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_user_is_in_the_path_or_in_the_query() {
        let user = |uri: &'static str, route| user_of(&Uri::from_static(uri), route);
        let lock = "/api/v1/users/{user_id}/lock";
        assert_eq!(user("/api/v1/users/-7/lock", lock).as_deref(), Some("-7"));
        assert_eq!(user("/api/v1/users/x/lock", lock), None);
        assert_eq!(user("/a?x=1&user_id=%37", "/a").as_deref(), Some("7"));
        assert_eq!(user("/a?user_id=07", "/a"), None);
        assert_eq!(user("/a", "/a"), None);
    }

    #[test]
    fn a_trace_is_what_its_specification_says() {
        let trace = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", HeaderValue::from_static(value));
            trace_id(&headers).map(str::to_owned)
        };
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        let valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(trace(valid).as_deref(), Some(id));
        for wrong in [
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "4bf92f3577b34da6a3ce929d0e0e4736",
            "",
        ] {
            assert_eq!(trace(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_hash_is_hmac_sha_1() {
        // RFC 2202, section 3, test cases 2 and 6.
        let hash = |key: &str, text: &str| hash(key, text).unwrap();
        assert_eq!(
            hash("Jefe", "what do ya want for nothing?"),
            "effcdf6ae5eb2fa2"
        );
        assert_ne!(hash("a", "7"), hash("b", "7"));
        let long = "k".repeat(65);
        assert_eq!(hash(&long, "7").len(), 16);
    }

    #[test]
    fn a_cause_is_one_line() {
        let cause = "Parse error at 1\nExpected integer\r\n";
        assert_eq!(one_line(cause), "Parse error at 1 Expected integer");
    }
}
