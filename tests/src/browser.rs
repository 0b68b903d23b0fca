//! A headless Chromium, for the tests of the pages.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder};
use http::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use url::{ParseError, Url};

use crate::process::Process;

/// How long the driver may take to start.
const START_LIMIT: Duration = Duration::from_secs(30);

/// How long it may take to end a session.
const SESSION_END_LIMIT: Duration = Duration::from_secs(5);

/// What the driver prints before its port.
const STARTED: &str = "started successfully on port ";

/// What the driver prints if another process has the port that it chose.
const PORT_TAKEN: &str = "port not available. Exiting";

/// A browser with an empty profile that reaches this machine only. It ends on drop.
pub struct Browser {
    /// Drives the browser.
    pub client: Client,
    _driver: Driver,
    _profile: tempfile::TempDir,
}

/// Chromedriver and the browser of its session. Both end on drop.
struct Driver {
    /// Stops on drop, after the session.
    _process: Process,
    port: String,
    session: Option<String>,
}

impl Browser {
    /// Starts one.
    ///
    /// # Panics
    /// If there is no `chromedriver`, or no Chromium.
    pub async fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut driver = Driver::start();
        // Chromedriver runs on this machine and speaks no TLS.
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities(&profile))
            .connect(&format!("http://127.0.0.1:{}", driver.port))
            .await
            .unwrap();
        driver.session = client.session_id().await.unwrap();
        Self {
            client,
            _driver: driver,
            _profile: profile,
        }
    }

    /// Everything that the pages have written to the console, and the browser's complaints, one
    /// text a line.
    pub async fn console(&self) -> Vec<String> {
        let log = self.client.issue_cmd(BrowserLog).await.unwrap();
        let entries = log.as_array().cloned().unwrap_or_default();
        entries
            .iter()
            .map(|entry| format!("{}: {}", entry["level"], entry["message"]))
            .collect()
    }

    /// The addresses of everything that the current page has fetched.
    pub async fn fetched(&self) -> Vec<String> {
        let script = "return performance.getEntriesByType('resource').map(entry => entry.name)";
        let names = self.client.execute(script, vec![]).await.unwrap();
        serde_json::from_value(names).unwrap()
    }

    /// Runs a script until it returns something other than null or false.
    ///
    /// # Panics
    /// With `what`, if it does not within 20 seconds.
    pub async fn until(&self, what: &str, script: &str) -> Value {
        let found = std::cell::RefCell::new(Value::Null);
        crate::until(what, || async {
            let value = self.client.execute(script, vec![]).await.unwrap();
            *found.borrow_mut() = value;
            !matches!(*found.borrow(), Value::Null | Value::Bool(false))
        })
        .await;
        found.into_inner()
    }
}

fn capabilities(profile: &tempfile::TempDir) -> Capabilities {
    let profile = format!("--user-data-dir={}", profile.path().display());
    let options = json!({
        "args": [
            "--headless",
            // Chromium's own sandbox does not work in containers and as root. These pages are ours.
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            "--window-size=1280,1400",
            profile,
        ],
    });
    let mut capabilities = Capabilities::new();
    capabilities.insert("goog:chromeOptions".to_owned(), options);
    capabilities.insert("goog:loggingPrefs".to_owned(), json!({ "browser": "ALL" }));
    capabilities
}

impl Driver {
    /// Starts it at a free port. Chromedriver looks for a port that is free with IPv6, and then
    /// takes the same one with IPv4, where a socket of another test may have it. It ends then, and
    /// we start another.
    fn start() -> Self {
        loop {
            let process = spawn();
            let printed = process.output().wait_for(START_LIMIT, |text| {
                let port = |(_, rest): (&str, &str)| Some(rest.split_once('.')?.0.to_owned());
                let started = text.split_once(STARTED).and_then(port);
                let taken = text.contains(PORT_TAKEN).then(String::new);
                started.or(taken)
            });
            let Some(port) = printed else {
                panic!("chromedriver printed:\n{}", process.output().text());
            };
            if !port.is_empty() {
                return Self {
                    _process: process,
                    port,
                    session: None,
                };
            }
        }
    }
}

fn spawn() -> Process {
    let program = std::env::var_os("EDGELATCH_CHROMEDRIVER_BIN");
    let mut command = Command::new(program.unwrap_or_else(|| "chromedriver".into()));
    Process::start(command.arg("--port=0"))
        .expect("no chromedriver could be started: `cargo xtask test` installs one")
}

impl Driver {
    /// Ends the session and the browser, which would outlive its driver.
    fn close(&self, session: &str) -> std::io::Result<()> {
        let mut stream = TcpStream::connect(format!("127.0.0.1:{}", self.port))?;
        stream.set_read_timeout(Some(SESSION_END_LIMIT))?;
        write!(
            stream,
            "DELETE /session/{session} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
        )?;
        // The answer arrives when the browser has ended.
        stream.read_exact(&mut [0])
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(session) = &self.session {
            let _ = self.close(session);
        }
    }
}

/// Chromedriver's command for reading the console.
#[derive(Debug)]
struct BrowserLog;

impl WebDriverCompatibleCommand for BrowserLog {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(json!({ "type": "browser" }).to_string()))
    }
}
