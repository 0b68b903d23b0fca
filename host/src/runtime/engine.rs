//! Wasmtime, set up like Spin: the pooling allocator, the cache of compiled components, and the
//! interfaces that a component can import.
//!
//! Left out on purpose: the thread that advances Spin's epochs, since `spin up` sets no deadline
//! that it could reach.
//!
//! Follows Spin's `crates/core/src/lib.rs`, `crates/factor-wasi/src/lib.rs` and
//! `crates/trigger/src/cli.rs`.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{Cache, Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};
use wasmtime_wasi_http::p3::bindings::ServicePre;

use super::guest::Guest;
use crate::config::manifest;
use crate::imports::bindings::{redis, store, tracing, variables};
use crate::imports::redis::HasConnections;
use crate::imports::spans::HasSpans;
use crate::imports::variables::HasVariables;

/// The interface that a component must export.
const HANDLER: &str = "wasi:http/handler@0.3";

/// The interface that a component imports for spans. Those for metrics and logs are not supported.
const SPANS: &str = "wasi:otel/tracing@0.2.0-rc.2";

/// The most instances at the same time, of all components together.
const MAX_INSTANCES: u32 = 1000;

/// Address space that the pool needs, in bits: 6 GiB for each memory.
const POOL_BITS: u32 = 42;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;

/// The cache of compiled components, for the next start.
pub(crate) enum CompilationCache<'a> {
    /// In the user's cache folder.
    Default,
    /// With this configuration file.
    Configured(&'a Path),
    /// None.
    Off,
}

/// The engine, and the imports that components may have.
pub(crate) struct Runtime {
    engine: Engine,
    linker: Linker<Guest>,
    spans: bool,
}

impl Runtime {
    /// With `spans`, components may import `wasi:otel`.
    pub(crate) fn new(cache: &CompilationCache<'_>, pooling: bool, spans: bool) -> Result<Self> {
        let mut config = Config::new();
        config.wasm_component_model_async(true);
        // As in Spin, and at the same cost: compiled code checks the epoch at each loop and call.
        config.epoch_interruption(true);
        config.cache(open_cache(cache)?);
        if pooling && pool_fits() {
            config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool()));
        }
        let engine = Engine::new(&config)?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        wasmtime_wasi::p3::add_to_linker(&mut linker)?;
        wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
        redis::add_to_linker::<_, HasConnections>(&mut linker, |guest: &mut Guest| {
            &mut guest.redis
        })?;
        variables::add_to_linker::<_, HasVariables>(&mut linker, |guest: &mut Guest| {
            &mut guest.variables
        })?;
        store::add_to_linker::<_, HasVariables>(&mut linker, |guest: &mut Guest| {
            &mut guest.variables
        })?;
        if spans {
            tracing::add_to_linker::<_, HasSpans>(&mut linker, |guest: &mut Guest| {
                &mut guest.spans
            })?;
        }
        Ok(Self {
            engine,
            linker,
            spans,
        })
    }

    /// Compiles a component, or takes it from the cache, and binds its imports.
    pub(crate) fn load(&self, component: &manifest::Component) -> Result<InstancePre<Guest>> {
        let path = &component.source;
        if !path.is_file() {
            let command = component
                .build_command
                .as_deref()
                .unwrap_or("cargo xtask build");
            bail!(
                "{} not found: build it first with `{command}`",
                path.display()
            );
        }
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        ensure!(
            bytes.starts_with(b"\0asm"),
            "{} is not a WebAssembly file",
            path.display()
        );
        // Not `Component::new`, which also accepts the text format of WebAssembly.
        let compiled = Component::from_binary(&self.engine, &bytes)
            .map_err(anyhow::Error::from)
            .with_context(|| format!("{} is not a component", path.display()))?;
        self.check_exports(&compiled)?;
        self.check_telemetry(&compiled)?;
        let pre = self
            .linker
            .instantiate_pre(&compiled)
            .map_err(anyhow::Error::from)
            .context("an import is not supported by this host")?;
        ServicePre::new(pre.clone())
            .map_err(anyhow::Error::from)
            .with_context(|| format!("its {HANDLER} export is not usable"))?;
        Ok(pre)
    }

    /// Fails if a component does not export the handler that this host calls; names its exports.
    fn check_exports(&self, component: &Component) -> Result<()> {
        let mut handlers = Vec::new();
        for (name, item) in component.component_type().exports(&self.engine) {
            if matches!(item.ty, ComponentItem::ComponentInstance(_)) {
                if name.starts_with(HANDLER) {
                    return Ok(());
                }
                handlers.push(name.to_owned());
            }
        }
        bail!("it exports {handlers:?}, but this host only runs components that export {HANDLER}.x")
    }

    /// Fails if a component imports a part of `wasi:otel` that it does not get; names that part.
    fn check_telemetry(&self, component: &Component) -> Result<()> {
        for (name, _) in component.component_type().imports(&self.engine) {
            // The types need no support by the host.
            if !name.starts_with("wasi:otel/") || name.starts_with("wasi:otel/types@") {
                continue;
            }
            ensure!(
                name == SPANS,
                "it imports {name}, but of wasi:otel this host only has {SPANS}"
            );
            ensure!(
                self.spans,
                "it imports {name}, which is experimental: start with --experimental-wasi-otel, \
                 or build the component without its feature `otel`"
            );
        }
        Ok(())
    }
}

/// Opens the cache. Without its default folder the host runs all the same; it only starts slower.
fn open_cache(cache: &CompilationCache<'_>) -> Result<Option<Cache>> {
    match cache {
        CompilationCache::Off => Ok(None),
        CompilationCache::Configured(path) => Cache::from_file(Some(path))
            .map(Some)
            .map_err(anyhow::Error::from)
            .with_context(|| format!("cannot use the cache configured in {}", path.display())),
        CompilationCache::Default => match Cache::from_file(None) {
            Ok(cache) => Ok(Some(cache)),
            Err(error) => {
                eprintln!("Compiled components are not kept for the next start: {error}");
                Ok(None)
            }
        },
    }
}

/// Whether this machine has the address space for the pool. Some have only 39 bits.
fn pool_fits() -> bool {
    let mut config = Config::new();
    config.wasm_memory64(true);
    config.memory_reservation(1 << POOL_BITS);
    let Ok(engine) = Engine::new(&config) else {
        return false;
    };
    let mut store = wasmtime::Store::new(&engine, ());
    // The maximum is in pages of 64 KiB.
    let memory = wasmtime::MemoryType::new64(0, Some(1 << (POOL_BITS - 16)));
    wasmtime::Memory::new(&mut store, memory).is_ok()
}

/// The pool with Spin's default limits. Spin's environment variables for them are not supported.
fn pool() -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(MAX_INSTANCES)
        .total_memories(MAX_INSTANCES)
        .total_tables(2 * MAX_INSTANCES)
        .total_stacks(MAX_INSTANCES)
        .total_core_instances(4 * MAX_INSTANCES)
        .table_elements(100_000)
        .max_component_instance_size(10 * MIB)
        .max_core_instance_size(10 * MIB)
        .max_core_instances_per_component(200)
        .max_tables_per_component(64)
        .max_memories_per_component(32)
        .max_tables_per_module(2)
        .max_memories_per_module(2)
        .max_memory_size(4 * GIB)
        // On purpose unlike Spin, which keeps 2 MiB: a burst of requests starts hundreds of
        // instances, and would cost that much for each of them for good.
        .linear_memory_keep_resident(0)
        .table_keep_resident(512 * KIB);
    pool
}
