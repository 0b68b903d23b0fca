//! The host's side of one instance: the state of everything that the instance imports.
//!
//! Raw sockets are closed, standard input is empty, and the only files are the application's
//! `files`, read-only.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use wasmtime::component::ResourceTable;
use wasmtime::{StoreLimits, StoreLimitsBuilder};
use wasmtime_wasi::{DirPerms, FilePerms, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::WasiHttpCtx;
use wasmtime_wasi_http::p3::{WasiHttpCtxView, WasiHttpView};

use super::logs::ComponentLog;
use crate::config::variables::Variables;
use crate::imports::outbound_http::{OutboundHttp, SharedHttpClient};
use crate::imports::outbound_policy::OutboundPolicy;
use crate::imports::redis::Connections;
use crate::imports::spans::Spans;
use crate::imports::variables::ComponentVariables;
use crate::net::connection_cap::ConnectionCap;
use crate::telemetry::Telemetry;

/// What all instances of one component share.
pub(crate) struct ComponentContext {
    /// The component's id.
    pub(crate) component: String,
    /// The variables of all components.
    pub(crate) variables: Arc<Variables>,
    /// Its `allowed_outbound_hosts`.
    pub(crate) allowed_hosts: Arc<[String]>,
    /// The cap on Redis connections of the whole host.
    pub(crate) redis_cap: ConnectionCap,
    /// The HTTP client of all components.
    pub(crate) http: SharedHttpClient,
    /// The exporter of its spans.
    pub(crate) telemetry: Telemetry,
    /// Environment variables, as names and values.
    pub(crate) environment: Vec<(String, String)>,
    /// The folder with the component's files, which is its `/`.
    pub(crate) files: Option<PathBuf>,
    /// Bytes of memory that an instance may grow to.
    pub(crate) max_memory: Option<usize>,
    /// Whether its stdout and stderr are shown.
    pub(crate) shows_output: bool,
}

/// The data of an instance's store.
pub(crate) struct Guest {
    component: String,
    table: ResourceTable,
    wasi: WasiCtx,
    http_context: WasiHttpCtx,
    http: OutboundHttp,
    pub(crate) variables: ComponentVariables,
    pub(crate) redis: Connections,
    pub(crate) spans: Spans,
    pub(crate) limits: StoreLimits,
}

impl ComponentContext {
    /// The data for a new instance.
    pub(crate) fn new_guest(&self) -> Result<Guest> {
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
        let policy = Arc::new(OutboundPolicy::new(
            &self.component,
            self.allowed_hosts.clone(),
            self.variables.clone(),
        ));
        Ok(Guest {
            component: self.component.clone(),
            table: ResourceTable::new(),
            wasi: wasi.build(),
            http_context: WasiHttpCtx::new(),
            http: OutboundHttp::new(policy.clone(), self.http.clone()),
            variables: ComponentVariables::new(self.component.clone(), self.variables.clone()),
            redis: Connections::new(policy, self.redis_cap.clone()),
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
