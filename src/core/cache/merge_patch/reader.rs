//! Reads JSON text member by member. That it is JSON was checked before: what is not is an error
//! or read as something, but never a panic.

use std::borrow::Cow;

use super::{Malformed, MemberName};
use crate::platform::long_work::Pace;
use crate::types::json::special;

/// Reads one text.
pub(super) struct Reader<'a, 'p> {
    text: &'a str,
    at: usize,
    pace: &'p mut Pace,
}

impl<'a, 'p> Reader<'a, 'p> {
    pub(super) fn new(text: &'a str, pace: &'p mut Pace) -> Self {
        Self { text, at: 0, pace }
    }

    /// Goes into the next value if it is an object; whether it is.
    pub(super) fn enters_object(&mut self) -> bool {
        let enters = self.after_space() == Some(b'{');
        if enters {
            self.at += 1;
        }
        enters
    }

    /// The next member's name, after which its value comes; `None` at the end of the object.
    pub(super) async fn name(&mut self) -> Result<Option<MemberName<'a>>, Malformed> {
        if self.after_space() == Some(b',') {
            self.at += 1;
        }
        match self.after_space() {
            Some(b'}') => {
                self.at += 1;
                return Ok(None);
            }
            Some(b'"') => {}
            _ => return Err(Malformed),
        }
        let text = self.value().await?;
        if self.after_space() != Some(b':') {
            return Err(Malformed);
        }
        self.at += 1;
        let key = if text.contains('\\') {
            Cow::Owned(serde_json::from_str(text).map_err(|_| Malformed)?)
        } else {
            Cow::Borrowed(text.get(1..text.len() - 1).ok_or(Malformed)?)
        };
        Ok(Some((key, text)))
    }

    /// The next value, without the space around it.
    pub(super) async fn value(&mut self) -> Result<&'a str, Malformed> {
        let first = self.after_space().ok_or(Malformed)?;
        let from = self.at;
        let mut skip = Skip::default();
        if !matches!(first, b'"' | b'{' | b'[') {
            self.at = skip.plain(self.text.as_bytes(), self.at);
        } else {
            loop {
                let before = self.at;
                let until = before.saturating_add(Pace::PIECE).min(self.text.len());
                self.at = skip.nested(self.text.as_bytes(), before, until);
                self.pace.after(self.at - before).await;
                if skip.is_done() {
                    break;
                }
                if self.at >= self.text.len() {
                    return Err(Malformed);
                }
            }
        }
        let value = self.text.get(from..self.at);
        value.filter(|value| !value.is_empty()).ok_or(Malformed)
    }

    fn after_space(&mut self) -> Option<u8> {
        loop {
            match self.text.as_bytes().get(self.at).copied() {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                byte => return byte,
            }
        }
    }
}

/// Finds the end of a value.
#[derive(Default)]
struct Skip {
    depth: usize,
    in_string: bool,
    /// The next byte is one of a string, whatever it is.
    escaped: bool,
    began: bool,
}

impl Skip {
    /// The end of a number, `true`, `false` or `null`.
    fn plain(&mut self, bytes: &[u8], from: usize) -> usize {
        let rest = bytes.get(from..).unwrap_or_default();
        let end = |byte: &u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\n' | b'\r' | b'\t');
        rest.iter()
            .position(end)
            .map_or(bytes.len(), |end| from + end)
    }

    /// Goes on in a string, an array or an object, to its end or to `until`.
    fn nested(&mut self, bytes: &[u8], from: usize, until: usize) -> usize {
        let mut at = from;
        while at < until && !self.is_done() {
            self.began = true;
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
        }
        at
    }

    fn is_done(&self) -> bool {
        self.began && self.depth == 0 && !self.in_string
    }
}
