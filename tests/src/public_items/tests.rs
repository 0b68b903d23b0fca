//! What a public item and a use of it are, on small made-up crates.

use std::path::Path;

use super::items::{items_of, reachable};
use super::*;

/// The items of the file `a/b.rs`: `owner::name kind`.
fn items(text: &str) -> Vec<String> {
    let items = reachable(items_of(Path::new("a/b.rs"), text, "made_up"));
    items
        .iter()
        .map(|item| format!("{}::{} {:?}", item.owner, item.name, item.kind))
        .collect()
}

/// The items of `text` that the code `user` does not use.
fn left(text: &str, user: &str) -> Vec<String> {
    let items = reachable(items_of(Path::new("a/b.rs"), text, "made_up"));
    let mut uses = Uses::default();
    uses.add(user, "made_up");
    let unused = unused(&items, &uses);
    unused.iter().map(|item| item.name.clone()).collect()
}

#[test]
fn every_kind_of_item_is_read() {
    let text = "pub mod c; pub use other; pub use c::D;
        pub fn f<T: Fn(u8) -> u8>(x: [u8; 2]) -> u8 { 0 } pub const K: u8 = 1;
        pub type T = u8; pub trait Tr { fn g(&self); }
        #[macro_export] macro_rules! m { () => {}; }
        pub struct S<'a> { pub x: Vec<(u8, u8)>, pub(crate) y: u8, pub z: &'a u8 }
        impl<'a> S<'a> { pub async fn g(&mut self) {} pub const fn new() -> Self { S } }
        impl std::fmt::Display for S<'_> { fn fmt(&self) {} }
        pub enum E { A(u8), B }";
    assert_eq!(
        items(text),
        [
            "b::c Module",
            "b::other Crate",
            "b::f Path",
            "b::K Path",
            "b::T Type",
            "b::Tr Type",
            "b::m Macro",
            "b::S Type",
            "S::x Field",
            "S::z Field",
            "S::g Method",
            "S::new Path",
            "b::E Type",
        ]
    );
}

#[test]
fn what_is_not_public_is_left_out() {
    for text in [
        "pub(crate) fn f() {} fn g() {} pub(super) struct S;",
        "struct S { pub x: u8 } impl S { pub fn f(&self) {} }",
        "macro_rules! m { () => {} }",
        "/// pub fn f() {}\nconst S: &str = \"pub fn f() {}\";",
    ] {
        assert_eq!(items(text), [""; 0], "{text}");
    }
}

#[test]
fn a_use_of_each_kind() {
    for (text, user) in [
        ("pub use c;", "use made_up::c::X;"),
        ("pub struct S;", "use made_up::{a::b::{S, T}, c};"),
        ("pub fn f() {}", "use made_up::a::b; fn g() { b::f() }"),
        ("pub fn f() {}", "use made_up::a::b::f;"),
        ("pub const K: u8 = 1;", "fn g() { made_up::a::b::K; }"),
        (
            "#[macro_export] macro_rules! m { () => {} }",
            "made_up::m!();",
        ),
    ] {
        assert_eq!(left(text, user), [""; 0], "{text}");
    }
}

#[test]
fn a_use_of_what_belongs_to_a_type() {
    let crate_with = |item: &str| format!("pub struct S {{ {item} }}");
    let (field, method) = ("pub x: u8", "pub fn f(&self) {} ");
    for user in ["s.x;", "S { x: 1 }", "let S { y: [a, b], x } = s;"] {
        let user = format!("use made_up::a::b::S; fn g() {{ {user} }}");
        assert_eq!(left(&crate_with(field), &user), [""; 0], "{user}");
    }
    for user in ["s.f()", "s.f::<u8>()", "S::f(&s)"] {
        let user = format!("use made_up::a::b::S; fn g() {{ {user} }}");
        let text = format!("pub struct S; impl S {{ {method} }}");
        assert_eq!(left(&text, &user), [""; 0], "{user}");
    }
    // A module with an item needs no use of its own, and what is passed around needs no name.
    assert_eq!(left("pub mod b; pub struct S;", "use made_up::S;"), [""; 0]);
    let text = "pub struct S; pub struct T { pub s: Vec<S> }";
    assert_eq!(left(text, "use made_up::T; fn g() { t.s }"), [""; 0]);
}

#[test]
fn an_item_without_a_use_is_named() {
    let text = "pub use c; pub struct S { pub x: u8 } impl S { pub fn x(&self) {} pub fn new() {} }
        pub fn f() {} pub enum E { A(T) } pub struct T;";
    let all = ["c", "S", "x", "x", "new", "f", "E"];
    assert_eq!(
        left(
            text,
            "use other::{S, c, E}; fn g() { s.y; f(); x(); U::new() }"
        ),
        all
    );
    assert_eq!(
        left(text, "fn g() { s.x }"),
        ["c", "S", "x", "new", "f", "E"]
    );
    assert_eq!(
        left(text, "fn g() { s.x() }"),
        ["c", "S", "x", "new", "f", "E"]
    );
    assert_eq!(left(text, "// made_up::c::S::new().x"), all);

    let items = items_of(Path::new("a/b.rs"), "\npub fn f() {}", "made_up");
    assert_eq!(items[0].to_string(), "a/b.rs:2 b::f");
}
