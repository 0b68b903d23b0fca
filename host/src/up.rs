//! `edgelatch-host up`: reads the configuration, serves the application, and stops on a signal.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::resource::{Resource, getrlimit};
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::Up;
use crate::config::allowed_hosts::AllowedHosts;
use crate::config::manifest::App;
use crate::config::runtime_config::RuntimeConfig;
use crate::config::variables::{Provider, Variables};
use crate::imports::outbound_http::SharedHttpClient;
use crate::net::connection_cap::ConnectionCap;
use crate::net::http_client::HttpClient;
use crate::runtime::engine::{CompilationCache, Runtime};
use crate::runtime::files;
use crate::runtime::guest::ComponentContext;
use crate::runtime::instances::{Handler, Reuse};
use crate::server::routes::Routes;
use crate::server::{self, Limits, Server};
use crate::telemetry::Telemetry;

/// Serves until a signal stops it.
pub(crate) fn run(arguments: &Up) -> Result<()> {
    arguments.check()?;
    // Rustls needs the choice, since several TLS implementations may be linked.
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        bail!("the TLS implementation is already chosen");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(serve(arguments));
    // Instances may still run after their responses. As in Spin, the host does not wait for them.
    // They are not dropped either, which would log an error for each: they end with the process.
    std::mem::forget(runtime);
    result
}

async fn serve(arguments: &Up) -> Result<()> {
    let own_address = Arc::new(OnceLock::new());
    let client = HttpClient::new(true);
    let telemetry = Telemetry::from_environment(client.clone())?;
    let (server, folders) = prepare(arguments, &own_address, &client, &telemetry)?;
    let listener = server::listen(arguments.listen, arguments.find_free_port).await?;
    let address = listener.local_addr()?;
    let _ = own_address.set(address);
    let stop = stop_signal()?;
    announce(address)?;
    Arc::new(server).serve(listener, stop).await;
    telemetry.flush().await;
    drop(folders);
    Ok(())
}

/// Reads the configuration and compiles the components, so that errors show at the start. `client`
/// is for requests that no component sends. The folders must be kept while the server runs.
fn prepare(
    arguments: &Up,
    own_address: &Arc<OnceLock<SocketAddr>>,
    client: &HttpClient,
    telemetry: &Telemetry,
) -> Result<(Server, Vec<TempDir>)> {
    let mut app = App::load(&arguments.from)?;
    if !arguments.component_ids.is_empty() {
        app.retain(&arguments.component_ids)?;
    }
    for id in &arguments.follow {
        ensure!(
            app.components.contains_key(id),
            "--follow {id:?} is not a component of the application"
        );
    }
    let mut config = RuntimeConfig::load(arguments.runtime_config_file.as_deref(), client)?;
    let mut providers = vec![Provider::Static(arguments.variables()?)];
    providers.append(&mut config.providers);
    let variables = Arc::new(Variables::new(&app, providers)?);

    let cache = match (&arguments.cache, arguments.disable_cache) {
        (_, true) => CompilationCache::Off,
        (Some(file), false) => CompilationCache::Configured(file),
        (None, false) => CompilationCache::Default,
    };
    let runtime = Runtime::new(
        &cache,
        !arguments.disable_pooling,
        arguments.experimental_wasi_otel,
    )?;
    let http = SharedHttpClient::new(config.http, own_address.clone());
    let redis_cap = ConnectionCap::new(config.max_redis_connections);
    let reuse = Reuse {
        count: arguments.max_instance_reuse_count,
        concurrent: arguments.max_instance_concurrent_reuse_count,
        idle_timeout: arguments.idle_instance_timeout,
        request_timeout: arguments.request_timeout,
    };

    let mut handlers = BTreeMap::new();
    let mut folders = Vec::new();
    for (id, component) in &app.components {
        let named = || format!("component {id:?}");
        AllowedHosts::check(&component.allowed_outbound_hosts, &variables).with_context(named)?;
        let folder = files::mount(component, &app.root).with_context(named)?;
        let mut environment = component.environment.clone();
        environment.extend(arguments.env.iter().cloned());
        let context = ComponentContext {
            component: id.clone(),
            variables: variables.clone(),
            allowed_hosts: component.allowed_outbound_hosts.clone().into(),
            redis_cap: redis_cap.clone(),
            http: http.clone(),
            telemetry: telemetry.clone(),
            environment: environment.into_iter().collect(),
            files: folder.as_ref().map(|folder| folder.path().to_owned()),
            max_memory: arguments.max_instance_memory.or(config.max_instance_memory),
            shows_output: arguments.shows_output_of(id),
        };
        folders.extend(folder);
        let pre = runtime.load(component).with_context(named)?;
        handlers.insert(id.clone(), Handler::new(pre, context, reuse));
    }
    let http1_max_buf_size = arguments
        .http1_max_buf_size
        .map(usize::try_from)
        .transpose()?;
    Ok((
        Server {
            routes: Routes::new(&app.triggers)?,
            handlers,
            telemetry: telemetry.clone(),
            http1_max_buf_size,
            limits: Limits::new(open_files(), arguments.max_concurrent_requests),
        },
        folders,
    ))
}

/// How many files this process may have open.
fn open_files() -> u64 {
    // It can always be read; if not, what is usual.
    getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft)
}

/// Prints the line that callers wait for, which is Spin's. It is flushed for callers with a pipe.
fn announce(address: SocketAddr) -> Result<()> {
    let mut stdout = std::io::stdout();
    writeln!(stdout, "Serving http://{address}")?;
    stdout.flush()?;
    Ok(())
}

/// Resolves at the first Ctrl-C or SIGTERM. The second one ends the process at once.
fn stop_signal() -> Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (stop, stopped) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = interrupt.recv() => 130,
                _ = terminate.recv() => 143,
            }
        };
        next().await;
        let _ = stop.send(());
        std::process::exit(next().await);
    });
    Ok(async {
        let _ = stopped.await;
    })
}
