//! What is in each thing that is deployed: CycloneDX documents of `cargo cyclonedx`.
//!
//! The tool writes beside every Cargo.toml, so it works on a copy of the project.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::{build, install, step};

/// Runs `cargo cyclonedx` in `copy` for a target.
fn describe(tool: &Path, copy: &Path, target: &str) -> anyhow::Result<()> {
    let mut cargo = build::cargo();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folder = tool.parent().map(Path::to_owned);
    let folders = folder.into_iter().chain(std::env::split_paths(&path));
    cargo
        .args(["cyclonedx", "--format", "json", "--spec-version", "1.5"])
        .args(["--no-build-deps", "--quiet", "--quiet", "--target", target])
        .current_dir(copy)
        .env("PATH", std::env::join_paths(folders)?)
        // With it there is no random serial number, and the time is fixed.
        .env("SOURCE_DATE_EPOCH", "0");
    step::run(&mut cargo, "cargo cyclonedx failed: see the output above")
}

/// What one file contains.
pub(super) struct Sbom {
    /// The name of its own file.
    pub(super) name: String,
    pub(super) json: String,
}

/// The documents for the components and for the program, if there is an archive of it. `copy` is a
/// copy of the project.
pub(super) fn make(copy: &Path, archive: Option<&str>) -> anyhow::Result<Vec<Sbom>> {
    let tool = install::CYCLONEDX.find_or_install()?;
    step::say("writing what is in each of them (CycloneDX)");
    let copy = copy.canonicalize()?;
    let read = |file: &str, name: &str| -> anyhow::Result<Sbom> {
        let file: PathBuf = copy.join(file);
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        Ok(Sbom {
            name: format!("{name}.cdx.json"),
            // The copy is in a folder with a random name.
            json: text.replace(&copy.display().to_string(), "/edgelatch"),
        })
    };
    describe(&tool, &copy, build::TARGET)?;
    let mut documents = vec![
        read("edgelatch.cdx.json", "edgelatch.wasm")?,
        read("pages/edgelatch-pages.cdx.json", "pages.wasm")?,
    ];
    if let Some(archive) = archive {
        describe(&tool, &copy, &super::program::system()?)?;
        documents.push(read("cli/edgelatch-cli.cdx.json", archive)?);
    }
    Ok(documents)
}
