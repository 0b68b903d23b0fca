//! `cargo xtask dist`: everything that is deployed, in one folder, and the proof that another build
//! gives the same bytes.
//!
//! The compiler writes the paths of sources into a component, for its panics. We map them to paths
//! that are the same everywhere, and do the same for the program `edgelatch`. Then we build all of
//! it again from a copy of the project in another folder, and compare.

mod archive;
mod program;
mod sbom;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use sha2::{Digest as _, Sha256};
use toml::{Table, Value};

use crate::build::Spans;
use crate::{build, interface, manifest, step};

/// Copied beside the components and the manifest.
const COPIED: [&str; 3] = ["openapi.json", "runtime-config.toml", "LICENSE"];

/// Separates arguments in CARGO_ENCODED_RUSTFLAGS (Cargo's reference, "Environment variables").
const UNIT_SEPARATOR: &str = "\x1f";

/// Build what is deployed.
#[derive(Args)]
pub(crate) struct Dist {
    /// Build once, without the proof that the build is reproducible
    #[arg(long)]
    once: bool,
    /// With spans of its own. Spin provides their interface only with `spin up
    /// --experimental-wasi-otel`
    #[arg(long)]
    otel: bool,
    /// Without the program `edgelatch`
    #[arg(long)]
    no_program: bool,
    /// Without the lists of what is in each file, which need a tool that cargo installs
    #[arg(long)]
    no_sbom: bool,
}

impl Dist {
    /// Writes `target/dist`.
    ///
    /// # Errors
    /// If a component imports something that spin.toml does not grant, or if the second build
    /// differs.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        build::install_target()?;
        let dist = build::target().join("dist");
        if dist.exists() {
            fs::remove_dir_all(&dist)?;
        }
        fs::create_dir_all(&dist)?;
        let built = self.build_from(build::root())?;
        for (id, bytes) in &built.components {
            fs::write(dist.join(format!("{id}.wasm")), bytes)?;
        }
        for file in COPIED {
            fs::copy(build::root().join(file), dist.join(file))?;
        }
        let text = fs::read_to_string(build::root().join("spin.toml"))?;
        fs::write(dist.join("spin.toml"), beside_components(&text)?)?;
        interface::check_manifest(&dist.join("spin.toml"), self.spans(), describe)?;
        step::say("every component imports only what spin.toml grants it");
        let copy = tempfile::tempdir()?;
        copy_sources(build::root(), copy.path())?;
        if self.once {
            step::say("built once, without the proof that the build is reproducible");
        } else {
            let again = self.build_from(copy.path())?;
            compare(&built.components, &again.components)?;
            compare(&built.program, &again.program)?;
            step::say("reproducible: a copy in another folder gave the same bytes");
        }
        let mut archive = None;
        for (_, bytes) in &built.program {
            let (name, packed) = program::pack(bytes)?;
            fs::write(dist.join(format!("{name}.tar.gz")), packed)?;
            archive = Some(name);
        }
        if !self.no_sbom {
            for document in sbom::make(copy.path(), archive.as_deref())? {
                fs::write(dist.join(document.name), document.json)?;
            }
        }
        let sums = sums(&dist)?;
        fs::write(dist.join("SHA256SUMS"), &sums)?;
        print(&sums);
        step::say(format_args!("written: {}", dist.display()));
        Ok(())
    }
}

impl Dist {
    fn spans(&self) -> Spans {
        Spans::wanted(self.otel)
    }

    /// Builds the project in `root` from scratch.
    fn build_from(&self, root: &Path) -> anyhow::Result<Built> {
        step::say(format_args!("building from scratch in {}", root.display()));
        let target = tempfile::tempdir()?;
        let flags = same_everywhere(root, target.path())?;
        build::components_into(target.path(), self.spans(), &|cargo| {
            cargo
                .current_dir(root)
                .arg("--locked")
                .env("CARGO_ENCODED_RUSTFLAGS", &flags);
        })?;
        let components = manifest::components(&root.join("spin.toml"))?;
        let read = |component: manifest::Component| {
            let file = target.path().join(&component.source);
            let bytes =
                fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            Ok((component.id, bytes))
        };
        let components = components.into_iter().map(read);
        let components = components.collect::<anyhow::Result<_>>()?;
        let mut program = Files::new();
        if !self.no_program {
            let bytes = program::build(root, &target.path().join("target"), &flags)?;
            program.push(("edgelatch".to_owned(), bytes));
        }
        Ok(Built {
            components,
            program,
        })
    }
}

/// Files by their names.
type Files = Vec<(String, Vec<u8>)>;

/// What is built.
struct Built {
    /// The components by their ids.
    components: Files,
    /// The program, unless it is left out.
    program: Files,
}

/// Compiler flags that map the paths of the project, of the libraries and of what build scripts
/// write to fixed ones.
fn same_everywhere(root: &Path, target: &Path) -> anyhow::Result<OsString> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let registries = home
        .context("no CARGO_HOME and no home folder")?
        .join("registry/src");
    let mut prefixes = vec![
        (root.to_owned(), "/edgelatch"),
        (target.to_owned(), "/target"),
    ];
    if registries.is_dir() {
        // One folder for each registry. Its name has a hash of the registry's address.
        for folder in fs::read_dir(&registries)? {
            prefixes.push((folder?.path(), "/registry"));
        }
    }
    let mut flags = OsString::new();
    for (prefix, name) in prefixes {
        if !flags.is_empty() {
            flags.push(UNIT_SEPARATOR);
        }
        flags.push("--remap-path-prefix=");
        flags.push(prefix);
        flags.push("=");
        flags.push(name);
    }
    Ok(flags)
}

/// The manifest for components that lie beside it and are not built.
fn beside_components(text: &str) -> anyhow::Result<String> {
    let mut lines = Vec::new();
    let mut component = String::new();
    let mut building = false;
    for line in text.lines() {
        if let Some(header) = line.strip_prefix("[component.") {
            let name = header.trim_end_matches(']');
            building = name.ends_with(".build");
            name.split('.')
                .next()
                .unwrap_or(name)
                .clone_into(&mut component);
        }
        if line.is_empty() {
            building = false;
        }
        if line.starts_with("source = ") {
            lines.push(format!("source = \"{component}.wasm\""));
        } else if !building {
            lines.push(line.to_owned());
        }
    }
    lines.dedup_by(|line, before| line.is_empty() && before.is_empty());
    let written = lines.join("\n").trim_end().to_owned() + "\n";
    ensure!(
        toml::from_str::<Table>(&written)? == expected(text)?,
        "`cargo xtask dist` can't adapt this spin.toml line by line: change `beside_components`"
    );
    Ok(written)
}

/// The content that the adapted manifest must have, derived from the parsed original.
fn expected(text: &str) -> anyhow::Result<Table> {
    let mut manifest: Table = toml::from_str(text)?;
    let components = manifest.get_mut("component").and_then(Value::as_table_mut);
    for (id, component) in components.into_iter().flatten() {
        let component = component.as_table_mut().context("a component is a table")?;
        component.remove("build");
        component.insert("source".into(), Value::String(format!("{id}.wasm")));
    }
    Ok(manifest)
}

/// Copies everything except build output and Git's folder.
fn copy_sources(from: &Path, to: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        if [".git", "target"].iter().any(|left_out| name == *left_out) {
            continue;
        }
        let copy = to.join(&name);
        if kind.is_dir() {
            fs::create_dir(&copy)?;
            copy_sources(&entry.path(), &copy)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), &copy)?;
        }
    }
    Ok(())
}

fn compare(first: &Files, second: &Files) -> anyhow::Result<()> {
    for ((id, one), (_, other)) in first.iter().zip(second) {
        if one != other {
            let at = one.iter().zip(other).position(|(one, other)| one != other);
            bail!(
                "{id} is not reproducible: {} and {} bytes, different from byte {} on",
                one.len(),
                other.len(),
                at.unwrap_or(one.len().min(other.len())),
            );
        }
    }
    Ok(())
}

fn describe(component: &interface::Inspected<'_>) {
    let mut text = format!("{}.wasm, {} bytes\n", component.id, component.bytes.len());
    for (what, names) in [
        ("imports", &component.interface.imports),
        ("exports", &component.interface.exports),
    ] {
        for name in names {
            text += &format!("  {what} {name}\n");
        }
    }
    print(&text);
}

/// The SHA-256 of every file, as `sha256sum --check` reads it.
fn sums(folder: &Path) -> anyhow::Result<String> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        files.push(entry?.path());
    }
    files.sort();
    let mut sums = String::new();
    for file in files {
        let name = file.file_name().unwrap_or_default().display();
        for byte in Sha256::digest(fs::read(&file)?) {
            write!(sums, "{byte:02x}")?;
        }
        writeln!(sums, "  {name}")?;
    }
    Ok(sums)
}

fn print(text: &str) {
    eprint!("{text}");
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn the_manifest_can_be_adapted() {
        let text = fs::read_to_string(build::root().join("spin.toml")).unwrap();
        let adapted = beside_components(&text).unwrap();
        assert!(
            adapted.contains("\nsource = \"edgelatch.wasm\"\n"),
            "{adapted}"
        );
        assert!(adapted.contains("\nsource = \"pages.wasm\"\n"), "{adapted}");
        assert!(!adapted.contains("cargo"), "{adapted}");
        assert!(adapted.contains("[variables]"), "{adapted}");
    }

    #[test]
    fn a_difference_is_found() {
        let built = |bytes: &[u8]| vec![("c".to_owned(), bytes.to_vec())];
        assert!(compare(&built(b"same"), &built(b"same")).is_ok());
        let fault = compare(&built(b"same"), &built(b"sane")).unwrap_err();
        assert!(fault.to_string().ends_with("from byte 2 on"), "{fault}");
        assert!(compare(&built(b"same"), &built(b"sames")).is_err());
    }
}
