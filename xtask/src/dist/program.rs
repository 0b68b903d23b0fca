//! The program `edgelatch` for this machine's system, and its archive.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};

use super::archive::{self, Entry};
use crate::{build, step};

/// The completion scripts, under the names that the shells look for.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "edgelatch.bash"),
    ("zsh", "_edgelatch"),
    ("fish", "edgelatch.fish"),
];

/// Copied into the archive. `docs/cli.md` is its README.
const COPIED: [(&str, &str); 2] = [("docs/cli.md", "README.md"), ("LICENSE", "LICENSE")];

/// Builds the program of the project in `root` with these compiler flags. Returns its bytes.
pub(super) fn build(root: &Path, target: &Path, flags: &OsStr) -> anyhow::Result<Vec<u8>> {
    step::say("building the program edgelatch (about two minutes)");
    let mut cargo = build::cargo();
    cargo
        .args([
            "build",
            "--release",
            "--locked",
            "--package",
            "edgelatch-cli",
        ])
        .arg("--target-dir")
        .arg(target)
        .current_dir(root)
        .env("CARGO_ENCODED_RUSTFLAGS", flags);
    step::run(
        &mut cargo,
        "the program did not build: see the output above",
    )?;
    let file = target.join("release/edgelatch");
    fs::read(&file).with_context(|| format!("cannot read {}", file.display()))
}

/// The program's archive: its name without `.tar.gz`, and its bytes.
pub(super) fn pack(program: &[u8]) -> anyhow::Result<(String, Vec<u8>)> {
    let name = format!("edgelatch-{}-{}", env!("CARGO_PKG_VERSION"), system()?);
    let mut entries = vec![Entry {
        path: format!("{name}/edgelatch"),
        bytes: program.to_vec(),
        runs: true,
    }];
    for (file, copy) in COPIED {
        entries.push(Entry {
            path: format!("{name}/{copy}"),
            bytes: fs::read(build::root().join(file))?,
            runs: false,
        });
    }
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("edgelatch");
    fs::write(&file, program)?;
    make_executable(&file)?;
    for (shell, script) in COMPLETIONS {
        let output = Command::new(&file).args(["completions", shell]).output()?;
        ensure!(
            output.status.success(),
            "edgelatch completions {shell} failed"
        );
        entries.push(Entry {
            path: format!("{name}/completions/{script}"),
            bytes: output.stdout,
            runs: false,
        });
    }
    Ok((name, archive::pack(&entries)?))
}

fn make_executable(file: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(file, fs::Permissions::from_mode(0o755))
}

/// The target that the compiler builds for where none is named: `x86_64-unknown-linux-gnu`.
pub(super) fn system() -> anyhow::Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output()?;
    let text = String::from_utf8(output.stdout)?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV names no host")?.to_owned())
}
