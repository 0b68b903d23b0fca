//! Starting a process that serves, and the manifest that it serves.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use crate::output::Output;
use crate::root;
use crate::runner::{self, START_LIMIT};

/// What a service is launched with, the first time and again.
pub(crate) struct Launch {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) manifest: PathBuf,
    pub(crate) runtime_config: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
}

/// Where a manifest is, or what it says.
pub(crate) enum Manifest {
    At(PathBuf),
    Text(String),
}

impl Manifest {
    /// Where it is, once it is in `folder` if it was nowhere.
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
    text.replace(
        "source = \"target/wasm32-wasip2",
        &source("otel/wasm32-wasip2"),
    )
    .replace("source = \"target/pages", &source("pages"))
}

impl Launch {
    /// Starts a process and waits until it serves. Returns it, what it prints, and its address.
    pub(crate) fn start(&self, listen: &str) -> (Child, Output, String) {
        let mut command = runner::program();
        command
            .arg("up")
            .arg("--from")
            .arg(&self.manifest)
            .args(["--listen", listen])
            .arg("--runtime-config-file")
            .arg(&self.runtime_config)
            .arg("--state-dir")
            .arg(self.folder.path().join("state"))
            .args(&self.arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for (name, value) in &self.environment {
            command.env(name, value);
        }
        let mut process = command
            .spawn()
            .expect("the service could not be started: `cargo xtask test` builds it");
        let output = Output::default();
        output.gather(process.stdout.take().unwrap());
        output.gather(process.stderr.take().unwrap());
        let serving = output.wait_for(START_LIMIT, |text| {
            let lines = text.lines();
            let url = lines.filter_map(|line| line.strip_prefix("Serving http://"));
            url.map(|address| address.trim().to_owned()).next()
        });
        let Some(address) = serving else {
            let _ = process.kill();
            panic!("the service does not serve; it printed:\n{}", output.text());
        };
        (process, output, address)
    }
}
