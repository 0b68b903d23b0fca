//! A Redis for development: found or installed, and started on a port of its own.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::step;

/// How long a Redis may take to answer its first PING.
const START_LIMIT: Duration = Duration::from_secs(10);

/// A Redis server on PATH, installed with apt if there is none and this is root.
pub(crate) fn find_or_install() -> anyhow::Result<PathBuf> {
    if let Some(found) = find() {
        return Ok(found);
    }
    if step::on_path("apt-get").is_none() || !nix::unistd::geteuid().is_root() {
        bail!(
            "no redis-server and no valkey-server on PATH: install one (Debian, Ubuntu: `sudo apt-get install redis-server`; \
             Fedora: `sudo dnf install valkey`; macOS: `brew install redis`) and try again"
        );
    }
    step::say("installing Redis: apt-get install redis-server");
    let failed =
        "apt-get could not install redis-server: install Redis or Valkey yourself and try again";
    step::run(apt_get().arg("update"), failed)?;
    step::run(apt_get().args(["install", "--yes", "redis-server"]), failed)?;
    find().context("apt-get installed redis-server, but it is not on PATH")
}

fn find() -> Option<PathBuf> {
    ["redis-server", "valkey-server"]
        .into_iter()
        .find_map(step::on_path)
}

fn apt_get() -> Command {
    let mut apt_get = Command::new("apt-get");
    apt_get
        .arg("--quiet=2")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdout(Stdio::null());
    apt_get
}

/// A Redis server of our own, stopped on drop. It keeps nothing on disk.
pub(crate) struct PrivateRedis {
    server: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl PrivateRedis {
    /// Starts one on a free port of the loopback interface.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let program = find_or_install()?;
        let folder = tempfile::tempdir()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        step::say(format_args!(
            "starting a Redis of its own at 127.0.0.1:{port} (it keeps nothing when it stops)"
        ));
        let server = Command::new(&program)
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--logfile", "redis.log"])
            .arg("--dir")
            .arg(folder.path())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            // Ctrl-C goes to the whole foreground group: this way the service stops first.
            .process_group(0)
            .spawn()
            .with_context(|| format!("`{}` could not be started", program.display()))?;
        let mut redis = Self {
            server,
            port,
            folder,
        };
        redis.wait_until_it_answers()?;
        Ok(redis)
    }

    /// Its port on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    fn wait_until_it_answers(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        while !self.answers() {
            if self.server.try_wait()?.is_some() || began.elapsed() > START_LIMIT {
                let log = std::fs::read_to_string(self.folder.path().join("redis.log"));
                bail!("Redis did not start:\n{}", log.unwrap_or_default());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn answers(&self) -> bool {
        let ping = || -> std::io::Result<bool> {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
            stream.set_read_timeout(Some(Duration::from_secs(1)))?;
            stream.write_all(b"PING\r\n")?;
            let mut reply = [0; 7];
            stream.read_exact(&mut reply)?;
            Ok(&reply == b"+PONG\r\n")
        };
        ping().unwrap_or(false)
    }
}

impl Drop for PrivateRedis {
    fn drop(&mut self) {
        // It may have ended by itself; either way nothing more can be done here.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
