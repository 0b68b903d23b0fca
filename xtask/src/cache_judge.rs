//! An outside judge of the read-through: `http-cache-tests`, the suite behind
//! <https://cache-tests.fyi>.
//!
//! `tests/cache_tests/judge.mjs` stands between the suite and the service. The tests that are not
//! asked for are in `tests/cache_tests/not_asked.json`, each with the reason.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context as _, bail};

use crate::build::Spans;
use crate::redis::PrivateRedis;
use crate::service::{Background, Runner};
use crate::{build, install, judge, signals, step};

/// The suite, in npm's format.
const SUITE: &str = "http-cache-tests@0.4.5";

/// Settings under which what the suite asks for can be seen: nothing is kept without an explicit
/// lifetime, nothing is served stale but for an origin that is down, and a failure is the origin's.
const VARIABLES: [(&str, &str); 3] = [
    ("CACHE_EXPIRE", "0.001"),
    ("STALE_WHILE_REVALIDATE", "0"),
    ("ORIGIN_PASSTHROUGH", "true"),
];

/// Runs the suite.
///
/// # Errors
/// Where a test fails, or the list names one that the suite does not have.
pub(crate) fn run() -> anyhow::Result<()> {
    signals::pass_on()?;
    let folder = build::target().join("cache-tests");
    let suite = installed(&folder)?;
    let tests = build::root().join("tests/cache_tests");
    let mut judge = Command::new("node")
        .arg(tests.join("judge.mjs"))
        .arg(&suite)
        .arg(tests.join("not_asked.json"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("`node` could not be started")?;
    let judged = judged(&mut judge, &folder);
    if judged.is_err() {
        let _ = judge.kill();
    }
    let ended = signals::wait(&mut judge)?;
    judged?;
    if ended.asked_to {
        bail!("stopped");
    }
    if !ended.status.success() {
        bail!("http-cache-tests found faults: see the output above");
    }
    Ok(())
}

/// Serves to the judge until it has printed its last line.
fn judged(judge: &mut Child, folder: &Path) -> anyhow::Result<()> {
    let output = judge.stdout.take().context("no output to read")?;
    let mut lines = BufReader::new(output).lines();
    let origin = origin(&mut lines)?;
    let mut command = Runner::of_tests().command("127.0.0.1:0", Spans::Without)?;
    judge::forget_settings(&mut command);
    // What is declared later is dropped, and so stopped, first.
    let redis = PrivateRedis::start()?;
    redis.serve_to(&mut command);
    command.env("SPIN_VARIABLE_ORIGIN", &origin);
    for (name, value) in VARIABLES {
        command.env(format!("SPIN_VARIABLE_{name}"), value);
    }
    command.arg("--state-dir").arg(folder.join("state"));
    let log = folder.join("service.log");
    let service = Background::start(&mut command, &log)?;
    step::say(format_args!(
        "{SUITE} at http://{}, whose log is {}",
        service.address(),
        log.display()
    ));
    let mut input = judge.stdin.take().context("no input to write to")?;
    writeln!(input, "{}", service.address())?;
    for line in lines {
        eprintln!("{}", line?);
    }
    Ok(())
}

fn origin(lines: &mut std::io::Lines<BufReader<ChildStdout>>) -> anyhow::Result<String> {
    let line = lines.next().context("the judge ended at once")??;
    let origin = line.strip_prefix("origin ");
    Ok(origin.context("the judge names no origin")?.to_owned())
}

/// The folder of the suite. None of its dependencies is needed: the judge brings its own client.
fn installed(folder: &Path) -> anyhow::Result<PathBuf> {
    let suite = folder.join(SUITE);
    if suite.join("package.json").is_file() {
        return Ok(suite);
    }
    let npm = install::NPM.find_or_install()?;
    step::say(format_args!("fetching {SUITE}"));
    std::fs::create_dir_all(folder)?;
    let failed = format!("npm could not fetch {SUITE}: see the output above");
    let mut pack = Command::new(npm);
    pack.args(["pack", SUITE, "--silent"]).current_dir(folder);
    step::run(&mut pack, &failed)?;
    let archive = format!("{}.tgz", SUITE.replace('@', "-"));
    let mut unpack = Command::new("tar");
    unpack.args(["xzf", &archive]).current_dir(folder);
    step::run(&mut unpack, "the suite could not be unpacked")?;
    std::fs::rename(folder.join("package"), &suite)?;
    Ok(suite)
}
