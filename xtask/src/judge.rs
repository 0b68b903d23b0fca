//! Two external tools check the API. They know nothing of this project but `openapi.json`.
//!
//! `openapi-spec-validator` checks that the document is valid OpenAPI. `schemathesis` generates
//! valid and invalid requests and sequences of them from the document, sends them to the service,
//! and checks every answer against the document. `tests/schemathesis.toml` and
//! `tests/schemathesis_hooks.py` configure it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};
use clap::Args;

use crate::build::Spans;
use crate::redis::PrivateRedis;
use crate::service::{Background, Runner};
use crate::{build, python, signals, step};

/// The bearer token of the service under test, so that authentication is checked, too.
const API_TOKEN: &str = "a-token-for-the-judges";

/// Check the API with schemathesis for longer than `cargo xtask test` does.
#[derive(Args)]
pub(crate) struct Judge {
    /// How many requests to generate for each operation
    #[arg(long, value_name = "N", default_value_t = 1000)]
    max_examples: u32,
    /// Seed of the generator: the same seed generates the same requests, except for values that
    /// come from answers. The default is random
    #[arg(long)]
    seed: Option<u32>,
}

impl Judge {
    /// For the tests: the same requests every time.
    pub(crate) fn of_tests() -> Self {
        Self {
            max_examples: 60,
            seed: Some(1),
        }
    }

    /// Runs both tools.
    ///
    /// # Errors
    /// If one of them finds a fault.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        signals::pass_on()?;
        validate()?;
        let folder = build::target().join("judging");
        std::fs::create_dir_all(&folder)?;
        let log = folder.join("service.log");
        let mut command = Runner::of_tests().command("127.0.0.1:0", Spans::Without)?;
        forget_settings(&mut command);
        // Dropped in reverse order: the service stops before its Redis.
        let redis = PrivateRedis::start()?;
        redis.serve_to(&mut command);
        command
            .env("SPIN_VARIABLE_API_TOKEN", API_TOKEN)
            .arg("--state-dir")
            .arg(folder.join("state"));
        let mut service = Background::start(&mut command, &log)?;
        let passed = self.schemathesis(service.address(), &folder);
        if !service.runs() {
            bail!("the service ended during the checks: see {}", log.display());
        }
        let cases = passed.with_context(|| format!("the service's log: {}", log.display()))?;
        step::say(
            "openapi-spec-validator accepts openapi.json; schemathesis found no fault in the service:",
        );
        eprintln!("schemathesis: {cases} passed, 0 failed");
        Ok(())
    }

    /// Returns how many answers were checked.
    fn schemathesis(&self, address: &str, folder: &Path) -> anyhow::Result<u64> {
        let tests = build::root().join("tests");
        let report = folder.join("report.json");
        let mut command = python::JUDGES.module("schemathesis.cli")?;
        command
            .arg("--config-file")
            .arg(tests.join("schemathesis.toml"))
            .arg("run")
            .arg(format!("http://{address}/openapi.json"))
            .args(["--header", &format!("Authorization: Bearer {API_TOKEN}")])
            .args(["--max-examples", &self.max_examples.to_string()])
            .args(
                self.seed
                    .iter()
                    .flat_map(|seed| ["--seed".to_owned(), seed.to_string()]),
            )
            .args(["--report", "json", "--report-json-path"])
            .arg(&report)
            // schemathesis keeps what it has learnt in its working folder.
            .current_dir(folder)
            .env("SCHEMATHESIS_HOOKS", tests.join("schemathesis_hooks.py"))
            .env("NO_PROXY", "*");
        step::say(format_args!(
            "schemathesis: up to {} requests for each operation, at http://{address}",
            self.max_examples
        ));
        wait_for(
            &mut command,
            "schemathesis found faults: see the output above",
        )?;
        let report = std::fs::read(&report)?;
        let report: serde_json::Value = serde_json::from_slice(&report)?;
        let count = |name: &str| report["test_cases"][name].as_u64().unwrap_or(0);
        match count("generated").saturating_sub(count("without_checks")) {
            0 => bail!("schemathesis checked nothing: see the output above"),
            cases => Ok(cases),
        }
    }
}

fn validate() -> anyhow::Result<()> {
    step::say("openapi-spec-validator: openapi.json");
    let mut command = python::JUDGES.module("openapi_spec_validator")?;
    command.arg("openapi.json").current_dir(build::root());
    wait_for(
        &mut command,
        "openapi.json is not valid OpenAPI: see the output above",
    )
}

/// Removes the caller's own settings, which are not under test.
fn forget_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| name.starts_with("SPIN_VARIABLE_"))
        {
            command.env_remove(name);
        }
    }
}

fn wait_for(command: &mut Command, failed: &str) -> anyhow::Result<()> {
    let ended = signals::run(command)?;
    if ended.asked_to {
        bail!("stopped");
    }
    if !ended.status.success() {
        bail!("{failed}");
    }
    Ok(())
}
