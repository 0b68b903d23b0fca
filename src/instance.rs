//! The composition root: what all requests of one component instance share, the settings and the
//! link to Redis, and how the parts are put together for a request. It holds nothing of any
//! request.
//!
//! The variables are read when an instance begins and again every few seconds, so a value rotated
//! through a variables provider takes effect without a restart, also in an instance that is never
//! idle.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::core::actions::Actions;
use crate::core::cache::JsonCache;
use crate::core::lock::Locks;
use crate::core::readiness::Readiness;
use crate::platform::config::{Config, Variables};
use crate::platform::redis::{Link, Redis};
use crate::platform::request_deadline::RequestDeadline;
use crate::platform::telemetry::{Telemetry, log};
use crate::types::keys::Keys;

/// How long variables count as current.
const REFRESH: Duration = Duration::from_secs(2);

/// How long variables that are wrong or can't be read are not read again: a provider is not asked
/// for each request, whoever sends it.
const RETRY: Duration = Duration::from_secs(1);

/// The settings and connections of this component instance.
pub(crate) struct Instance {
    /// The validated settings.
    pub(crate) config: Config,
    /// The keys of this service.
    pub(crate) keys: Keys,
    /// Whether actions can be carried out.
    pub(crate) readiness: Readiness,
    link: Arc<Link>,
    variables: Variables,
}

/// The last time that the variables were read.
struct Loaded {
    /// The instance, or what is wrong with the variables.
    outcome: Result<Arc<Instance>, String>,
    at: Instant,
}

static LOADED: Mutex<Option<Loaded>> = Mutex::new(None);

/// Whether this instance has had an `api_token`: then it never serves without one again. A secret
/// that vanished from its provider must not open the API.
static HAD_TOKEN: AtomicBool = AtomicBool::new(false);

/// Whether this instance has said that the API is open.
static SAID_OPEN: AtomicBool = AtomicBool::new(false);

fn loaded() -> MutexGuard<'static, Option<Loaded>> {
    LOADED.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Instance {
    /// The instance that a request of `now` belongs to, loaded on first use.
    ///
    /// # Errors
    /// What is wrong with the variables, for the log: a sentence for each, without any value.
    pub(crate) async fn current(now: Instant) -> Result<Arc<Self>, String> {
        if let Some(outcome) = recent(now) {
            return outcome;
        }
        let read = if loaded().is_none() {
            Variables::read_at_once().await
        } else {
            Variables::read().await
        };
        let before = loaded().take().and_then(|before| before.outcome.ok());
        let outcome = match (read, before) {
            (Ok(variables), Some(before)) if before.variables == variables => Ok(before),
            (Ok(variables), before) => Self::load(variables, before).map(Arc::new),
            // A provider that is out of reach for a while is no reason to stop serving.
            (Err(_), Some(before)) => Ok(before),
            (Err(error), None) => Err(error),
        };
        *loaded() = Some(Loaded {
            outcome: outcome.clone(),
            at: Instant::now(),
        });
        outcome
    }

    fn load(variables: Variables, before: Option<Arc<Self>>) -> Result<Self, String> {
        let config = Config::from_variables(|name| variables.get(name)).map_err(|faults| {
            let sentences: Vec<_> = faults.iter().map(ToString::to_string).collect();
            sentences.join("; ")
        })?;
        if config.api_token.is_some() {
            HAD_TOKEN.store(true, Ordering::Relaxed);
        } else if HAD_TOKEN.load(Ordering::Relaxed) {
            return Err("variable `api_token` was set and is now empty: \
                set it, or restart to open the API"
                .to_owned());
        } else if !SAID_OPEN.swap(true, Ordering::Relaxed) {
            log::warning("the API is open: without api_token, whoever reaches it may use it");
        }
        // Requests that came together each read the variables; the first of them brings the link.
        let link = match before {
            Some(before) if before.config.redis_address == config.redis_address => {
                Arc::clone(&before.link)
            }
            _ => Arc::new(Link::new(config.redis_address.clone())),
        };
        Ok(Self {
            keys: Keys::new(config.key_prefix.clone()),
            config,
            readiness: Readiness::default(),
            link,
            variables,
        })
    }

    /// A handle on Redis for a request that began at `began`.
    pub(crate) fn redis(&self, began: Instant) -> Redis {
        let Config {
            request_limit,
            redis_timeout,
            ..
        } = self.config;
        let deadline = RequestDeadline::new(began, request_limit, redis_timeout);
        Redis::new(Arc::clone(&self.link), redis_timeout).ending_by(deadline)
    }

    /// Locks, on the account of one request.
    pub(crate) fn locks(&self, redis: &Redis) -> Locks {
        Locks::new(redis.clone(), self.config.max_hold)
    }

    /// The cache, on the account of one request.
    pub(crate) fn cache(&self, redis: &Redis) -> JsonCache {
        JsonCache::new(redis.clone(), self.keys.clone())
    }

    /// Actions, on the account of one request.
    pub(crate) fn actions(&self, redis: &Redis, telemetry: &Telemetry) -> Actions {
        Actions {
            locks: self.locks(redis),
            keys: self.keys.clone(),
            telemetry: telemetry.clone(),
            idempotency_expire: self.config.idempotency_expire,
        }
    }
}

/// What is loaded, unless it is this request's turn to read the variables again.
fn recent(now: Instant) -> Option<Result<Arc<Instance>, String>> {
    let mut loaded = loaded();
    let loaded = loaded.as_mut()?;
    let current_for = if loaded.outcome.is_ok() {
        REFRESH
    } else {
        RETRY
    };
    if now.saturating_duration_since(loaded.at) >= current_for {
        // A provider may be far away: the others go on with what is loaded while one request reads.
        loaded.at = now;
        return None;
    }
    Some(loaded.outcome.clone())
}
