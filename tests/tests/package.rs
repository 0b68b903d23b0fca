//! What `cargo publish` would upload: what the library is built from, and nothing else.

#![expect(
    clippy::unwrap_used,
    reason = "a failed expectation is how a test fails"
)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use edgelatch_tests::root;

/// Beside the sources.
const FILES: [&str; 9] = [
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "Cargo.toml.orig",
    "LICENSE",
    "README.md",
    "examples/openapi.rs",
    "openapi.json",
    "spin.toml",
];

/// What `cargo package` puts into the package.
fn packaged() -> BTreeSet<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["package", "--package", "edgelatch", "--list"])
        .args(["--allow-dirty", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let list = String::from_utf8(output.stdout).unwrap();
    list.lines().map(|line| line.replace('\\', "/")).collect()
}

/// The Rust, Lua, JSON and WIT files under a folder of the project.
fn sources(folder: &Path, into: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if path.is_dir() {
            sources(&path, into);
        } else if matches!(extension, Some("rs" | "lua" | "json" | "wit")) {
            let relative = path.strip_prefix(root()).unwrap();
            into.insert(relative.to_str().unwrap().to_owned());
        }
    }
}

#[test]
fn the_package_has_every_source_and_the_api_document() {
    let packaged = packaged();
    let mut needed = BTreeSet::new();
    sources(&root().join("src"), &mut needed);
    sources(&root().join("wit"), &mut needed);
    assert!(needed.len() > 100, "{}", needed.len());
    needed.extend(FILES.map(str::to_owned));
    let absent: Vec<_> = needed.difference(&packaged).collect();
    assert!(absent.is_empty(), "{absent:?}");
}

#[test]
fn the_package_has_nothing_else() {
    let allowed = |file: &&String| {
        FILES.contains(&file.as_str())
            || file.starts_with("src/")
            || file.starts_with("wit/")
            // Cargo's own, where git has the project.
            || *file == ".cargo_vcs_info.json"
    };
    let packaged = packaged();
    let others: Vec<_> = packaged.iter().filter(|file| !allowed(file)).collect();
    assert!(others.is_empty(), "{others:?}");
}
