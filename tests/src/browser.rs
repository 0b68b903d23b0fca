//! A headless Chromium, for what a person would look at.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder};
use http::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use url::{ParseError, Url};

use crate::output::Output;

/// How long the driver may take to start.
const START_LIMIT: Duration = Duration::from_secs(30);

/// A browser with an empty profile that can reach this machine and nothing else. Ended on drop.
pub struct Browser {
    driver: Child,
    /// The browser, to be told what to do.
    pub client: Client,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts one.
    ///
    /// # Panics
    /// If there is no `chromedriver`, or no Chromium behind it.
    pub async fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let program = std::env::var_os("EDGELATCH_CHROMEDRIVER_BIN");
        let mut driver = Command::new(program.unwrap_or_else(|| "chromedriver".into()))
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("no chromedriver could be started: `cargo xtask test` installs one");
        let output = Output::default();
        output.gather(driver.stdout.take().unwrap());
        let port = output.wait_for(START_LIMIT, |text| {
            let (_, rest) = text.split_once("started successfully on port ")?;
            rest.split_once('.').map(|(port, _)| port.to_owned())
        });
        let port = port.unwrap_or_else(|| panic!("chromedriver printed:\n{}", output.text()));
        // Chromedriver is on this machine and speaks no TLS.
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities(&profile))
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .unwrap();
        Self {
            driver,
            client,
            _profile: profile,
        }
    }

    /// Everything that the pages so far have written to the console, and what the browser has complained of: one text a line.
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

    /// Runs a script until it returns something else than null or false.
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
            // Chromium's own sandbox is not to be had in containers and as root; these pages are ours.
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

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser ends with its driver.
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// Chromedriver's way to the console.
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
