//! Runs the program.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::Once;
use std::time::{Duration, Instant};

use edgelatch_tests::App;
use nix::sys::signal::{SigHandler, Signal, signal};

/// Its path. Cargo says where it is now: what was compiled in another clone that shares the target
/// folder counts as fresh.
pub(crate) fn path() -> std::ffi::OsString {
    static ONCE: Once = Once::new();
    ONCE.call_once(heed_signals);
    std::env::var_os("CARGO_BIN_EXE_edgelatch")
        .unwrap_or_else(|| env!("CARGO_BIN_EXE_edgelatch").into())
}

/// Whoever runs the tests may ignore signals, as a shell does for what it starts in the background.
/// The program would inherit that from us, and keep it.
fn heed_signals() {
    for of in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT] {
        #[expect(unsafe_code, reason = "so is every change of what signals do")]
        // SAFETY: no handler is set.
        unsafe { signal(of, SigHandler::SigDfl) }.unwrap();
    }
}

/// `edgelatch <arguments>`, without what the environment says.
pub(crate) fn edgelatch(url: &str, arguments: &str) -> Command {
    let mut command = Command::new(path());
    command
        .args(arguments.split_whitespace())
        .env("EDGELATCH_URL", url)
        .env("NO_PROXY", "*");
    for name in ["http_proxy", "https_proxy", "all_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    for name in ["TOKEN", "TOKEN_FILE", "USER_ID", "OWNER", "CACERT"] {
        command.env_remove(format!("EDGELATCH_{name}"));
    }
    command
}

pub(crate) fn url(app: &App) -> String {
    format!("http://{}", app.address())
}

/// What a run of the program gave.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Runs `edgelatch <arguments>` to its end.
pub(crate) fn run(app: &App, arguments: &str) -> Run {
    edgelatch(&url(app), arguments).output().unwrap().into()
}

/// The same, with arguments that may have spaces.
pub(crate) fn run_with(app: &App, arguments: &[&str], input: &str) -> Run {
    let mut process = edgelatch(&url(app), "")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = process.stdin.take().unwrap();
    // A program that does not read has ended.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    process.wait_with_output().unwrap().into()
}

/// A command under a lock.
pub(crate) struct Locked {
    process: Child,
    pub(crate) output: BufReader<ChildStdout>,
}

impl Locked {
    /// Starts `edgelatch lock <arguments> -- sh -c <script>` at this service.
    pub(crate) fn start(app: &App, arguments: &str, script: &str) -> Self {
        Self::start_at(&url(app), arguments, script)
    }

    pub(crate) fn start_at(url: &str, arguments: &str, script: &str) -> Self {
        Self::of(edgelatch(url, &format!("lock {arguments}")).args(["--", "sh", "-c", script]))
    }

    /// Starts this command, which becomes `edgelatch lock`.
    pub(crate) fn of(command: &mut Command) -> Self {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self { process, output }
    }

    /// Waits for the command's next line.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// Closes the command's input.
    pub(crate) fn end(&mut self) {
        drop(self.process.stdin.take());
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for its end. Returns the exit code, as a shell has it, and its stderr.
    pub(crate) fn wait(mut self) -> (Option<i32>, String) {
        let status = self.status();
        let mut said = String::new();
        let mut stderr = self.process.stderr.take().unwrap();
        stderr.read_to_string(&mut said).unwrap();
        let by_signal = status.signal().map(|number| 128 + number);
        (status.code().or(by_signal), said)
    }

    pub(crate) fn status(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "it goes on");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs a script under a lock to its end. Returns the exit code and its stderr.
pub(crate) fn run_locked(app: &App, arguments: &str, script: &str) -> (Option<i32>, String) {
    Locked::start(app, arguments, script).wait()
}
