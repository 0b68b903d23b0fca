//! What code outside of a crate uses of it.

use std::collections::BTreeSet;
use std::path::Path;

use crate::imports::paths::paths;
use crate::imports::rust_files;
use crate::tokens::{Token, is_name, name, text_at, tokens};

/// What some code names.
#[derive(Debug, Default)]
pub struct Uses {
    /// Of the crate: its modules and types.
    imported: BTreeSet<String>,
    /// `a::b`.
    pairs: BTreeSet<(String, String)>,
    /// `.name(`.
    called: BTreeSet<String>,
    /// `.name`.
    read: BTreeSet<String>,
    /// `Type { name`.
    in_braces: BTreeSet<(String, String)>,
    /// `name!`.
    expanded: BTreeSet<String>,
}

impl Uses {
    /// What the `.rs` files under these folders name of the crate `of`. Panics if one cannot be read.
    pub fn by(folders: &[&Path], of: &str) -> Self {
        let mut uses = Self::default();
        for folder in folders {
            for file in rust_files(folder) {
                uses.add(&std::fs::read_to_string(folder.join(file)).unwrap(), of);
            }
        }
        uses
    }

    /// Adds what `text` names.
    pub(super) fn add(&mut self, text: &str, of: &str) {
        for path in paths(text) {
            if path.segments.first().is_some_and(|first| first == of) {
                self.imported.extend(path.segments.iter().cloned());
            }
            let pairs = path.segments.windows(2);
            self.pairs
                .extend(pairs.map(|pair| (pair[0].clone(), pair[1].clone())));
        }
        let tokens = tokens(text);
        for (at, token) in tokens.iter().enumerate() {
            let (this, next) = (token.text, text_at(&tokens, at + 1));
            let after = text_at(&tokens, at + 2);
            if this == "." && is_name(next) {
                let is_call = matches!(after, "(" | "::");
                let members = if is_call {
                    &mut self.called
                } else {
                    &mut self.read
                };
                members.insert(name(next));
            } else if is_name(this) && next == "!" && after != "=" {
                self.expanded.insert(name(this));
            } else if is_type(this) && next == "{" {
                let fields = fields(&tokens, at + 1);
                self.in_braces
                    .extend(fields.map(|field| (name(this), name(field))));
            }
        }
    }

    pub(super) fn imports(&self, name: &str) -> bool {
        self.imported.contains(name)
    }

    pub(super) fn names(&self, owner: &str, name: &str) -> bool {
        self.pairs.contains(&(owner.to_owned(), name.to_owned()))
    }

    pub(super) fn calls(&self, name: &str) -> bool {
        self.called.contains(name)
    }

    pub(super) fn reads(&self, name: &str) -> bool {
        self.read.contains(name)
    }

    pub(super) fn braces(&self, owner: &str, name: &str) -> bool {
        self.in_braces
            .contains(&(owner.to_owned(), name.to_owned()))
    }

    pub(super) fn expands(&self, name: &str) -> bool {
        self.expanded.contains(name)
    }
}

fn is_type(token: &str) -> bool {
    token.starts_with(char::is_uppercase)
}

/// The names behind the brace at `open`, and behind each comma that belongs to it.
fn fields<'a>(tokens: &'a [Token<'a>], open: usize) -> impl Iterator<Item = &'a str> {
    let mut depth = 0;
    let mut fields = Vec::new();
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.text {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        let begins_a_field = at == open || depth == 1 && token.text == ",";
        if begins_a_field && is_name(text_at(tokens, at + 1)) {
            fields.push(text_at(tokens, at + 1));
        }
    }
    fields.into_iter()
}
