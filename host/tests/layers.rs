//! The modules of `src/` are layers: imports point down, and no files form a circle.

use std::ffi::OsString;
use std::path::PathBuf;

use edgelatch_tests::imports::assert_layers;

/// From the top down, as in `src/main.rs`.
const LAYERS: [&str; 10] = [
    "main",
    "up",
    "cli",
    "server",
    "runtime",
    "imports",
    "config",
    "telemetry",
    "net",
    "log",
];

/// The folder of this crate. Cargo sets it at run time, too; at compile time it may have been that
/// of another clone with the same target folder.
fn manifest_dir() -> OsString {
    let compiled = || env!("CARGO_MANIFEST_DIR").into();
    std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(compiled)
}

#[test]
fn imports_point_down_and_form_no_circle() {
    assert_layers(&PathBuf::from(manifest_dir()).join("src"), &LAYERS);
}
