//! The FastAPI service that edgelatch replaces (`tests/fastapi/service.py`), in a process of its
//! own.

use std::process::Command;

use crate::origin::Origin;
use crate::process::Process;
use crate::redis::RedisServer;
use crate::runner::START_LIMIT;
use crate::service::root;

/// The service, on a Redis that somebody else owns. It is killed on drop.
pub struct FastApi {
    process: Process,
    address: String,
    client: reqwest::Client,
}

impl FastApi {
    /// Starts it and waits until it serves. `environment` is added to its own.
    ///
    /// # Panics
    /// If it does not serve, with what it printed. If there is no Python for it, with what to do.
    pub fn start(redis: &RedisServer, origin: &Origin, environment: &[(&str, &str)]) -> Self {
        let python = std::env::var_os("EDGELATCH_PYTHON").expect(
            "EDGELATCH_PYTHON names no Python with FastAPI: \
             `cargo xtask test` creates target/judges/bin/python3",
        );
        let mut command = Command::new(python);
        command
            .args(["-m", "uvicorn", "service:app", "--host", "127.0.0.1"])
            .args(["--port", "0", "--no-access-log", "--app-dir"])
            .arg(root().join("tests/fastapi"))
            .env("REDIS_PORT", redis.port().to_string())
            .env("ORIGIN", origin.url())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .envs(environment.iter().copied());
        let process = Process::start(&mut command)
            .expect("the Python that EDGELATCH_PYTHON names could not be started");
        let serving = process.output().wait_for(START_LIMIT, |text| {
            let address = text.split("running on http://").nth(1)?;
            Some(address.split_whitespace().next()?.to_owned())
        });
        let Some(address) = serving else {
            let printed = process.output().text();
            panic!("FastAPI does not serve; it printed:\n{printed}");
        };
        Self {
            process,
            address,
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
        }
    }

    /// `POST` to one of its actions. Returns the status and the body.
    pub fn post(
        &self,
        action: &str,
        query: &str,
    ) -> impl Future<Output = (u16, String)> + Send + use<> {
        let url = format!("http://{}/api/v1/users/{action}/?{query}", self.address);
        let request = self.client.post(url);
        async move {
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        }
    }
}

impl Drop for FastApi {
    fn drop(&mut self) {
        self.process.kill();
    }
}
