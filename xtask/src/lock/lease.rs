//! The lease over HTTP: `POST`, `PUT` and `DELETE` of a lock, and the meaning of their answers.
//!
//! We choose the token, so an acquisition whose answer was lost can be repeated: it then renews.

use std::fmt::Write as _;
use std::io::Read as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use ureq::http::{Request, Response};
use ureq::{Agent, Body};
use url::Url;

use super::Lock;

/// How long a call may take beyond the wait that it asks for.
const CALL_LIMIT: Duration = Duration::from_secs(5);

/// One lock of one user, and our token for it.
#[derive(Clone)]
pub(super) struct LeaseClient {
    agent: Agent,
    /// The lock's address, without parameters.
    url: String,
    /// The same for messages.
    shown: String,
    /// Our owner token.
    lock_token: String,
    /// The value of `Authorization`.
    authorization: Option<String>,
    expire: Duration,
}

/// A lease that we hold.
#[derive(Clone)]
pub(super) struct Lease {
    /// Greater than that of every earlier holder.
    pub(super) fencing_token: u64,
    /// Until then nobody else can hold the lock, by our clock. It is counted from before the call.
    pub(super) good_until: Instant,
}

/// The result of an acquisition.
pub(super) enum Acquisition {
    Lease(Lease),
    /// Somebody else holds it.
    Busy(String),
    /// No service, or a service that fails.
    Unavailable(String),
    Unauthorized(String),
    /// The request is invalid.
    Refused(String),
}

/// The result of a renewal.
pub(super) enum Renewal {
    Renewed(Lease),
    /// We no longer hold it.
    Lost(String),
    /// No clear answer.
    Unknown(String),
}

/// The result of a release.
pub(super) enum Release {
    Done,
    /// We no longer held it.
    NotHeld,
    Unknown(String),
}

impl LeaseClient {
    pub(super) fn new(lock: &Lock) -> anyhow::Result<Self> {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // The API never redirects. The token must not go elsewhere.
            .max_redirects(0)
            .max_redirects_will_error(false)
            // Calls are seconds apart: an idle connection would often be closed.
            .max_idle_connections(0)
            .build();
        let user = lock.user;
        let path = match &lock.name {
            Some(name) => format!("locks/{}", utf8_percent_encode(name, NON_ALPHANUMERIC)),
            None => "lock".to_owned(),
        };
        let at = |base: &Url| {
            let base = base.as_str().trim_end_matches('/');
            format!("{base}/api/v1/users/{user}/{path}")
        };
        Ok(Self {
            agent: config.new_agent(),
            url: at(&lock.url),
            shown: at(&without_login(&lock.url)),
            lock_token: random_token().context("/dev/urandom could not be read")?,
            authorization: lock.token.as_ref().map(|token| format!("Bearer {token}")),
            expire: lock.expire,
        })
    }

    /// Requests the lock. The service waits up to `wait` for it.
    pub(super) fn acquire(&self, wait: Duration) -> Acquisition {
        let expire = self.expire.as_secs_f64();
        let query = format!("?timeout={}&expire={expire}", wait.as_secs_f64());
        let sent = Instant::now();
        let mut answer = match self.call("POST", &query, wait + CALL_LIMIT) {
            Ok(answer) => answer,
            Err(error) => return Acquisition::Unavailable(error),
        };
        let status = answer.status().as_u16();
        if matches!(status, 200 | 201) {
            return match self.held(&mut answer, sent) {
                Some(held) => Acquisition::Lease(held),
                None => {
                    Acquisition::Unavailable(format!("{}: not an answer of edgelatch", self.shown))
                }
            };
        }
        let why = format!("{}: {}", self.shown, problem(&mut answer));
        match status {
            423 => Acquisition::Busy(why),
            401 => Acquisition::Unauthorized(why),
            400 | 404 | 422 => Acquisition::Refused(why),
            _ => Acquisition::Unavailable(why),
        }
    }

    /// Renews it for its full time to live. Waits up to `limit` for the answer.
    pub(super) fn renew(&self, limit: Duration) -> Renewal {
        let query = format!("?expire={}", self.expire.as_secs_f64());
        let sent = Instant::now();
        let mut answer = match self.call("PUT", &query, limit.min(CALL_LIMIT)) {
            Ok(answer) => answer,
            Err(error) => return Renewal::Unknown(error),
        };
        match answer.status().as_u16() {
            200 => match self.held(&mut answer, sent) {
                Some(held) => Renewal::Renewed(held),
                None => Renewal::Unknown("not an answer of edgelatch".to_owned()),
            },
            409 => Renewal::Lost(problem(&mut answer)),
            _ => Renewal::Unknown(problem(&mut answer)),
        }
    }

    /// Releases it. An unanswered call is repeated once. If the second one finds the lock gone, the
    /// first one has released it.
    pub(super) fn release(&self) -> Release {
        let mut why = String::new();
        for repeated in [false, true] {
            match self.call("DELETE", "", CALL_LIMIT) {
                Ok(answer) if answer.status() == 204 => return Release::Done,
                Ok(answer) if answer.status() == 409 && repeated => return Release::Done,
                Ok(answer) if answer.status() == 409 => return Release::NotHeld,
                Ok(mut answer) => why = problem(&mut answer),
                Err(error) => why = error,
            }
        }
        Release::Unknown(why)
    }

    fn call(&self, method: &str, query: &str, limit: Duration) -> Result<Response<Body>, String> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{query}", self.url))
            .header("lock-token", &self.lock_token);
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let request = request.body(()).map_err(|error| error.to_string())?;
        let request = self.agent.configure_request(request);
        let request = request.timeout_global(Some(limit)).build();
        let answer = self.agent.run(request);
        answer.map_err(|error| format!("{}: {error}", self.shown))
    }

    fn held(&self, answer: &mut Response<Body>, sent: Instant) -> Option<Lease> {
        Some(Lease {
            fencing_token: json(answer)?["fencing_token"].as_u64()?,
            good_until: sent + self.expire,
        })
    }
}

/// An address without the user and the password that it may have.
pub(super) fn without_login(url: &Url) -> Url {
    let mut url = url.clone();
    // An address with a host may have them, so they can be taken out.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url
}

fn json(answer: &mut Response<Body>) -> Option<Value> {
    serde_json::from_str(&answer.body_mut().read_to_string().ok()?).ok()
}

/// What a problem says, in short.
fn problem(answer: &mut Response<Body>) -> String {
    let status = answer.status().as_u16();
    let detail = json(answer).and_then(|problem| Some(problem["detail"].as_str()?.to_owned()));
    match detail {
        Some(detail) => format!("{status}, {detail}"),
        None => status.to_string(),
    }
}

/// 128 random bits, in hexadecimal.
fn random_token() -> std::io::Result<String> {
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().fold(String::new(), |mut token, byte| {
        // Writing to a string does not fail.
        let _ = write!(token, "{byte:02x}");
        token
    }))
}
