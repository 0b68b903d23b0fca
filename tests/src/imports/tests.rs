//! What an import and a circle are, on small made-up crates.

use super::*;

fn between(files: &[(&str, &str)]) -> Vec<Import> {
    let files = files
        .iter()
        .map(|(file, text)| (PathBuf::from(file), (*text).to_owned()));
    imports_between(&files.collect())
}

/// What `text`, the file `a/b.rs` of a crate with some other files, imports: `file:line`.
fn imported(text: &str) -> Vec<String> {
    let others = [
        "lib.rs",
        "a.rs",
        "a/b/child.rs",
        "a/c.rs",
        "d/mod.rs",
        "d/e.rs",
    ];
    let mut files: Vec<_> = others.iter().map(|file| (*file, "")).collect();
    files.push(("a/b.rs", text));
    let all = between(&files);
    all.iter()
        .map(|import| format!("{}:{}", import.target_file.display(), import.line))
        .collect()
}

fn messages(circle: &[Import]) -> Vec<String> {
    circle.iter().map(Import::to_string).collect()
}

#[test]
fn a_use_names_the_file_of_its_longest_module() {
    assert_eq!(imported("use crate::a::c::Item;"), ["a/c.rs:1"]);
    assert_eq!(imported("use crate::a::Item;"), ["a.rs:1"]);
    assert_eq!(imported("use crate::Item;"), ["lib.rs:1"]);
    assert_eq!(imported("pub(crate) use crate::d::e;"), ["d/e.rs:1"]);
    assert_eq!(imported("use crate::d::Item as Other;"), ["d/mod.rs:1"]);
    assert_eq!(imported("use crate::d::*;"), ["d/mod.rs:1"]);
    assert_eq!(imported("use std::fmt; use ::http::Uri;"), [""; 0]);
    assert_eq!(imported("use crate::a::b::Item;"), [""; 0]);
}

#[test]
fn super_and_self_start_at_the_module() {
    assert_eq!(imported("use super::Item;"), ["a.rs:1"]);
    assert_eq!(imported("use super::c::Item;"), ["a/c.rs:1"]);
    assert_eq!(imported("use super::super::d::e;"), ["d/e.rs:1"]);
    assert_eq!(imported("use self::child::Item;"), ["a/b/child.rs:1"]);
    assert_eq!(imported("mod child;\nuse child::Item;"), ["a/b/child.rs:2"]);
}

#[test]
fn each_leaf_of_a_group_has_its_own_line() {
    let text = "use crate::{\n    a::{self, c::Item},\n    d::{\n        Item as _,\n        \
                e::{One, Two},\n    },\n};\nuse {super::c, std::fmt};";
    assert_eq!(
        imported(text),
        ["a/c.rs:2", "a.rs:2", "d/mod.rs:4", "d/e.rs:5", "a/c.rs:8"]
    );
}

#[test]
fn an_inline_module_is_one_step_deeper() {
    let text = "mod tests {\n    use super::*;\n    use super::super::c::Item;\n}\n\
                fn f() { if x { } }\nuse super::c::Item;";
    assert_eq!(imported(text), ["a/c.rs:3", "a/c.rs:6"]);
}

#[test]
fn paths_outside_use_count() {
    assert_eq!(
        imported("fn f() {\n    crate::d::e::g::<u8>();\n}"),
        ["d/e.rs:2"]
    );
    assert_eq!(imported("fn f() -> super::c::Item {}"), ["a/c.rs:1"]);
    assert_eq!(imported("fn f() { child::g() }"), ["a/b/child.rs:1"]);
    assert_eq!(imported("for x in crate::d::list() {}"), ["d/mod.rs:1"]);
    assert_eq!(imported("m!(<T as crate::d::e::Trait>::f)"), ["d/e.rs:1"]);
    assert_eq!(imported("type T = [crate::d::X; 0x1f];"), ["d/mod.rs:1"]);
}

#[test]
fn what_only_looks_like_an_import() {
    for text in [
        "// use crate::d::e;",
        "/* use crate::d; /* nested */ use crate::d; */",
        "//! [`crate::d::e`]",
        "const S: &str = \"\\\" use crate::d;\";",
        "const S: &str = r##\"\"# use crate::d; \"##;",
        "const B: &[u8] = b\"crate::d::e\";",
        "pub(crate) fn f() {}",
        "pub(in crate::d) fn f() {}",
        "mod child;",
        "fn f() -> impl Sized + use<'_> {}",
        "fn f() { other::d::e() }",
    ] {
        assert_eq!(imported(text), [""; 0], "{text}");
    }
}

#[test]
fn literals_end_where_they_end() {
    for text in [
        "const C: [char; 2] = ['\"', '\\''];",
        "fn f<'a>(x: &'a str) -> &'a str { 'outer: loop { break 'outer } }",
        "const R: &str = r\"\\\";",
        "const B: u8 = b'\"';",
        "const E: char = '\\u{1F600}'; const U: char = 'é';",
        "let r#use = r#type;",
    ] {
        assert_eq!(
            imported(&format!("{text} use crate::d::e;")),
            ["d/e.rs:1"],
            "{text}"
        );
    }
}

#[test]
fn a_circle_names_the_imports_that_join_its_files() {
    let imports = between(&[
        ("lib.rs", "use a::X; use b::X;"),
        ("a.rs", "use crate::b::X;\nuse crate::d::X;"),
        ("b.rs", "\nuse crate::c::X;"),
        ("c.rs", "use crate::a::X;"),
        ("d.rs", ""),
    ]);
    let circles = circles(&imports);
    assert_eq!(circles.len(), 1);
    assert_eq!(
        messages(&circles[0]),
        [
            "a.rs:1 imports b.rs",
            "b.rs:2 imports c.rs",
            "c.rs:1 imports a.rs"
        ]
    );
}

#[test]
fn a_module_and_its_folder_are_one_unit() {
    let own = between(&[("a.rs", "use x::X;"), ("a/x.rs", "use super::Y;")]);
    assert_eq!(own.len(), 2);
    assert_eq!(circles(&own), Vec::<Vec<Import>>::new());

    let through_a_child = between(&[
        ("a/mod.rs", "use crate::b::X;"),
        ("a/x.rs", ""),
        ("b/y.rs", "use crate::a::x::X;"),
        ("b.rs", ""),
    ]);
    assert_eq!(
        circles(&through_a_child),
        std::slice::from_ref(&through_a_child)
    );
}

#[test]
fn siblings_in_a_folder_can_form_a_circle() {
    let imports = between(&[
        ("a.rs", ""),
        ("a/x.rs", "use super::y::Y;"),
        ("a/y.rs", "use crate::a::x::X;"),
        ("a/z.rs", "use super::x::X;"),
    ]);
    let circles = circles(&imports);
    assert_eq!(circles.len(), 1);
    assert_eq!(
        messages(&circles[0]),
        ["a/x.rs:1 imports a/y.rs", "a/y.rs:1 imports a/x.rs"]
    );
}

#[test]
fn a_module_that_uses_the_root_is_in_a_circle_with_it() {
    let files = [("lib.rs", "use a::X;"), ("a.rs", "use crate::Y;")];
    assert_eq!(circles(&between(&files)).len(), 1);
}

#[test]
fn imports_that_point_up() {
    let imports = between(&[
        ("main.rs", "use top::X;"),
        ("top.rs", ""),
        ("top/x.rs", "use super::Y; use crate::low::Y;"),
        ("low.rs", "use crate::top::x::X;\nuse crate::Z;"),
    ]);
    assert_eq!(
        messages(&upward(&imports, &["main", "top", "low"])),
        ["low.rs:1 imports top/x.rs", "low.rs:2 imports main.rs"]
    );
}

#[test]
#[should_panic(expected = "low.rs is in none of the layers")]
fn a_file_without_a_layer() {
    let imports = between(&[("top.rs", "use crate::low::X;"), ("low.rs", "")]);
    upward(&imports, &["top"]);
}
