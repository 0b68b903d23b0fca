//! What all requests of one component instance share: the settings, the link to Redis, the router. Nothing of any request.
//!
//! The variables are read when an instance begins and again every few seconds, so that a value rotated through a
//! variables provider takes effect without a restart, also in an instance that is never idle.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::future::join_all;
use spin_sdk::variables;

use bindings::wasi::config::store::get_all;

use crate::config::{Config, VARIABLES};
use crate::json_cache::JsonCache;
use crate::keys::Keys;
use crate::lock::Locks;
use crate::log::Log;
use crate::redis::{Link, Redis};
use crate::router::Router;

/// What the SDK has not, generated.
mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "configuration", generate_all });
}

/// How long variables are taken to be what they were.
const REFRESH: Duration = Duration::from_secs(2);

/// The settings and connections of this component instance.
pub(crate) struct Instance {
    /// The validated settings.
    pub(crate) config: Config,
    /// The keys of this service.
    pub(crate) keys: Keys,
    link: Arc<Link>,
    router: Router,
    variables: Variables,
}

struct Loaded {
    instance: Arc<Instance>,
    at: Instant,
}

static LOADED: Mutex<Option<Loaded>> = Mutex::new(None);

fn loaded() -> MutexGuard<'static, Option<Loaded>> {
    LOADED.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Instance {
    /// The instance that this request belongs to, loaded on first use.
    ///
    /// # Errors
    /// What is wrong with the variables, for the log: a sentence for each, without any value.
    pub(crate) async fn current() -> Result<Arc<Self>, String> {
        if let Some(instance) = recent() {
            return Ok(instance);
        }
        let read = if loaded().is_none() {
            first_variables()
        } else {
            read_variables().await
        };
        let before = loaded().take();
        let instance = match (read, before) {
            (Ok(variables), Some(before)) if before.instance.variables == variables => {
                before.instance
            }
            (Ok(variables), before) => Arc::new(Self::load(variables, before)?),
            // A provider that is out of reach for a while is no reason to stop serving.
            (Err(_), Some(before)) => before.instance,
            (Err(error), None) => return Err(error),
        };
        *loaded() = Some(Loaded {
            instance: Arc::clone(&instance),
            at: Instant::now(),
        });
        Ok(instance)
    }

    fn load(variables: Variables, before: Option<Loaded>) -> Result<Self, String> {
        let lookup = |name| {
            let index = VARIABLES.iter().position(|variable| *variable == name)?;
            variables.get(index).cloned().flatten()
        };
        let config = Config::from_variables(lookup).map_err(|faults| {
            let sentences: Vec<_> = faults.iter().map(ToString::to_string).collect();
            sentences.join("; ")
        })?;
        // Requests that came together each read the variables; the first of them brings the link that all use.
        let link = match before {
            Some(before) if before.instance.config.redis_address == config.redis_address => {
                Arc::clone(&before.instance.link)
            }
            _ => Arc::new(Link::new(config.redis_address.clone())),
        };
        Ok(Self {
            keys: Keys::new(config.key_prefix.clone()),
            config,
            link,
            router: Router::new().map_err(|error| error.to_string())?,
            variables,
        })
    }

    /// A handle on Redis for one request.
    pub(crate) fn redis(&self) -> Redis {
        Redis::new(Arc::clone(&self.link), self.config.redis_timeout)
    }

    /// Locks, on the account of one request.
    pub(crate) fn locks(&self, redis: &Redis) -> Locks {
        Locks::new(redis.clone(), self.config.max_hold)
    }

    /// The cache, on the account of one request.
    pub(crate) fn cache(&self, redis: &Redis) -> JsonCache {
        JsonCache::new(redis.clone(), self.keys.clone())
    }

    /// What its requests log.
    pub(crate) fn log(&self) -> Log<'_> {
        Log {
            requests: self.config.log_requests,
            key: self.config.log_key.as_deref(),
            router: Some(&self.router),
        }
    }

    /// The routes.
    pub(crate) fn router(&self) -> &Router {
        &self.router
    }
}

/// What is loaded, unless it is this request's turn to read the variables again.
fn recent() -> Option<Arc<Instance>> {
    let mut loaded = loaded();
    let loaded = loaded.as_mut()?;
    if loaded.at.elapsed() >= REFRESH {
        // A provider may be far away: the others go on with what there is while one request reads.
        loaded.at = Instant::now();
        return None;
    }
    Some(Arc::clone(&loaded.instance))
}

/// All variables in the order of [`VARIABLES`]; `None` for one that `spin.toml` does not give to the component.
type Variables = Vec<Option<String>>;

/// The variables, for an instance that has none yet: in one call of the host instead of one for each. The whole instance waits for it,
/// but has nothing else to do.
fn first_variables() -> Result<Variables, String> {
    let all = get_all().map_err(|error| format!("the variables could not be read: {error}"))?;
    let mut variables = vec![None; VARIABLES.len()];
    for (name, value) in all {
        let place = VARIABLES.iter().position(|variable| *variable == name);
        if let Some(variable) = place.and_then(|place| variables.get_mut(place)) {
            *variable = Some(value);
        }
    }
    Ok(variables)
}

/// The variables, for an instance at work: a provider may be far away, and other requests go on meanwhile.
async fn read_variables() -> Result<Variables, String> {
    // All at once: each read may be a round trip.
    let reads = VARIABLES.iter().map(|name| async move {
        match variables::get(name).await {
            Ok(value) => Ok(Some(value)),
            Err(variables::Error::Undefined(_)) => Ok(None),
            Err(error) => Err(format!("variable `{name}` could not be read: {error}")),
        }
    });
    join_all(reads).await.into_iter().collect()
}
