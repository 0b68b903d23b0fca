//! When instances are made, reused and dropped: the `ProxyHandler` of wasmtime-wasi-http, with
//! Spin's rules.
//!
//! Follows Spin's `crates/trigger-http/src/server.rs` from `HttpWorkerExpiration` on, and
//! `wasip3.rs`.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use opentelemetry::trace::SpanContext;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;
use wasmtime::component::{GuestTaskId, InstancePre};
use wasmtime::{Store, StoreContextMut};
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, Proxy, ProxyHandler, ShouldAccept, ViewFn, WorkerExpiration,
    WorkerState, WorkerStatus,
};
use wasmtime_wasi_http::p3::WasiHttpView as _;
use wasmtime_wasi_http::p3::bindings::Service;

use super::guest::{ComponentContext, Guest};
use crate::config::ranges::ValueOrRange;
use crate::log::FewLines;
use crate::net::http_client::Body;

/// Instances that ended with an error.
static TRAPPED: FewLines = FewLines::new();

/// Ten years. Tokio cannot add much longer times to the current one.
const NEVER: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 10);

/// How long an instance is used.
#[derive(Clone, Copy)]
pub(crate) struct Reuse {
    /// Requests in its life.
    pub(crate) count: ValueOrRange<usize>,
    /// Requests at the same time.
    pub(crate) concurrent: ValueOrRange<usize>,
    /// How long it waits for another request.
    pub(crate) idle_timeout: ValueOrRange<Duration>,
    /// How long a request may take; `None` is no limit.
    pub(crate) request_timeout: Option<ValueOrRange<Duration>>,
}

/// Passes requests to the instances of one component.
pub(crate) struct Handler(ProxyHandler<State>);

impl Handler {
    pub(crate) fn new(pre: InstancePre<Guest>, context: ComponentContext, reuse: Reuse) -> Self {
        Self(ProxyHandler::new(State {
            pre,
            context,
            reuse,
        }))
    }

    /// Passes a request to an idle instance or to a new one. Its spans are children of `outer`.
    /// `place` is held until the component has responded, also if the caller has gone by then. What
    /// the component does after its response is not counted.
    pub(crate) async fn handle(
        &self,
        request: http::Request<Body>,
        outer: Option<SpanContext>,
        place: Arc<OwnedSemaphorePermit>,
    ) -> wasmtime::Result<wasmtime_wasi_http::handler::Response> {
        let request = request.map(|body| {
            body.map_err(wasmtime_wasi_http::handler::ErrorCode::from)
                .boxed_unsync()
        });
        self.0.handle(Accepted { outer, place }, request).await
    }
}

/// What goes with a request to its instance.
struct Accepted {
    /// The host's span of the request.
    outer: Option<SpanContext>,
    place: Arc<OwnedSemaphorePermit>,
}

struct State {
    pre: InstancePre<Guest>,
    context: ComponentContext,
    reuse: Reuse,
}

impl HandlerState for State {
    type StoreData = Guest;
    type WorkerExpiration = Expiration;
    type WorkerState = Limits;

    async fn instantiate(&self) -> wasmtime::Result<Instance<Guest, Expiration, Limits>> {
        let guest = self
            .context
            .new_guest()
            .map_err(|error| wasmtime::format_err!("{error:#}"))?;
        let mut store = Store::new(self.pre.engine(), guest);
        store.limiter(|guest| &mut guest.limits);
        // Never reached, since no thread advances the epoch. Without it the first check would trap.
        store.set_epoch_deadline(u64::MAX / 2);
        let instance = self.pre.instantiate_async(&mut store).await?;
        let proxy = Proxy::P3(Service::new(&mut store, &instance)?);
        let request_timeout = self.reuse.request_timeout.map_or(NEVER, ValueOrRange::draw);
        Ok(Instance {
            store,
            proxy,
            view: ViewFn::P3(Guest::http),
            expiration: Expiration {
                idle_timeout: self.reuse.idle_timeout.draw(),
                request_timeout,
                sleep: Box::pin(tokio::time::sleep(NEVER)),
            },
            state: Limits {
                request_timeout,
                count: self.reuse.count.draw(),
                concurrent: self.reuse.concurrent.draw(),
            },
        })
    }
}

/// When an instance is dropped.
struct Expiration {
    idle_timeout: Duration,
    request_timeout: Duration,
    sleep: Pin<Box<Sleep>>,
}

impl WorkerExpiration for Expiration {
    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        status: WorkerStatus,
        start: Instant,
    ) -> Poll<()> {
        let limit = match status {
            WorkerStatus::Idle => self.idle_timeout,
            // As in Spin, work after the response has the time limit of a request.
            WorkerStatus::Requests | WorkerStatus::PostReturn => self.request_timeout,
        };
        let Some(deadline) = start.checked_add(limit) else {
            return Poll::Pending;
        };
        let deadline = tokio::time::Instant::from_std(deadline);
        if deadline != self.sleep.deadline() {
            self.sleep.as_mut().reset(deadline);
        }
        ready!(self.sleep.as_mut().poll(cx));
        Poll::Ready(())
    }
}

/// How many requests an instance accepts, and for how long each.
struct Limits {
    request_timeout: Duration,
    count: usize,
    concurrent: usize,
}

impl WorkerState for Limits {
    type StoreData = Guest;
    type RequestId = Accepted;

    fn should_accept_request(&self, concurrent: usize, total: usize) -> ShouldAccept {
        if total >= self.count {
            ShouldAccept::Never
        } else if concurrent >= self.concurrent {
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

    fn on_request_start(
        &self,
        mut store: StoreContextMut<'_, Guest>,
        Accepted { outer, place }: Accepted,
        task: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + Sync + 'static>> {
        store.data_mut().spans.set_outer(task, outer);
        let expiration = tokio::time::sleep(self.request_timeout);
        // Dropped when the component has responded.
        Box::pin(async move {
            expiration.await;
            drop(place);
        })
    }

    fn drop(&self, store: Store<Guest>, result: wasmtime::Result<()>) {
        if let Err(error) = result {
            // A trap. The text has the component's stack, for its author.
            TRAPPED.write(format_args!(
                "An instance of component {:?} ended with an error: {error:#}",
                store.data().component()
            ));
        }
    }
}
