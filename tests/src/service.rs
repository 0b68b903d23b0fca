//! The service in its own process, run by this project's host or by Spin.

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::client::Call;
use crate::launch::{Launch, Manifest, manifest_with_spans};
use crate::origin::Origin;
use crate::process::Process;
use crate::redis::RedisServer;

/// The project's folder. Cargo or xtask says where it is now: this may have been compiled in
/// another clone that shares the target folder.
pub fn root() -> PathBuf {
    let folder = std::env::var_os("CARGO_MANIFEST_DIR");
    let member = folder.map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    member.parent().unwrap().to_owned()
}

/// The variables `redis_host` and `redis_port` for a server.
pub fn redis_host_of(redis: &RedisServer) -> [(String, String); 2] {
    [
        ("redis_host".to_owned(), "127.0.0.1".to_owned()),
        ("redis_port".to_owned(), redis.port().to_string()),
    ]
}

/// The service and its Redis.
pub struct App {
    service: Service,
    /// Its Redis.
    pub redis: RedisServer,
}

/// The service alone.
pub struct Service {
    process: Process,
    address: String,
    launch: Launch,
}

/// The settings that an [`App`] starts with.
pub struct AppBuilder {
    variables: Vec<(String, String)>,
    environment: Vec<(String, String)>,
    arguments: Vec<String>,
    manifest: Manifest,
    runtime_config: Option<String>,
    redis: Option<RedisServer>,
}

impl App {
    /// The service with its default settings and a Redis of its own.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// The same, with [`AppBuilder::patient`].
    pub async fn patient() -> Self {
        Self::builder().patient().start().await
    }

    /// The service with other settings.
    pub fn builder() -> AppBuilder {
        AppBuilder {
            variables: Vec::new(),
            environment: Vec::new(),
            arguments: Vec::new(),
            manifest: Manifest::At(root().join("spin.toml")),
            runtime_config: None,
            redis: None,
        }
    }
}

impl Deref for App {
    type Target = Service;

    fn deref(&self) -> &Service {
        &self.service
    }
}

impl DerefMut for App {
    fn deref_mut(&mut self) -> &mut Service {
        &mut self.service
    }
}

impl Service {
    /// A GET of `path`.
    pub fn get(&self, path: &str) -> Call {
        self.call("GET", path)
    }

    /// A POST to `path`.
    pub fn post(&self, path: &str) -> Call {
        self.call("POST", path)
    }

    /// A PUT to `path`.
    pub fn put(&self, path: &str) -> Call {
        self.call("PUT", path)
    }

    /// A DELETE of `path`.
    pub fn delete(&self, path: &str) -> Call {
        self.call("DELETE", path)
    }

    /// Any method on `path`.
    pub fn call(&self, method: &str, path: &str) -> Call {
        Call::new(&self.address, method, path)
    }

    /// `POST perform-action` with this query.
    pub fn perform(&self, query: &str) -> Call {
        self.post(&format!("/api/v1/users/perform-action?{query}"))
    }

    /// `POST attempt-action` with this query.
    pub fn attempt(&self, query: &str) -> Call {
        self.post(&format!("/api/v1/users/attempt-action?{query}"))
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What the service has printed so far, including the component's log.
    pub fn logs(&self) -> String {
        self.process.output().text()
    }

    /// The memory that its processes have in use, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        self.process.resident_bytes()
    }

    /// The processor time that it has used, on Linux.
    pub fn processor_time(&self) -> Option<Duration> {
        self.process.processor_time()
    }

    /// SIGSTOP: the service gets no processor. Time passes for it all the same.
    pub fn freeze(&self) {
        self.process.freeze();
    }

    /// SIGCONT, after a freeze.
    pub fn thaw(&self) {
        self.process.thaw();
    }

    /// SIGKILL: the service ends without cleaning up.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again on the same port, after a kill, and waits until it serves.
    ///
    /// # Panics
    /// If it does not serve, with what it printed.
    pub fn restart(&mut self) {
        (self.process, self.address) = self.launch.start(&self.address);
    }
}

impl AppBuilder {
    /// Sets a Spin variable.
    #[must_use]
    pub fn var(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Gives Redis 15 seconds for each call, since the machine may be busy with other tests. For
    /// tests that are about something else.
    #[must_use]
    pub fn patient(self) -> Self {
        self.var("redis_timeout", "15")
    }

    /// Adds an argument of `spin up`.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Reuses instances as Spin does, whatever EDGELATCH_HOST_FLAGS says. For tests about what an
    /// instance remembers from one request to the next.
    #[must_use]
    pub fn reusing_instances(self) -> Self {
        self.argument("--max-instance-reuse-count").argument("128")
    }

    /// Uses this text instead of the project's `runtime-config.toml`.
    #[must_use]
    pub fn runtime_config(mut self, text: &str) -> Self {
        self.runtime_config = Some(text.to_owned());
        self
    }

    /// Runs this manifest instead of the project's.
    #[must_use]
    pub fn manifest(mut self, manifest: &Path) -> Self {
        self.manifest = Manifest::At(manifest.to_owned());
        self
    }

    /// Sets an environment variable of the host or of Spin.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs the component that makes spans of its own. `cargo xtask test` builds it.
    #[must_use]
    pub fn with_spans(mut self) -> Self {
        self.manifest = Manifest::Text(manifest_with_spans());
        self.argument("--experimental-wasi-otel")
    }

    /// Sends spans to the collector at this address, soon after each has ended.
    #[must_use]
    pub fn exporting_to(self, collector: &str) -> Self {
        self.environment("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
            .environment("OTEL_BSP_SCHEDULE_DELAY", "20")
    }

    /// Uses this Redis.
    #[must_use]
    pub fn redis(mut self, redis: RedisServer) -> Self {
        self.redis = Some(redis);
        self
    }

    /// Forwards actions to this origin.
    #[must_use]
    pub fn origin(self, origin: &Origin) -> Self {
        self.var("origin", &origin.url())
    }

    /// Starts the service and waits until it serves.
    ///
    /// # Panics
    /// If it does not serve, with what it printed.
    pub async fn start(mut self) -> App {
        let redis = match self.redis.take() {
            Some(redis) => redis,
            None => RedisServer::start().await,
        };
        let service = self.beside(&redis);
        App { service, redis }
    }

    /// Starts the service on a Redis that somebody else owns.
    ///
    /// # Panics
    /// As [`AppBuilder::start`].
    pub fn beside(self, redis: &RedisServer) -> Service {
        let variables = redis_host_of(redis).into_iter().chain(self.variables);
        let folder = tempfile::tempdir().unwrap();
        let mut runtime_config = root().join("runtime-config.toml");
        if let Some(text) = &self.runtime_config {
            runtime_config = folder.path().join("runtime-config.toml");
            std::fs::write(&runtime_config, text).unwrap();
        }
        let manifest = self.manifest.written_to(folder.path());
        let mut environment = self.environment;
        for (name, value) in variables {
            environment.push((format!("SPIN_VARIABLE_{}", name.to_uppercase()), value));
        }
        let launch = Launch {
            folder,
            manifest,
            runtime_config,
            arguments: self.arguments,
            environment,
        };
        let (process, address) = launch.start("127.0.0.1:0");
        Service {
            process,
            address,
            launch,
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the service printed:\n{}", self.process.output().text());
        }
    }
}
