//! The folders of `src/` are layers: imports point down, and no files form a circle.

use edgelatch_tests::imports::assert_layers;
use edgelatch_tests::root;

/// From the top down. `fuzz` holds tests of what is below it.
const LAYERS: [&str; 8] = [
    "fuzz", "lib", "http", "instance", "action", "core", "platform", "types",
];

#[test]
fn imports_point_down_and_form_no_circle() {
    assert_layers(&root().join("src"), &LAYERS);
}
