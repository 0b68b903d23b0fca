//! What belongs to one request and to nothing else.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use crate::action::AnyAction;
use crate::instance::Instance;
use crate::platform::redis::Redis;
use crate::platform::telemetry::{Telemetry, Timings};

/// One request's context. Clones are of the same request.
#[derive(Clone)]
pub(crate) struct RequestContext {
    /// The settings and connections of the component instance.
    pub(crate) instance: Arc<Instance>,
    /// Redis, on this request's account.
    pub(crate) redis: Redis,
    /// What is measured and told of the request.
    pub(crate) telemetry: Telemetry,
    /// The work under the lock.
    pub(crate) action: Rc<dyn AnyAction>,
}

impl RequestContext {
    /// The context of a request that began at `began` and whose own span has begun.
    pub(crate) fn new(
        began: Instant,
        instance: Arc<Instance>,
        telemetry: Telemetry,
        action: Rc<dyn AnyAction>,
    ) -> Self {
        Self {
            redis: instance.redis(began),
            instance,
            telemetry,
            action,
        }
    }

    /// How long the parts of the request took so far.
    pub(crate) fn timings(&self) -> Timings {
        self.telemetry.stopwatches.timings(self.redis.spent())
    }
}
