//! `edgelatch-host up`: from the command line to an application that is served, and its end.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;

use crate::allowed_hosts::AllowedHosts;
use crate::cli::Up;
use crate::engine::{CacheChoice, Runtime};
use crate::files;
use crate::guest::Template;
use crate::instances::{Handler, Reuse};
use crate::manifest::App;
use crate::outbound_http::Shared;
use crate::routes::Routes;
use crate::runtime_config::RuntimeConfig;
use crate::server::{self, Server};
use crate::telemetry::Telemetry;
use crate::variables::{Provider, Variables};

/// Serves until a signal ends it.
pub(crate) fn run(arguments: &Up) -> Result<()> {
    arguments.check()?;
    // Of the TLS implementations that rustls may find in the program, this one.
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
    // Instances may still be at work after their answers; as in Spin, nothing waits for them. They are not dropped
    // either, which would look like a failure of each: the process ends with them.
    std::mem::forget(runtime);
    result
}

async fn serve(arguments: &Up) -> Result<()> {
    let own_address = Arc::new(OnceLock::new());
    let telemetry = Telemetry::from_environment()?;
    let (server, folders) = prepare(arguments, &own_address, &telemetry)?;
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

/// Everything that can be found wrong before the first request is found here.
fn prepare(
    arguments: &Up,
    own_address: &Arc<OnceLock<SocketAddr>>,
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
    let mut config = RuntimeConfig::load(arguments.runtime_config_file.as_deref())?;
    let mut providers = vec![Provider::Static(arguments.variables()?)];
    providers.append(&mut config.providers);
    let variables = Arc::new(Variables::new(&app, providers)?);

    let cache = match (&arguments.cache, arguments.disable_cache) {
        (_, true) => CacheChoice::Off,
        (Some(file), false) => CacheChoice::Configured(file),
        (None, false) => CacheChoice::Default,
    };
    let runtime = Runtime::new(
        &cache,
        !arguments.disable_pooling,
        arguments.experimental_wasi_otel,
    )?;
    let http = Shared::new(config.http, own_address.clone());
    let redis_permits = config
        .max_redis_connections
        .map(|most| Arc::new(Semaphore::new(most)));
    let reuse = Reuse {
        count: arguments.max_instance_reuse_count,
        concurrent: arguments.max_instance_concurrent_reuse_count,
        idle: arguments.idle_instance_timeout,
        request: arguments.request_timeout,
    };

    let mut handlers = BTreeMap::new();
    let mut folders = Vec::new();
    for (id, component) in &app.components {
        let named = || format!("component {id:?}");
        AllowedHosts::check(&component.allowed_outbound_hosts, &variables).with_context(named)?;
        let folder = files::mount(component, &app.root).with_context(named)?;
        let mut environment = component.environment.clone();
        environment.extend(arguments.env.iter().cloned());
        let template = Template {
            component: id.clone(),
            variables: variables.clone(),
            allowed_hosts: component.allowed_outbound_hosts.clone().into(),
            redis_permits: redis_permits.clone(),
            http: http.clone(),
            telemetry: telemetry.clone(),
            environment: environment.into_iter().collect(),
            files: folder.as_ref().map(|folder| folder.path().to_owned()),
            max_memory: arguments.max_instance_memory.or(config.max_instance_memory),
            shows_output: arguments.shows(id),
        };
        folders.extend(folder);
        let pre = runtime.load(component).with_context(named)?;
        handlers.insert(id.clone(), Handler::new(pre, template, reuse));
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
        },
        folders,
    ))
}

/// The line that callers wait for, as Spin has it; whoever started the host may read it through a pipe.
fn announce(address: SocketAddr) -> Result<()> {
    let mut stdout = std::io::stdout();
    writeln!(stdout, "Serving http://{address}")?;
    stdout.flush()?;
    Ok(())
}

/// Done at the first Ctrl-C or SIGTERM; the second one ends the process at once.
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
