//! What is wrong with a long text, and where, without reading all of it again.

use super::judge;
use super::next::Next;

/// What is wrong with a text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// In serde_json's words.
    pub(crate) what: String,
    /// How many bytes serde_json reads before it says so.
    pub(crate) at: usize,
}

impl Fault {
    /// Lets serde_json read `piece` bytes from `at` on, behind a short text that leads to the same
    /// place: in these levels, which are objects or arrays, and before `next`. `None` where it
    /// finds nothing wrong with them.
    pub(super) fn find(
        bytes: &[u8],
        levels: impl Iterator<Item = bool>,
        next: Next,
        at: usize,
        piece: usize,
    ) -> Option<Self> {
        let mut text = leading(levels, next).into_bytes();
        let led = text.len();
        let end = at.saturating_add(piece).min(bytes.len());
        text.extend_from_slice(bytes.get(at..end)?);
        let error = judge(&text).err()?;
        if error.is_eof() && end < bytes.len() {
            return None;
        }
        let place = format!(" at line {} column {}", error.line(), error.column());
        let what = error.to_string();
        let read = index(&text, error.line(), error.column());
        Some(Self {
            what: what.strip_suffix(&place).unwrap_or(&what).to_owned(),
            at: at + read.saturating_sub(led),
        })
    }
}

/// A text that leads to a place.
fn leading(levels: impl Iterator<Item = bool>, next: Next) -> String {
    let mut text = String::new();
    let mut in_object = None;
    for is_object in levels {
        match in_object.replace(is_object) {
            Some(true) => text.push_str("{\"\":"),
            Some(false) => text.push('['),
            None => {}
        }
    }
    text.push_str(match (in_object, next) {
        (None, Next::RestOfString) => "\"",
        (None, Next::AfterValue) => "\"\"",
        (None, _) => "",
        (Some(false), Next::FirstItem) => "[",
        (Some(false), Next::RestOfString) => "[\"",
        (Some(false), Next::AfterValue) => "[\"\"",
        (Some(false), _) => "[\"\",",
        (Some(true), Next::FirstName) => "{",
        (Some(true), Next::Name) => "{\"\":\"\",",
        (Some(true), Next::RestOfName) => "{\"",
        (Some(true), Next::Colon) => "{\"\"",
        (Some(true), Next::RestOfString) => "{\"\":\"",
        (Some(true), Next::AfterValue) => "{\"\":\"\"",
        (Some(true), _) => "{\"\":",
    });
    text
}

/// How many bytes come before this line and column.
fn index(text: &[u8], line: usize, column: usize) -> usize {
    let ends = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let begins = match line {
        0 | 1 => 0,
        _ => ends.map(|(at, _)| at + 1).nth(line - 2).unwrap_or_default(),
    };
    begins + column
}
