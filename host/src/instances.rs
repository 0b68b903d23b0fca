//! When instances are made, reused and dropped: the `ProxyHandler` of wasmtime-wasi-http, driven as Spin drives it.
//!
//! Follows Spin's `crates/trigger-http/src/server.rs` from `HttpWorkerExpiration` on, and `wasip3.rs`.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use opentelemetry::trace::SpanContext;
use tokio::time::Sleep;
use wasmtime::component::{GuestTaskId, InstancePre};
use wasmtime::{Store, StoreContextMut};
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, Proxy, ProxyHandler, ShouldAccept, ViewFn, WorkerExpiration,
    WorkerState, WorkerStatus,
};
use wasmtime_wasi_http::p3::WasiHttpView as _;
use wasmtime_wasi_http::p3::bindings::Service;
use wasmtime_wasi_http::p3::bindings::http::types::ErrorCode;

use crate::guest::{Guest, Template};
use crate::ranges::Choice;

/// Far enough away to be never, and near enough for tokio to add it to now.
const NEVER: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 10);

/// How long an instance is used.
#[derive(Clone, Copy)]
pub(crate) struct Reuse {
    /// Requests in turn.
    pub(crate) count: Choice<usize>,
    /// Requests at once.
    pub(crate) concurrent: Choice<usize>,
    /// How long it waits for another request.
    pub(crate) idle: Choice<Duration>,
    /// How long a request may take.
    pub(crate) request: Option<Choice<Duration>>,
}

/// A component that answers requests.
pub(crate) struct Handler(ProxyHandler<State>);

/// The error of a body on its way to or from a component.
pub(crate) type Body = http_body_util::combinators::UnsyncBoxBody<bytes::Bytes, ErrorCode>;

impl Handler {
    pub(crate) fn new(pre: InstancePre<Guest>, template: Template, reuse: Reuse) -> Self {
        Self(ProxyHandler::new(State {
            pre,
            template,
            reuse,
        }))
    }

    /// Lets an instance, a waiting one or a new one, answer. Its spans belong below `outer`.
    pub(crate) async fn handle(
        &self,
        request: http::Request<Body>,
        outer: Option<SpanContext>,
    ) -> wasmtime::Result<wasmtime_wasi_http::handler::Response> {
        let request = request.map(|body| {
            body.map_err(wasmtime_wasi_http::handler::ErrorCode::from)
                .boxed_unsync()
        });
        self.0.handle(outer, request).await
    }
}

struct State {
    pre: InstancePre<Guest>,
    template: Template,
    reuse: Reuse,
}

impl HandlerState for State {
    type StoreData = Guest;
    type WorkerExpiration = Expiration;
    type WorkerState = Limits;

    async fn instantiate(&self) -> wasmtime::Result<Instance<Guest, Expiration, Limits>> {
        let guest = self
            .template
            .guest()
            .map_err(|error| wasmtime::format_err!("{error:#}"))?;
        let mut store = Store::new(self.pre.engine(), guest);
        store.limiter(|guest| &mut guest.limits);
        // Never: nobody counts the epochs, and without a deadline the first check would trap.
        store.set_epoch_deadline(u64::MAX / 2);
        let instance = self.pre.instantiate_async(&mut store).await?;
        let proxy = Proxy::P3(Service::new(&mut store, &instance)?);
        let request = self.reuse.request.map_or(NEVER, Choice::draw);
        Ok(Instance {
            store,
            proxy,
            view: ViewFn::P3(Guest::http),
            expiration: Expiration {
                idle: self.reuse.idle.draw(),
                request,
                sleep: Box::pin(tokio::time::sleep(NEVER)),
            },
            state: Limits {
                request,
                count: self.reuse.count.draw(),
                concurrent: self.reuse.concurrent.draw(),
            },
        })
    }
}

/// When an instance is given up.
struct Expiration {
    idle: Duration,
    request: Duration,
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
            WorkerStatus::Idle => self.idle,
            // Work that goes on after the answer has the time of a request, as in Spin.
            WorkerStatus::Requests | WorkerStatus::PostReturn => self.request,
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

/// How many requests an instance takes.
struct Limits {
    request: Duration,
    count: usize,
    concurrent: usize,
}

impl WorkerState for Limits {
    type StoreData = Guest;
    /// The host's span of the request.
    type RequestId = Option<SpanContext>;

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
        outer: Option<SpanContext>,
        task: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + Sync + 'static>> {
        store.data_mut().spans.accept(task, outer);
        Box::pin(tokio::time::sleep(self.request))
    }

    fn drop(&self, store: Store<Guest>, result: wasmtime::Result<()>) {
        if let Err(error) = result {
            // A trap, with the component's stack: whoever wrote the component needs all of it.
            eprintln!(
                "An instance of component {:?} ended with an error: {error:#}",
                store.data().component()
            );
        }
    }
}
