//! The lease on the wire: `POST`, `PUT` and `DELETE` of a lock, and what their answers mean.
//!
//! The token is chosen here, so that an acquisition whose answer was lost can be repeated: it then renews.

use std::fmt::Write as _;
use std::io::Read as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use ureq::http::{Request, Response};
use ureq::{Agent, Body};

use super::Lock;

/// How long a call may take beyond what it was asked to wait.
const CALL_LIMIT: Duration = Duration::from_secs(5);

/// One lock of one user, and the token that is its owner's.
#[derive(Clone)]
pub(super) struct LeaseClient {
    agent: Agent,
    /// Of the lock, without parameters.
    url: String,
    /// The lock's owner.
    lock_token: String,
    /// The value of `Authorization`.
    authorization: Option<String>,
    expire: Duration,
}

/// A lock that is ours.
#[derive(Clone)]
pub(super) struct Lease {
    /// Greater than that of every earlier holder.
    pub(super) fencing_token: u64,
    /// Until then, by our own clock, nobody else has it: counted from before the call was sent.
    pub(super) good_until: Instant,
}

/// What came of asking for it.
pub(super) enum Acquisition {
    Lease(Lease),
    /// Somebody else's.
    Busy(String),
    /// No service, or none that could say.
    Unavailable(String),
    Unauthorized(String),
    /// What was asked for can't be.
    Refused(String),
}

/// What came of renewing it.
pub(super) enum Renewal {
    Renewed(Lease),
    /// Not ours any more.
    Lost(String),
    /// No answer that says either.
    Unknown(String),
}

/// What came of releasing it.
pub(super) enum Release {
    Done,
    /// It was not ours any more.
    NotHeld,
    Unknown(String),
}

impl LeaseClient {
    pub(super) fn new(lock: &Lock) -> anyhow::Result<Self> {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // An API answers where it is asked; a token is not carried elsewhere.
            .max_redirects(0)
            .max_redirects_will_error(false)
            // Seconds lie between two calls: a connection that is kept would often be a closed one.
            .max_idle_connections(0)
            .build();
        let base = lock.url.as_str().trim_end_matches('/');
        let user = lock.user;
        let path = match &lock.name {
            Some(name) => format!("locks/{}", utf8_percent_encode(name, NON_ALPHANUMERIC)),
            None => "lock".to_owned(),
        };
        Ok(Self {
            agent: config.new_agent(),
            url: format!("{base}/api/v1/users/{user}/{path}"),
            lock_token: random_token().context("no random numbers could be read")?,
            authorization: lock.token.as_ref().map(|token| format!("Bearer {token}")),
            expire: lock.expire,
        })
    }

    /// Asks for the lock; the service waits for it as long as `wait`.
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
                None => Acquisition::Unavailable(format!("{}: not edgelatch's answer", self.url)),
            };
        }
        let why = format!("{}: {}", self.url, problem(&mut answer));
        match status {
            423 => Acquisition::Busy(why),
            401 => Acquisition::Unauthorized(why),
            400 | 404 | 422 => Acquisition::Refused(why),
            _ => Acquisition::Unavailable(why),
        }
    }

    /// Renews it for its whole time; the answer is waited for as long as `limit`.
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
                None => Renewal::Unknown("not edgelatch's answer".to_owned()),
            },
            409 => Renewal::Lost(problem(&mut answer)),
            _ => Renewal::Unknown(problem(&mut answer)),
        }
    }

    /// Gives it back. A call that is not answered is repeated once; if the second one finds the lock gone, the first has done it.
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
        answer.map_err(|error| format!("{}: {error}", self.url))
    }

    fn held(&self, answer: &mut Response<Body>, sent: Instant) -> Option<Lease> {
        Some(Lease {
            fencing_token: json(answer)?["fencing_token"].as_u64()?,
            good_until: sent + self.expire,
        })
    }
}

fn json(answer: &mut Response<Body>) -> Option<Value> {
    serde_json::from_str(&answer.body_mut().read_to_string().ok()?).ok()
}

/// What an answer that is no success says of itself.
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
