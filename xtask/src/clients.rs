//! `cargo xtask clients`: checks the clients in `clients/` with the tools of their languages,
//! against the built service and real Redis servers.

mod typescript;

use std::path::Path;
use std::process::Command;

use clap::Subcommand;

use crate::build::Spans;
use crate::python::Environment;
use crate::{build, install, judge, step};

/// What checks the Python client.
const PYTHON: Environment = Environment {
    name: "clients-python",
    requirements: "clients/python/requirements.txt",
    what: "the tools of the Python client",
};

/// A client.
#[derive(Subcommand)]
pub(crate) enum Client {
    /// ruff, mypy, pytest and build
    Python,
    /// Biome, tsc and node's test runner
    Typescript,
}

impl Client {
    /// Builds the service and checks the client.
    ///
    /// # Errors
    /// If a check fails.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        build::host_beside(|| build::components(Spans::Without))?;
        match self {
            Self::Python => python(),
            Self::Typescript => typescript::check(),
        }
    }
}

/// Checks all clients against the service, which is built.
///
/// # Errors
/// If a check fails.
pub(crate) fn check() -> anyhow::Result<()> {
    python()?;
    typescript::check()
}

fn python() -> anyhow::Result<()> {
    const CHECKS: [&[&str]; 5] = [
        &["ruff", "check", "--no-cache"],
        &["ruff", "format", "--check", "--no-cache"],
        &["mypy"],
        &["pytest", "-p", "no:cacheprovider"],
        &["build", "--no-isolation", "--outdir"],
    ];
    let redis = install::REDIS.find_or_install()?;
    let built = build::target().join("clients");
    for check in CHECKS {
        let (module, arguments) = check.split_first().unwrap_or((&"", &[]));
        step::say(format_args!("the Python client: {}", check.join(" ")));
        let mut command = PYTHON.module(module)?;
        command.args(arguments);
        if *module == "build" {
            command.arg(&built);
        }
        judge::forget_settings(&mut command);
        serve_to(&mut command, &redis);
        command
            .current_dir(build::root().join("clients/python"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("MYPY_CACHE_DIR", build::target().join("mypy"));
        step::run(
            &mut command,
            &format!("{module} found faults in the Python client: see the output above"),
        )?;
    }
    Ok(())
}

/// Names what the tests of a client start: the service and its Redis.
fn serve_to(tests: &mut Command, redis: &Path) {
    tests
        .env("EDGELATCH_HOST", build::host_binary())
        .env("EDGELATCH_MANIFEST", build::root().join("spin.toml"))
        .env("EDGELATCH_REDIS_BIN", redis)
        .env("NO_PROXY", "*");
}
