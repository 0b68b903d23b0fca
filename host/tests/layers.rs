//! The modules of `src/` are layers: imports point down, and no files form a circle.

use std::ffi::OsString;
use std::path::PathBuf;

use edgelatch_tests::imports::{Import, circles, imports, upward};

/// From the top down, as in `src/main.rs`.
const LAYERS: [&str; 9] = [
    "main",
    "up",
    "cli",
    "server",
    "runtime",
    "imports",
    "config",
    "telemetry",
    "net",
];

/// The folder of this crate. Cargo sets it at run time, too; at compile time it may have been that
/// of another clone with the same target folder.
fn manifest_dir() -> OsString {
    let compiled = || env!("CARGO_MANIFEST_DIR").into();
    std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(compiled)
}

fn all_imports() -> Vec<Import> {
    let imports = imports(&PathBuf::from(manifest_dir()).join("src"));
    assert!(imports.len() > 50, "only {} imports found", imports.len());
    imports
}

fn list(imports: &[Import]) -> String {
    let lines = imports.iter().map(|import| format!("\n  src/{import}"));
    lines.collect()
}

#[test]
fn no_import_points_up() {
    let upward = upward(&all_imports(), &LAYERS);
    assert!(upward.is_empty(), "these point up:{}", list(&upward));
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let circles: Vec<String> = circles(&all_imports())
        .iter()
        .map(|circle| list(circle))
        .collect();
    assert!(
        circles.is_empty(),
        "each of these is a circle:{}",
        circles.join("\n")
    );
}
