//! Reads the public items of a crate, and which of them other code uses.
//!
//! # What an item is
//! A type, function, constant, method, field, module or exported macro that is `pub`. All of them
//! can be reached: the lint `unreachable_pub` refuses the others. Variants and implementations of
//! traits are left out, since they can't be private.
//!
//! # What a use is
//! - of a module: a public item in it;
//! - of another crate that this one re-exports: its name in a path that starts with the crate's name;
//! - of a type: the same, or its name in the signature of another public item;
//! - of a function or constant: `module::name`, or `Type::name`;
//! - of a method: `.name(`, or `Type::name`;
//! - of a field: `.name`, or its name between the braces of its type;
//! - of a macro: `name!`.
//!
//! Names are compared, and not types: a method counts as used where that of another type is called
//! by the same name.

mod items;
#[cfg(test)]
mod tests;
mod uses;

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

pub use items::public_items;
pub use uses::Uses;

/// A public item of a crate.
#[derive(Debug)]
pub struct PublicItem {
    /// The file, relative to the source folder.
    file: PathBuf,
    line: usize,
    kind: Kind,
    /// The type that it belongs to, or else the module; empty for the crate's root.
    owner: String,
    name: String,
    /// The names in its signature.
    mentions: BTreeSet<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Module,
    /// Another crate.
    Crate,
    Type,
    /// A function or a constant, of a module or of a type.
    Path,
    Method,
    Field,
    Macro,
}

impl fmt::Display for PublicItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, line) = (self.file.display(), self.line);
        let (owner, name) = (&self.owner, &self.name);
        let separator = if owner.is_empty() { "" } else { "::" };
        write!(f, "{file}:{line} {owner}{separator}{name}")
    }
}

/// The items that are used nowhere.
pub fn unused<'a>(items: &'a [PublicItem], uses: &Uses) -> Vec<&'a PublicItem> {
    let is_mentioned = |name: &str| items.iter().any(|item| item.mentions.contains(name));
    let is_used = |item: &&PublicItem| {
        let (owner, name) = (item.owner.as_str(), item.name.as_str());
        match item.kind {
            Kind::Module => items.iter().any(|item| item.owner == name),
            Kind::Crate => uses.imports(name),
            Kind::Type => uses.imports(name) || is_mentioned(name),
            Kind::Path => uses.names(owner, name),
            Kind::Method => uses.calls(name) || uses.names(owner, name),
            Kind::Field => uses.reads(name) || uses.braces(owner, name),
            Kind::Macro => uses.expands(name),
        }
    };
    items.iter().filter(|item| !is_used(item)).collect()
}
