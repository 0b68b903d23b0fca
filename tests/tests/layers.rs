//! The folders of `src/` are layers: imports point down, and no files form a circle.

use edgelatch_tests::imports::{Import, circles, imports, upward};
use edgelatch_tests::root;

/// From the top down. `fuzz` holds tests of what is below it.
const LAYERS: [&str; 8] = [
    "fuzz", "lib", "http", "instance", "action", "core", "platform", "types",
];

fn all_imports() -> Vec<Import> {
    let imports = imports(&root().join("src"));
    assert!(imports.len() > 100, "only {} imports found", imports.len());
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
