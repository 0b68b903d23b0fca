//! `cargo xtask bench`: builds or installs the service, its peers and the load generator, then runs
//! the benchmark, which is a program of its own (`bench/`).

use std::process::Command;

use crate::install::Program;
use crate::service::{self, Runner};
use crate::{build, install, python, signals, step};

/// Programs that only some cases need, and the variables that name them. Where one can't be
/// installed, those cases fail, and the others are measured.
const OF_SOME_CASES: [(&str, Program); 3] = [
    ("EDGELATCH_BENCH_WEBDIS", install::WEBDIS),
    ("EDGELATCH_BENCH_ETCD", install::ETCD),
    ("EDGELATCH_BENCH_OPENSSL", install::OPENSSL),
];

/// Builds everything that is compared, and runs the benchmark with these arguments.
///
/// # Errors
/// If something can't be built, installed or measured.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    // Printing the usage needs no builds and installations.
    let only_usage = arguments.iter().any(|it| it == "--help" || it == "-h");
    let program = build::program("edgelatch-bench")?;
    let mut bench = Command::new(program);
    bench.args(arguments).current_dir(build::root());
    if !only_usage {
        anyhow::ensure!(
            cfg!(target_os = "linux"),
            "the benchmark reads processor time and memory from /proc, so it runs on Linux only"
        );
        prepare(&mut bench, wanted_runner(arguments))?;
    }
    signals::pass_on()?;
    let ended = signals::run(&mut bench)?;
    anyhow::ensure!(
        ended.status.success(),
        "the benchmark failed: see the output above"
    );
    Ok(())
}

/// Builds and installs, and tells the benchmark where everything is.
fn prepare(bench: &mut Command, runner: Runner) -> anyhow::Result<()> {
    let redis = install::REDIS.find_or_install()?;
    let wrk = install::WRK.find_or_install()?;
    let python = python::FASTAPI.interpreter()?;
    build::components(build::Spans::Without)?;
    build::least_component()?;
    let native = build::program("edgelatch-bench-native")?;
    let runner = match runner {
        Runner::Host => {
            build::host()?;
            build::host_binary()
        }
        Runner::Spin => service::spin()?,
    };
    for (name, program) in &OF_SOME_CASES {
        match program.find_or_install() {
            Ok(path) => bench.env(name, path),
            Err(missing) => bench.env(format!("{name}_MISSING"), format!("{missing:#}")),
        };
    }
    step::say("measuring: leave the machine idle otherwise");
    bench
        .env("EDGELATCH_REDIS_BIN", redis)
        .env("EDGELATCH_BENCH_WRK", wrk)
        .env("EDGELATCH_BENCH_PYTHON", python)
        .env("EDGELATCH_BENCH_NATIVE", native)
        .env("EDGELATCH_BENCH_RUNNER_BIN", runner);
    Ok(())
}

/// The benchmark parses its own arguments. We only need to know which runner it will use.
fn wanted_runner(arguments: &[String]) -> Runner {
    let spin = arguments.iter().any(|it| it == "--runner=spin")
        || arguments.windows(2).any(|it| it == ["--runner", "spin"]);
    if spin { Runner::Spin } else { Runner::Host }
}
