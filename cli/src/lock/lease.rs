//! The lease over HTTP: `POST`, `PUT` and `DELETE` of a lock, and the meaning of their answers.
//!
//! We choose the token, so an acquisition whose answer was lost can be repeated: it then renews.

use std::fmt::Write as _;
use std::io::Read as _;
use std::time::{Duration, Instant};

use ureq::http::HeaderName;

use super::Lock;
use crate::answer::Answer;
use crate::client::{CALL_LIMIT, Call, Client, LOCK_OWNER};
use crate::exit::{Code, Failure, Reach};
use crate::service::decimal;

const LOCK_TOKEN: HeaderName = HeaderName::from_static("lock-token");

/// How long a service that does not answer may take to take back a request that may have had the
/// lock.
pub(super) const WITHDRAW_LIMIT: Duration = Duration::from_secs(1);

/// How long we try to give the lock back where the service answers, or the connection breaks.
const GIVE_BACK_LIMIT: Duration = Duration::from_secs(10);

/// The longest pause between two tries.
const GIVE_BACK_PAUSE: Duration = Duration::from_millis(500);

/// After that Redis has carried out all that came before a release: `redis_timeout`, which is a
/// second by default, and another second.
pub(super) const SETTLED: Duration = Duration::from_secs(2);

/// One lock of one user, and our token for it.
#[derive(Clone)]
pub(super) struct LeaseClient {
    client: Client,
    /// Our owner token.
    lock_token: String,
    /// Who we are, for others.
    owner: Option<String>,
    expire: Duration,
}

/// A lease that we hold.
#[derive(Clone)]
pub(super) struct Lease {
    /// Greater than that of every earlier holder.
    pub(super) fencing_token: u64,
    /// Until then nobody else can hold the lock, by our clock. It is counted from before the call.
    pub(super) good_until: Instant,
    /// By then it has expired, by our clock. It is counted from after the call.
    pub(super) gone_at: Instant,
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
    NotHeld(String),
    Unknown(String),
}

impl LeaseClient {
    pub(super) fn new(lock: &Lock) -> Result<Self, Failure> {
        let no_random = |error| Failure::new(Code::NoInput, format!("/dev/urandom: {error}"));
        Ok(Self {
            client: Client::of_lock(&lock.service, lock.lock.name.as_deref())?,
            lock_token: random_token().map_err(no_random)?,
            owner: lock.owner.clone(),
            expire: lock.expire,
        })
    }

    /// Requests the lock. The service waits up to `wait` for it. The answer may take
    /// `limit` longer.
    pub(super) fn acquire(&self, wait: Duration, limit: Duration) -> Result<Lease, Failure> {
        let unavailable = |why| Failure::new(Code::Unavailable, why);
        let expire = decimal(self.expire);
        let query = format!("?timeout={}&expire={expire}", decimal(wait));
        let sent = Instant::now();
        let answer = self.call("POST", query, wait + limit)?;
        if !matches!(answer.status, 200 | 201) {
            return Err(self.client.failure(&answer));
        }
        let held = self.held(&answer, sent).map_err(unavailable)?;
        if sent.elapsed() < self.expire / 10 {
            return Ok(held);
        }
        // We do not know how much of the call was the wait, so how long the lease is good.
        let why = match self.renew(limit) {
            Renewal::Renewed(held) if Instant::now() < held.good_until => return Ok(held),
            Renewal::Renewed(_) => format!("{}: the answer came too late", self.client.url()),
            // Nobody else need hold it: the answer took longer than the lease.
            Renewal::Lost(why) => why,
            Renewal::Unknown(why) => return Err(unavailable(why)),
        };
        let why = format!("the lock was lost before the command began: {why}");
        Err(unavailable(why))
    }

    /// Renews it for its full time to live. Waits up to `limit` for the answer.
    pub(super) fn renew(&self, limit: Duration) -> Renewal {
        let query = format!("?expire={}", decimal(self.expire));
        let sent = Instant::now();
        let answer = match self.call("PUT", query, limit.min(CALL_LIMIT)) {
            Ok(answer) => answer,
            Err(failure) => return Renewal::Unknown(failure.why),
        };
        match answer.status {
            200 => match self.held(&answer, sent) {
                Ok(held) => Renewal::Renewed(held),
                Err(why) => Renewal::Unknown(why),
            },
            409 if answer.is_problem() => Renewal::Lost(self.client.why(&answer)),
            _ => Renewal::Unknown(self.client.why(&answer)),
        }
    }

    /// Releases it. What fails and may pass is tried again, but not for longer than the lease lives.
    /// `pause` says whether to go on.
    pub(super) fn release(&self, held: &Lease, mut pause: impl FnMut(Duration) -> bool) -> Release {
        let began = Instant::now();
        let until = held.gone_at.min(began + GIVE_BACK_LIMIT);
        // If a later try finds the lock gone, an earlier one has released it, or it has expired.
        let mut is_tried = false;
        let mut asked = began;
        loop {
            let left = until.saturating_duration_since(asked);
            let limit = left.clamp(WITHDRAW_LIMIT, CALL_LIMIT);
            let why = match self.call("DELETE", String::new(), limit) {
                Ok(answer) if answer.status == 204 => return Release::Done,
                Ok(answer) if answer.status == 409 && answer.is_problem() => {
                    let is_ours = is_tried || (asked > began && asked >= held.good_until);
                    return if is_ours {
                        Release::Done
                    } else {
                        Release::NotHeld(self.client.why(&answer))
                    };
                }
                Ok(answer) if answer.may_pass() => {
                    is_tried = true;
                    self.client.why(&answer)
                }
                Ok(answer) => return Release::Unknown(self.client.why(&answer)),
                Err(failure) => {
                    is_tried |= failure.reach != Reach::Unsent;
                    failure.why
                }
            };
            let left = GIVE_BACK_PAUSE.min(self.expire / 10);
            if Instant::now() + left >= until || !pause(left) {
                return Release::Unknown(why);
            }
            asked = Instant::now();
        }
    }

    /// Gives up a request for the lock, once, whether it waits or was carried out.
    pub(super) fn withdraw(&self) {
        // What is left expires.
        let _ = self.call("DELETE", String::new(), WITHDRAW_LIMIT);
    }

    /// Takes back what failed and may have been carried out, or may still be: Redis may have it
    /// when the service says 503 of it. It is released until there is an answer, and once more when
    /// that is settled, but not for longer than the lock lives. `pause` says whether to go on.
    ///
    /// A service that does not answer at all is asked once.
    pub(super) fn take_back(&self, reach: Reach, mut pause: impl FnMut(Duration) -> bool) {
        let limit = match reach {
            Reach::Unsent => return,
            Reach::Sent => WITHDRAW_LIMIT,
            Reach::Answered => CALL_LIMIT / 2,
        };
        let until = Instant::now() + self.expire.min(GIVE_BACK_LIMIT);
        let mut is_confirming = false;
        loop {
            let asked = Instant::now();
            let left = match self.call("DELETE", String::new(), limit) {
                Ok(answer) if answer.status == 204 || is_refused(&answer) => {
                    if is_confirming {
                        return;
                    }
                    is_confirming = true;
                    SETTLED
                }
                Ok(_) => GIVE_BACK_PAUSE,
                Err(_) if asked.elapsed() >= limit => return,
                Err(_) => GIVE_BACK_PAUSE,
            };
            if Instant::now() + left >= until || !pause(left) {
                return;
            }
        }
    }

    fn call(
        &self,
        method: &'static str,
        query: String,
        limit: Duration,
    ) -> Result<Answer, Failure> {
        let mut headers = vec![(LOCK_TOKEN, self.lock_token.as_str())];
        if let (Some(owner), "POST") = (&self.owner, method) {
            headers.push((LOCK_OWNER, owner));
        }
        self.client.send(&Call {
            method,
            query,
            headers,
            body: None,
            limit,
        })
    }

    fn held(&self, answer: &Answer, sent: Instant) -> Result<Lease, String> {
        let body = answer.json().unwrap_or_default();
        match body["fencing_token"].as_u64() {
            Some(fencing_token) => Ok(Lease {
                fencing_token,
                good_until: sent + self.expire,
                gone_at: Instant::now() + self.expire,
            }),
            None => Err(format!("{}: not an answer of edgelatch", self.client.url())),
        }
    }
}

/// Whether the service refuses for good, and not Redis or a proxy for now.
fn is_refused(answer: &Answer) -> bool {
    answer.is_problem() && answer.status < 500
}

/// 128 random bits, in hexadecimal.
pub(super) fn random_token() -> std::io::Result<String> {
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().fold(String::new(), |mut token, byte| {
        // Writing to a string does not fail.
        let _ = write!(token, "{byte:02x}");
        token
    }))
}
