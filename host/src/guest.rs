//! The host's side of one instance: everything that its imports reach, and `spin:variables@3.0.0` and `wasi:config`, which have
//! no state of their own.
//!
//! Raw sockets stay closed, there is no standard input, and of the file system only the application's `files` are
//! there, to read.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use tokio::sync::Semaphore;
use wasmtime::component::{Accessor, HasData, ResourceTable};
use wasmtime::{StoreLimits, StoreLimitsBuilder};
use wasmtime_wasi::{DirPerms, FilePerms, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::WasiHttpCtx;
use wasmtime_wasi_http::p3::{WasiHttpCtxView, WasiHttpView};

use crate::bindings::store;
use crate::bindings::variables::{Error, Host, HostWithStore};
use crate::logs::ComponentLog;
use crate::outbound::Gate;
use crate::outbound_http::{OutboundHttp, Shared};
use crate::redis::Connections;
use crate::telemetry::{Spans, Telemetry};
use crate::variables::{Failure, Variables};

/// What all instances of one component have in common.
pub(crate) struct Template {
    /// The component's id.
    pub(crate) component: String,
    /// Its variables, and those of the other components.
    pub(crate) variables: Arc<Variables>,
    /// Its `allowed_outbound_hosts`.
    pub(crate) allowed_hosts: Arc<[String]>,
    /// The host's cap on Redis connections.
    pub(crate) redis_permits: Option<Arc<Semaphore>>,
    /// The HTTP client, shared by the whole host.
    pub(crate) http: Shared,
    /// Where its spans go.
    pub(crate) telemetry: Telemetry,
    /// Environment variables, by name.
    pub(crate) environment: Vec<(String, String)>,
    /// Folder with the component's files, its `/`.
    pub(crate) files: Option<PathBuf>,
    /// Bytes of memory that an instance may grow to.
    pub(crate) max_memory: Option<usize>,
    /// Whether output is shown.
    pub(crate) shows_output: bool,
}

/// The data of an instance's store.
pub(crate) struct Guest {
    component: String,
    variables: Arc<Variables>,
    table: ResourceTable,
    wasi: WasiCtx,
    http_context: WasiHttpCtx,
    http: OutboundHttp,
    pub(crate) redis: Connections,
    pub(crate) spans: Spans,
    pub(crate) limits: StoreLimits,
}

impl Template {
    /// The data for a new instance.
    pub(crate) fn guest(&self) -> Result<Guest> {
        let mut wasi = WasiCtxBuilder::new();
        wasi.stdout(ComponentLog::new(self.shows_output))
            .stderr(ComponentLog::new(self.shows_output))
            .envs(&self.environment)
            .allow_tcp(false)
            .allow_udp(false);
        if let Some(folder) = &self.files {
            wasi.preopened_dir(folder, "/", DirPerms::READ, FilePerms::READ)
                .map_err(anyhow::Error::from)
                .with_context(|| format!("cannot open {}", folder.display()))?;
        }
        let mut limits = StoreLimitsBuilder::new();
        if let Some(bytes) = self.max_memory {
            limits = limits.memory_size(bytes);
        }
        let gate = Arc::new(Gate::new(
            &self.component,
            self.allowed_hosts.clone(),
            self.variables.clone(),
        ));
        Ok(Guest {
            component: self.component.clone(),
            variables: self.variables.clone(),
            table: ResourceTable::new(),
            wasi: wasi.build(),
            http_context: WasiHttpCtx::new(),
            http: OutboundHttp::new(gate.clone(), self.http.clone()),
            redis: Connections::new(gate, self.redis_permits.clone()),
            spans: Spans::new(self.telemetry.clone()),
            limits: limits.build(),
        })
    }
}

impl Guest {
    /// The component's id.
    pub(crate) fn component(&self) -> &str {
        &self.component
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.http,
            table: &mut self.table,
            ctx: &mut self.http_context,
        }
    }
}

/// Selects the whole [`Guest`] in the store for the generated code.
pub(crate) struct HasVariables;

impl HasData for HasVariables {
    type Data<'a> = &'a mut Guest;
}

impl Host for Guest {}

impl<T: Send> HostWithStore<T> for HasVariables {
    /// Follows Spin's `crates/factor-variables/src/host.rs`.
    async fn get(accessor: &Accessor<T, Self>, name: String) -> Result<String, Error> {
        let (variables, component) = accessor.with(|mut access| {
            let guest = access.get();
            (guest.variables.clone(), guest.component.clone())
        });
        variables
            .get(&component, &name)
            .await
            .map_err(|failure| match failure {
                Failure::InvalidName(text) => Error::InvalidName(text),
                Failure::Undefined(text) => Error::Undefined(text),
                Failure::Provider(text) => Error::Provider(text),
            })
    }
}

/// Follows Spin's `crates/factor-variables/src/host.rs`.
impl store::Host for Guest {
    async fn get(&mut self, name: String) -> Result<Option<String>, store::Error> {
        match self.variables.get(&self.component, &name).await {
            Ok(value) => Ok(Some(value)),
            Err(Failure::InvalidName(_) | Failure::Undefined(_)) => Ok(None),
            Err(Failure::Provider(text)) => Err(store::Error::Upstream(text)),
        }
    }

    async fn get_all(&mut self) -> Result<Vec<(String, String)>, store::Error> {
        let all = self.variables.all(&self.component).await;
        all.map_err(|failure| match failure {
            Failure::InvalidName(text) | Failure::Undefined(text) => store::Error::Io(text),
            Failure::Provider(text) => store::Error::Upstream(text),
        })
    }
}
