//! Every public item of the library has a use outside of `src/`: in an example, in the template, in
//! the pages, or in the component that the tests of the library call.

use edgelatch_tests::public_items::{Uses, public_items, unused};
use edgelatch_tests::root;

/// Where components are that depend on the library.
const USERS: [&str; 4] = ["examples", "templates", "pages/src", "tests/library/src"];

#[test]
fn every_public_item_has_a_use() {
    let items = public_items(&root().join("src"), "edgelatch");
    // Less would mean that the reader finds nothing.
    assert!(items.len() > 100, "only {} items found", items.len());
    let folders = USERS.map(|folder| root().join(folder));
    let uses = Uses::by(
        &folders.each_ref().map(|folder| folder.as_path()),
        "edgelatch",
    );
    let unused = unused(&items, &uses);
    let lines: String = unused
        .iter()
        .map(|item| format!("\n  src/{item}"))
        .collect();
    assert!(
        unused.is_empty(),
        "nothing outside of src/ uses these: make them private, or call them:{lines}"
    );
}
