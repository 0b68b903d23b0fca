//! Whether bytes are JSON, in one pass that may be interrupted.
//!
//! It accepts what serde_json accepts, and several times as fast. Of what it does not accept,
//! serde_json says what is wrong and where, from the place on where the scan has stopped.

use super::MAX_DEPTH;
use super::fault::Fault;
use super::next::Next;
use super::number::Number;
use super::strings::special;

/// How far a scan has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Not to the end.
    More,
    /// To the end: it is JSON.
    Json,
    /// To something that is no JSON.
    Stopped,
}

/// A number with so many digits before the point is below the greatest f64.
const SURE_DIGITS: i64 = 300;

/// A number of more bytes is read as one that may be too great.
const LONG_NUMBER: usize = 512;

/// A scan of one text.
pub(crate) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    next: Next,
    depth: usize,
    /// A bit for each level, the innermost lowest: whether it is an object.
    objects: u128,
    /// So many bytes are known to be UTF-8.
    utf8: usize,
    number: Number,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            next: Next::Value,
            depth: 0,
            objects: 0,
            utf8: 0,
            number: Number::default(),
        }
    }

    /// What is wrong where the scan has stopped. serde_json reads `piece` bytes more at the most.
    pub(crate) fn fault(&self, piece: usize) -> Fault {
        let levels = (0..self.depth)
            .rev()
            .map(|level| self.objects >> level & 1 == 1);
        match self.next {
            Next::RestOfNumber => {
                let from = self.number.from;
                Fault::find(
                    self.bytes,
                    levels,
                    Next::Value,
                    from,
                    piece.max(LONG_NUMBER),
                )
            }
            next => Fault::find(self.bytes, levels, next, self.at, piece),
        }
        .unwrap_or(Fault {
            what: "invalid JSON".to_owned(),
            at: self.at,
        })
    }

    /// Goes on for some `budget` bytes.
    pub(crate) fn advance(&mut self, budget: usize) -> Progress {
        let until = self.at.saturating_add(budget).min(self.bytes.len());
        let until = self.utf8_until(until);
        let is_last = until == self.bytes.len();
        if self.at >= until && !is_last {
            // Not all of it is UTF-8.
            return Progress::Stopped;
        }
        loop {
            let (at, next) = (self.at, self.next);
            let done = match next {
                Next::RestOfString | Next::RestOfName => self.rest_of_string(until),
                Next::RestOfNumber => self.rest_of_number(until),
                _ => self.token(until),
            };
            match done {
                None => {
                    if next != Next::RestOfNumber {
                        (self.at, self.next) = (at, next);
                    }
                    return Progress::Stopped;
                }
                Some(true) => return Progress::Json,
                Some(false) if self.at >= until && !is_last => return Progress::More,
                Some(false) => {}
            }
        }
    }

    /// How far the text is UTF-8: to `until` or beyond, but for the last character, or to a fault.
    fn utf8_until(&mut self, until: usize) -> usize {
        // No character has more bytes than four.
        let end = until.saturating_add(4).min(self.bytes.len());
        let piece = self.bytes.get(self.utf8..end).unwrap_or_default();
        self.utf8 += match std::str::from_utf8(piece) {
            Ok(text) => text.len(),
            Err(error) => error.valid_up_to(),
        };
        self.utf8.min(until)
    }

    /// Reads one token; whether it was the end.
    fn token(&mut self, until: usize) -> Option<bool> {
        let byte = self.after_space(until);
        if self.at >= until && until < self.bytes.len() {
            return Some(false);
        }
        match (self.next, byte) {
            (Next::Colon, Some(b':')) => {
                self.at += 1;
                self.next = Next::Value;
            }
            (Next::AfterValue, None) => return (self.depth == 0).then_some(true),
            (Next::AfterValue, Some(b',')) if self.depth > 0 => {
                self.at += 1;
                self.next = if self.in_object() {
                    Next::Name
                } else {
                    Next::Value
                };
            }
            (Next::AfterValue | Next::FirstName, Some(b'}')) if self.in_object() => self.leave(),
            (Next::AfterValue | Next::FirstItem, Some(b']')) if self.in_array() => self.leave(),
            (Next::Name | Next::FirstName, Some(b'"')) => {
                self.at += 1;
                self.next = Next::RestOfName;
            }
            (Next::Value | Next::FirstItem, Some(first)) => self.value(first)?,
            _ => return None,
        }
        Some(false)
    }

    fn value(&mut self, first: u8) -> Option<()> {
        self.next = Next::AfterValue;
        match first {
            b'"' => {
                self.at += 1;
                self.next = Next::RestOfString;
            }
            b'{' => self.enter(true, Next::FirstName)?,
            b'[' => self.enter(false, Next::FirstItem)?,
            b't' => self.literal(b"true")?,
            b'f' => self.literal(b"false")?,
            b'n' => self.literal(b"null")?,
            _ => {
                let from = self.at;
                if self.number().is_none() {
                    self.at = from;
                    self.number = Number::new(from);
                    self.next = Next::RestOfNumber;
                }
            }
        }
        Some(())
    }

    fn enter(&mut self, object: bool, next: Next) -> Option<()> {
        if self.depth == MAX_DEPTH {
            return None;
        }
        self.depth += 1;
        self.objects = self.objects << 1 | u128::from(object);
        self.at += 1;
        self.next = next;
        Some(())
    }

    fn leave(&mut self) {
        self.depth -= 1;
        self.objects >>= 1;
        self.at += 1;
        self.next = Next::AfterValue;
    }

    fn in_object(&self) -> bool {
        self.depth > 0 && self.objects & 1 == 1
    }

    fn in_array(&self) -> bool {
        self.depth > 0 && self.objects & 1 == 0
    }

    fn literal(&mut self, word: &[u8]) -> Option<()> {
        self.bytes.get(self.at..)?.strip_prefix(word)?;
        self.at += word.len();
        Some(())
    }

    /// Reads a string to its end or to `until`, whichever comes first.
    fn rest_of_string(&mut self, until: usize) -> Option<bool> {
        self.at = special(self.bytes, self.at, until);
        if self.at >= until && until < self.bytes.len() {
            return Some(false);
        }
        match self.bytes.get(self.at)? {
            b'"' => {
                self.at += 1;
                self.next = match self.next {
                    Next::RestOfName => Next::Colon,
                    _ => Next::AfterValue,
                };
            }
            b'\\' => self.escape()?,
            _ => return None,
        }
        Some(false)
    }

    fn escape(&mut self) -> Option<()> {
        self.at += 2;
        match self.bytes.get(self.at - 1)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => match self.code_unit()? {
                // The first half of a pair (RFC 8259, section 7).
                0xd800..=0xdbff => {
                    self.literal(b"\\u")?;
                    let second = self.code_unit()?;
                    (0xdc00..=0xdfff).contains(&second).then_some(())
                }
                0xdc00..=0xdfff => None,
                _ => Some(()),
            },
            _ => None,
        }
    }

    fn code_unit(&mut self) -> Option<u32> {
        let digits = self.bytes.get(self.at..self.at + 4)?;
        self.at += 4;
        digits.iter().try_fold(0, |unit, digit| {
            Some(unit << 4 | char::from(*digit).to_digit(16)?)
        })
    }

    /// A number that is long, or may be too great, to its end or to `until`.
    fn rest_of_number(&mut self, until: usize) -> Option<bool> {
        while self.at < until {
            let byte = self.peek()?;
            if !Number::may_have(byte) {
                break;
            }
            self.number.push(byte)?;
            self.at += 1;
        }
        if self.at < until || until == self.bytes.len() {
            let digits = self.bytes.get(self.number.from..self.at)?;
            self.number.end(digits)?;
            self.next = Next::AfterValue;
        }
        Some(false)
    }

    /// A number that is short and not too great.
    fn number(&mut self) -> Option<()> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let whole = self.at;
        self.digits()?;
        let whole_digits = self.at - whole;
        if whole_digits > 1 && self.bytes.get(whole) == Some(&b'0') {
            return None;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        let mut exponent = 0;
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            let is_negative = self.peek() == Some(b'-');
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            let from = self.at;
            self.digits()?;
            if !is_negative {
                let digits = self.bytes.get(from..self.at)?;
                exponent = std::str::from_utf8(digits).ok()?.parse().ok()?;
            }
        }
        let size = i64::try_from(whole_digits).ok()?.checked_add(exponent)?;
        (size <= SURE_DIGITS).then_some(())
    }

    fn digits(&mut self) -> Option<()> {
        let from = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
            if self.at - from > LONG_NUMBER {
                return None;
            }
        }
        (self.at > from).then_some(())
    }

    fn after_space(&mut self, until: usize) -> Option<u8> {
        loop {
            match self.peek() {
                Some(b' ' | b'\n' | b'\r' | b'\t') if self.at < until => self.at += 1,
                byte => return byte,
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }
}
