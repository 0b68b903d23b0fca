//! A peer in its own process, on a free port, with a given Redis.

use std::fs::File;
use std::net::TcpListener;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use edgelatch_tests::START_LIMIT;

use crate::client::Client;
use crate::peers::Peer;
use crate::process::Usage;
use crate::programs::Programs;
use crate::secured::Login;

/// The settings of a server.
#[derive(Clone, Copy, Default)]
pub(crate) struct StartOptions<'a> {
    /// The port of its Redis.
    pub(crate) redis_port: u16,
    /// The address of its origin.
    pub(crate) origin: Option<&'a str>,
    /// How it logs in, if its Redis wants TLS and a password. Components only.
    pub(crate) secured: Option<&'a Login>,
    /// More arguments of `up`. Peers that are not components ignore them.
    pub(crate) arguments: &'a [&'a str],
}

impl StartOptions<'_> {
    /// The address of its Redis, with the password if there is one.
    pub(crate) fn redis_url(&self) -> String {
        let port = self.redis_port;
        match self.secured {
            Some(login) => format!("rediss://:{}@127.0.0.1:{port}", login.password),
            None => format!("redis://127.0.0.1:{port}"),
        }
    }
}

/// A port on which nothing listens.
///
/// # Errors
/// If there is none.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A server in its own process. It stops on drop.
pub(crate) struct Server {
    process: Child,
    peer: Peer,
    address: String,
    /// Its state and its log.
    folder: tempfile::TempDir,
}

impl Server {
    /// Starts one and waits until it answers `/healthz`.
    ///
    /// # Errors
    /// If it does not, with what it printed.
    pub(crate) async fn start(
        programs: &Programs,
        peer: Peer,
        options: StartOptions<'_>,
    ) -> anyhow::Result<Self> {
        let mut server = Self::launch(programs, peer, options)?;
        let mut client = server.first_connection().await?;
        let answer = client.call("GET", peer.health()).await?;
        if answer.status != 200 {
            bail!("{peer} is not healthy: {}", server.log());
        }
        Ok(server)
    }

    /// Starts one without waiting for it.
    ///
    /// # Errors
    /// If the program is missing.
    pub(crate) fn launch(
        programs: &Programs,
        peer: Peer,
        options: StartOptions<'_>,
    ) -> anyhow::Result<Self> {
        let address = format!("127.0.0.1:{}", free_port()?);
        // In the project, since the folder for temporary files may be in memory: etcd is to write
        // to a disk.
        let folder = tempfile::tempdir_in(programs.root.join("target"))?;
        let log = File::create(folder.path().join("log"))?;
        let mut command = programs.command(peer, &address, folder.path(), &options)?;
        if programs.component(peer).is_some() {
            command.arg("--state-dir").arg(folder.path().join("state"));
        }
        let process = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("{peer} could not be started"))?;
        Ok(Self {
            process,
            peer,
            address,
            folder,
        })
    }

    /// Connects as soon as it listens.
    ///
    /// # Errors
    /// If it does not, with what it printed.
    pub(crate) async fn first_connection(&mut self) -> anyhow::Result<Client> {
        let began = Instant::now();
        while began.elapsed() < START_LIMIT {
            if let Ok(client) = Client::connect(&self.address).await {
                return Ok(client);
            }
            if self.process.try_wait()?.is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        bail!("{} does not serve: {}", self.peer, self.log());
    }

    /// Which peer it is.
    pub(crate) fn peer(&self) -> Peer {
        self.peer
    }

    /// `host:port`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The resources that it has used so far.
    ///
    /// # Errors
    /// If it has ended.
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        Usage::of(self.process.id()).with_context(|| format!("{} ended: {}", self.peer, self.log()))
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        edgelatch_tests::stop(&mut self.process);
    }
}
