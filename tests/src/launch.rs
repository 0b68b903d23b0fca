//! Launches the service: its manifest, its process, and the wait until it serves.

use std::path::{Path, PathBuf};

use crate::process::Process;
use crate::root;
use crate::runner::{self, START_LIMIT};

/// What a service is launched with, the first time and after a restart.
pub(crate) struct Launch {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) manifest: PathBuf,
    pub(crate) runtime_config: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
}

/// A manifest: a file that exists, or text for a new one.
pub(crate) enum Manifest {
    At(PathBuf),
    Text(String),
}

impl Manifest {
    /// The manifest's path. Text is written to `folder` first.
    pub(crate) fn written_to(self, folder: &Path) -> PathBuf {
        match self {
            Self::At(path) => path,
            Self::Text(text) => {
                let path = folder.join("spin.toml");
                std::fs::write(&path, text).unwrap();
                path
            }
        }
    }
}

/// The project's manifest, with the component that makes spans of its own.
pub fn manifest_with_spans() -> String {
    let text = std::fs::read_to_string(root().join("spin.toml")).unwrap();
    let target = root().join("target");
    let source = |from: &str| format!("source = \"{}", target.join(from).display());
    let api = "wasm32-wasip2/release/edgelatch.wasm";
    let with_spans = source(&format!("otel/{api}"));
    text.replace(&format!("source = \"target/{api}"), &with_spans)
        .replace("source = \"target/wasm32-wasip2", &source("wasm32-wasip2"))
}

impl Launch {
    /// Starts a process and waits until it serves. Returns the process and its address.
    pub(crate) fn start(&self, listen: &str) -> (Process, String) {
        let program = runner::program();
        let mut command = runner::up(&program, &self.manifest, listen, &self.runtime_config);
        command
            .arg("--state-dir")
            .arg(self.folder.path().join("state"))
            .args(runner::more_flags(&self.arguments))
            .args(&self.arguments)
            .current_dir(self.folder.path());
        for (name, value) in &self.environment {
            command.env(name, value);
        }
        let process = Process::start(&mut command)
            .expect("the service could not be started: `cargo xtask test` builds it");
        let serving = process.output().wait_for(START_LIMIT, |text| {
            let lines = text.lines();
            let url = lines.filter_map(|line| line.strip_prefix("Serving http://"));
            url.map(|address| address.trim().to_owned()).next()
        });
        let Some(address) = serving else {
            let printed = process.output().text();
            panic!("the service does not serve; it printed:\n{printed}");
        };
        (process, address)
    }
}
