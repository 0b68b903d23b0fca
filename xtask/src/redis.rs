//! A Redis for development, on its own port.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::{install, step};

/// How long a Redis may take until it answers PING.
const START_LIMIT: Duration = Duration::from_secs(10);

/// Our own Redis server, without persistence. It stops on drop.
pub(crate) struct PrivateRedis {
    server: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl PrivateRedis {
    /// Starts one on a free port of 127.0.0.1.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let program = install::REDIS.find_or_install()?;
        let folder = tempfile::tempdir()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        step::say(format_args!(
            "starting a Redis at 127.0.0.1:{port} (its data is lost when it stops)"
        ));
        let mut command = Command::new(program);
        command
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--logfile", "redis.log"])
            .arg("--dir")
            .arg(folder.path())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            // Ctrl-C goes to the whole foreground group. In its own group, Redis outlives the
            // service.
            .process_group(0);
        let mut redis = Self {
            server: step::start(&mut command)?,
            port,
            folder,
        };
        redis.wait_until_it_answers()?;
        Ok(redis)
    }

    /// Makes a service use it.
    pub(crate) fn serve_to(&self, service: &mut Command) {
        service
            .env("SPIN_VARIABLE_REDIS_HOST", "127.0.0.1")
            .env("SPIN_VARIABLE_REDIS_PORT", self.port.to_string());
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
        // It may have ended already.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
