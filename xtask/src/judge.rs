//! The outside judges: programs that know nothing of this project but what `openapi.json` says of it.
//!
//! `openapi-spec-validator` says whether the document is OpenAPI; `schemathesis` makes requests up from it, good ones and bad ones and
//! sequences of them, sends them to the service, and holds every answer against it. How it judges: `tests/schemathesis.toml`
//! and `tests/schemathesis_hooks.py`.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};
use clap::Args;

use crate::build::Spans;
use crate::redis::PrivateRedis;
use crate::service::{Background, Runner};
use crate::{build, python, signals, step};

/// What callers must present as bearer token, so that it is judged that they must.
const API_TOKEN: &str = "a-token-for-the-judges";

/// Let schemathesis try the service for longer than `cargo xtask test` does.
#[derive(Args)]
pub(crate) struct Judge {
    /// How many requests to make up for each operation
    #[arg(long, value_name = "N", default_value_t = 1000)]
    max_examples: u32,
    /// Where chance begins: the same seed makes the same requests, but for what they take from answers. Without it, any
    #[arg(long)]
    seed: Option<u32>,
}

impl Judge {
    /// As a part of the tests: the same requests every time.
    pub(crate) fn of_tests() -> Self {
        Self {
            max_examples: 60,
            seed: Some(1),
        }
    }

    /// Runs both judges.
    ///
    /// # Errors
    /// Where either finds a fault.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        signals::pass_on()?;
        validate()?;
        let folder = build::target().join("judging");
        std::fs::create_dir_all(&folder)?;
        let log = folder.join("service.log");
        let mut command = Runner::of_tests().command("127.0.0.1:0", Spans::Without)?;
        forget_settings(&mut command);
        // What is declared later is dropped, and so stopped, first.
        let redis = PrivateRedis::start()?;
        redis.serve_to(&mut command);
        command
            .env("SPIN_VARIABLE_API_TOKEN", API_TOKEN)
            .arg("--state-dir")
            .arg(folder.join("state"));
        let mut service = Background::start(&mut command, &log)?;
        let passed = self.schemathesis(service.address(), &folder);
        if !service.runs() {
            bail!(
                "the service ended while it was tried: see {}",
                log.display()
            );
        }
        let cases =
            passed.with_context(|| format!("what the service logged: {}", log.display()))?;
        step::say(
            "openapi-spec-validator found openapi.json valid; schemathesis found nothing to say against the service:",
        );
        eprintln!("schemathesis: {cases} passed, 0 failed");
        Ok(())
    }

    /// Returns how many answers it has judged.
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
            // It keeps what it has learnt in the folder that it is run in.
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
            0 => bail!("schemathesis judged nothing: see the output above"),
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

/// Settings of whoever runs this are not the ones to be judged.
pub(crate) fn forget_settings(command: &mut Command) {
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
    let program = command.get_program().to_string_lossy().into_owned();
    let mut process = command
        .spawn()
        .with_context(|| format!("`{program}` could not be started"))?;
    let ended = signals::wait(&mut process)?;
    if ended.asked_to {
        bail!("stopped");
    }
    if !ended.status.success() {
        bail!("{failed}");
    }
    Ok(())
}
