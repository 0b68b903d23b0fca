//! Reads JSON text member by member. That it is JSON was checked before: what is not is an error
//! or read as something, but never a panic.

use super::Malformed;
use super::names::{Name, SHORT};
use crate::platform::long_work::Pace;
use crate::types::json::special;

/// Reads one text.
pub(super) struct Reader<'a, 'p> {
    text: &'a str,
    at: usize,
    pace: &'p mut Pace,
}

impl<'a, 'p> Reader<'a, 'p> {
    /// Reads from a place in the text on.
    pub(super) fn at(text: &'a str, at: usize, pace: &'p mut Pace) -> Self {
        Self { text, at, pace }
    }

    /// For work between two reads.
    pub(super) fn pace(&mut self) -> &mut Pace {
        self.pace
    }

    /// Where the next value begins, and whether it is an object.
    pub(super) async fn next_value(&mut self) -> (usize, bool) {
        let is_object = self.after_space().await == Some(b'{');
        (self.at, is_object)
    }

    /// Goes into the object that begins here.
    pub(super) fn enter(&mut self) {
        self.at += 1;
    }

    /// The next member's name, after which its value comes; `None` at the end of the object.
    pub(super) async fn name(&mut self) -> Result<Option<Name<'a>>, Malformed> {
        if let Some(name) = self.short_name() {
            return Ok(Some(name));
        }
        if self.after_space().await == Some(b',') {
            self.at += 1;
        }
        match self.after_space().await {
            Some(b'}') => {
                self.at += 1;
                return Ok(None);
            }
            Some(b'"') => {}
            _ => return Err(Malformed),
        }
        let at = self.at;
        let spelled = self.value().await?;
        if self.after_space().await != Some(b':') {
            return Err(Malformed);
        }
        self.at += 1;
        Ok(Some(Name { at, spelled }))
    }

    /// The same without a break, where a short name comes after no more than a comma.
    fn short_name(&mut self) -> Option<Name<'a>> {
        let bytes = self.text.as_bytes();
        let at = self.at + usize::from(bytes.get(self.at) == Some(&b','));
        if bytes.get(at) != Some(&b'"') {
            return None;
        }
        let end = (at + SHORT).min(bytes.len());
        let quote = special(bytes, at + 1, end);
        if bytes.get(quote..quote + 2) != Some(b"\":") {
            return None;
        }
        let spelled = self.text.get(at..quote + 1)?;
        self.at = quote + 2;
        self.pace.count(spelled.len());
        Some(Name { at, spelled })
    }

    /// A short string or number without a break.
    fn short_value(&mut self) -> Option<&'a str> {
        let bytes = self.text.as_bytes();
        let end = (self.at + SHORT).min(bytes.len());
        let after = match bytes.get(self.at)? {
            b'"' => {
                let quote = special(bytes, self.at + 1, end);
                (bytes.get(quote) == Some(&b'"')).then_some(quote + 1)?
            }
            b'{' | b'[' | b' ' | b'\n' | b'\r' | b'\t' => return None,
            _ => {
                let rest = bytes.get(self.at..end)?;
                self.at + rest.iter().position(ends_plain)?
            }
        };
        let value = self
            .text
            .get(self.at..after)
            .filter(|value| !value.is_empty())?;
        self.at = after;
        self.pace.count(value.len());
        Some(value)
    }

    /// The next value, without the space around it.
    pub(super) async fn value(&mut self) -> Result<&'a str, Malformed> {
        if let Some(value) = self.short_value() {
            return Ok(value);
        }
        let first = self.after_space().await.ok_or(Malformed)?;
        let from = self.at;
        let mut skip = Skip::new(first);
        loop {
            let before = self.at;
            let until = before.saturating_add(Pace::PIECE).min(self.text.len());
            self.at = skip.go_on(self.text.as_bytes(), before, until);
            self.pace.after(self.at - before).await;
            if skip.is_done() {
                break;
            }
            if self.at >= self.text.len() {
                if skip.is_plain {
                    break;
                }
                return Err(Malformed);
            }
        }
        let value = self.text.get(from..self.at);
        value.filter(|value| !value.is_empty()).ok_or(Malformed)
    }

    async fn after_space(&mut self) -> Option<u8> {
        match self.text.as_bytes().get(self.at).copied() {
            Some(b' ' | b'\n' | b'\r' | b'\t') => {}
            byte => return byte,
        }
        loop {
            let until = self.at.saturating_add(Pace::PIECE);
            while self.at < until {
                match self.text.as_bytes().get(self.at).copied() {
                    Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                    byte => return byte,
                }
            }
            self.pace.after(Pace::PIECE).await;
        }
    }
}

/// Whether a byte ends a number, `true`, `false` or `null`.
fn ends_plain(byte: &u8) -> bool {
    matches!(byte, b',' | b']' | b'}' | b' ' | b'\n' | b'\r' | b'\t')
}

/// Finds the end of a value.
struct Skip {
    /// It is a number, `true`, `false` or `null`, and ends before what can be in none of them.
    is_plain: bool,
    depth: usize,
    in_string: bool,
    /// The next byte is one of a string, whatever it is.
    escaped: bool,
    is_done: bool,
}

impl Skip {
    /// For a value that begins with this byte.
    fn new(first: u8) -> Self {
        Self {
            is_plain: !matches!(first, b'"' | b'{' | b'['),
            depth: 0,
            in_string: false,
            escaped: false,
            is_done: false,
        }
    }

    /// Goes on to the end of the value or to `until`.
    fn go_on(&mut self, bytes: &[u8], from: usize, until: usize) -> usize {
        if self.is_plain {
            self.plain(bytes, from, until)
        } else {
            self.nested(bytes, from, until)
        }
    }

    fn plain(&mut self, bytes: &[u8], from: usize, until: usize) -> usize {
        let rest = bytes.get(from..until).unwrap_or_default();
        match rest.iter().position(ends_plain) {
            Some(end) => {
                self.is_done = true;
                from + end
            }
            None => until,
        }
    }

    fn nested(&mut self, bytes: &[u8], from: usize, until: usize) -> usize {
        let mut at = from;
        while at < until && !self.is_done {
            if self.escaped {
                self.escaped = false;
                at += 1;
                continue;
            }
            if self.in_string {
                at = special(bytes, at, until);
            }
            let Some(byte) = bytes.get(at).filter(|_| at < until) else {
                return at;
            };
            at += 1;
            match (self.in_string, byte) {
                (_, b'"') => self.in_string = !self.in_string,
                (true, b'\\') => self.escaped = true,
                (false, b'{' | b'[') => self.depth += 1,
                (false, b'}' | b']') => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
            self.is_done = self.depth == 0 && !self.in_string;
        }
        at
    }

    fn is_done(&self) -> bool {
        self.is_done
    }
}
