//! The public items of a crate, read token by token.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Kind, PublicItem};
use crate::imports::{module_path, rust_files};
use crate::tokens::{Token, is_name, name, text_at, tokens};

/// The public items of the `.rs` files under `src`. Panics if a file cannot be read.
pub fn public_items(src: &Path, of: &str) -> Vec<PublicItem> {
    let mut items = Vec::new();
    for file in rust_files(src) {
        let text = std::fs::read_to_string(src.join(&file)).unwrap();
        items.extend(items_of(&file, &text, of));
    }
    reachable(items)
}

/// Without the methods and constants of types that are not public themselves.
pub(super) fn reachable(items: Vec<PublicItem>) -> Vec<PublicItem> {
    let types: BTreeSet<String> = items
        .iter()
        .filter(|item| item.kind == Kind::Type)
        .map(|item| item.name.clone())
        .collect();
    let is_type = |owner: &str| owner.starts_with(char::is_uppercase);
    items
        .into_iter()
        .filter(|item| !is_type(&item.owner) || types.contains(&item.owner))
        .collect()
}

/// The `pub` items of one file of the crate `of`.
pub(super) fn items_of(file: &Path, text: &str, of: &str) -> Vec<PublicItem> {
    let module = module_path(file).pop().unwrap_or_else(|| of.to_owned());
    let tokens = tokens(text);
    let mut reader = Reader {
        tokens: &tokens,
        scopes: Vec::new(),
        next_scope: None,
    };
    let mut items = Vec::new();
    for at in 0..tokens.len() {
        if let Some((kind, name_at, end)) = reader.item(at) {
            let owner = reader.scopes.iter().rev().flatten().next();
            let owner = owner.unwrap_or(&module);
            let mentions = tokens[name_at + 1..end].iter();
            let mentions = mentions.filter(|token| is_name(token.text));
            items.push(PublicItem {
                file: file.to_owned(),
                line: tokens[name_at].line,
                kind,
                owner: owner.clone(),
                name: name(tokens[name_at].text),
                mentions: mentions.map(|token| name(token.text)).collect(),
            });
        }
        reader.step(at);
    }
    items
}

/// Where a reader of a file's tokens is.
struct Reader<'a> {
    tokens: &'a [Token<'a>],
    /// For each open brace, the type whose fields or methods are in it.
    scopes: Vec<Option<String>>,
    /// That of the next brace.
    next_scope: Option<String>,
}

impl<'a> Reader<'a> {
    fn text(&self, at: usize) -> &'a str {
        text_at(self.tokens, at)
    }

    /// Goes past the token at `at`.
    fn step(&mut self, at: usize) {
        let before = if at == 0 { "" } else { self.text(at - 1) };
        match self.text(at) {
            "{" => self.scopes.push(self.next_scope.take()),
            "}" => drop(self.scopes.pop()),
            ";" => self.next_scope = None,
            "struct" => self.next_scope = Some(name(self.text(at + 1))),
            "impl" if matches!(before, "" | "}" | ";" | "]") => {
                self.next_scope = Some(self.type_of_impl(at));
            }
            _ => {}
        }
    }

    /// The public item that the token at `at` begins: its kind, where its name is, and where its
    /// signature ends.
    fn item(&self, at: usize) -> Option<(Kind, usize, usize)> {
        if self.text(at) == "macro_rules" {
            let is_exported = at > 1 && self.text(at - 2) == "macro_export";
            return is_exported.then_some((Kind::Macro, at + 2, at + 3));
        }
        if self.text(at) != "pub" || self.text(at + 1) == "(" {
            return None;
        }
        let mut word = at + 1;
        while matches!(self.text(word), "async" | "unsafe" | "extern")
            || self.text(word) == "const" && self.text(word + 1) == "fn"
        {
            word += 1;
        }
        match self.text(word) {
            "fn" => {
                let kind = if self.has_self(word + 2) {
                    Kind::Method
                } else {
                    Kind::Path
                };
                Some((kind, word + 1, self.end(word, &["{", ";"])))
            }
            "const" | "static" => Some((Kind::Path, word + 1, self.end(word, &["="]))),
            // Of a struct the fields are items of their own.
            "struct" => Some((Kind::Type, word + 1, word + 2)),
            "enum" | "trait" => Some((Kind::Type, word + 1, self.end_of_body(word))),
            "type" => Some((Kind::Type, word + 1, self.end(word, &[";"]))),
            "mod" => Some((Kind::Module, word + 1, word + 2)),
            // What a crate re-exports of its own is public where it is defined.
            "use" if self.text(word + 2) == ";" => Some((Kind::Crate, word + 1, word + 2)),
            field if is_name(field) && self.text(word + 1) == ":" => {
                Some((Kind::Field, word, self.end(word, &[",", "}"])))
            }
            _ => None,
        }
    }

    /// Where one of these comes next, outside of brackets that open behind `at`.
    fn end(&self, at: usize, ends: &[&str]) -> usize {
        let mut depth = 0usize;
        for end in at..self.tokens.len() {
            let (text, before) = (self.text(end), self.text(end.saturating_sub(1)));
            if depth == 0 && ends.contains(&text) {
                return end;
            }
            match text {
                "(" | "[" | "<" | "{" => depth += 1,
                // Not that of an arrow.
                ">" if before == "-" || before == "=" => {}
                ")" | "]" | ">" | "}" => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        self.tokens.len()
    }

    /// Where the braces of an enum or a trait close.
    fn end_of_body(&self, at: usize) -> usize {
        self.end(self.end(at, &["{"]) + 1, &["}"])
    }

    /// Whether a function takes `self`. Its generics or its parameters begin at `at`.
    fn has_self(&self, at: usize) -> bool {
        let mut at = self.end(at, &["("]) + 1;
        while matches!(self.text(at), "&" | "mut") {
            at += 1;
        }
        self.text(at) == "self"
    }

    /// The type whose methods are in the block of an `impl`.
    fn type_of_impl(&self, at: usize) -> String {
        let end = self.end(at + 1, &["{", "where"]);
        let after_for = (at..end).find(|at| self.text(*at) == "for");
        let mut first = after_for.map_or(at + 1, |at| at + 1);
        if self.text(first) == "<" {
            first = self.end(first + 1, &[">"]) + 1;
        }
        // The last name of the path.
        while self.text(first + 1) == "::" {
            first += 2;
        }
        name(self.text(first))
    }
}
