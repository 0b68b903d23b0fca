//! The header `Cache-Control` (RFC 9111, section 5.2; RFC 5861), of requests and of answers.

use http::{HeaderMap, header};

/// The greatest number of seconds that is told from greater ones (RFC 9111, section 1.2.2).
const MAX_SECONDS: u64 = 1 << 31;

/// The directives that matter here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CacheControl {
    /// Not to be kept at all.
    pub(crate) no_store: bool,
    /// Of an answer: not to be served without asking the origin. Of a request: the origin is to be
    /// asked.
    pub(crate) no_cache: bool,
    /// For one recipient alone.
    pub(super) private: bool,
    /// `must-revalidate` or `proxy-revalidate`: never to be served stale.
    pub(super) must_revalidate: bool,
    /// Kept only by who knows what the status means.
    pub(super) must_understand: bool,
    /// May be kept though the status alone does not say so.
    pub(super) public: bool,
    pub(super) max_age: Option<u64>,
    pub(super) s_maxage: Option<u64>,
    pub(super) stale_while_revalidate: Option<u64>,
    pub(super) stale_if_error: Option<u64>,
}

impl CacheControl {
    /// Reads the header, all of its lines. Unknown directives are skipped; a number that is none
    /// counts as 0, and of several the least, so that what is unclear is stale (RFC 9111, section
    /// 4.2.1).
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut directives = Self::default();
        for value in headers.get_all(header::CACHE_CONTROL) {
            for directive in split(value.as_bytes()) {
                directives.read(&String::from_utf8_lossy(directive));
            }
        }
        directives
    }

    fn read(&mut self, directive: &str) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        let (name, value) = (name.trim(), value.trim());
        self.read_misplaced(name);
        if !value.starts_with('"') {
            self.read_misplaced(value);
        }
        let value = value.trim_matches('"');
        let least = |before: Option<u64>| {
            let seconds = seconds(value).unwrap_or(0);
            Some(before.map_or(seconds, |before| before.min(seconds)))
        };
        let name = name.rsplit(is_separator).next().unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "no-store" => self.no_store = true,
            "no-cache" => self.no_cache = true,
            "private" => self.private = true,
            "must-revalidate" | "proxy-revalidate" => self.must_revalidate = true,
            "must-understand" => self.must_understand = true,
            "public" => self.public = true,
            "max-age" => self.max_age = least(self.max_age),
            "s-maxage" => self.s_maxage = least(self.s_maxage),
            "stale-while-revalidate" => {
                self.stale_while_revalidate = least(self.stale_while_revalidate);
            }
            "stale-if-error" => self.stale_if_error = least(self.stale_if_error),
            _ => {}
        }
    }

    /// Reads what forbids to keep an answer also where it is not separated by commas, as in
    /// `public; no-store`. What is unclear is not kept.
    fn read_misplaced(&mut self, text: &str) {
        for part in text.split(is_separator) {
            match part.to_ascii_lowercase().as_str() {
                "no-store" => self.no_store = true,
                "no-cache" => self.no_cache = true,
                "private" => self.private = true,
                _ => {}
            }
        }
    }
}

/// Whether no token holds this character (RFC 9110, section 5.6.2), as far as people take it for a
/// separator of directives.
fn is_separator(character: char) -> bool {
    matches!(character, ';' | '"' | ' ' | '\t')
}

/// Whole seconds (RFC 9111, section 1.2.2); greater ones than can be told apart are the greatest.
pub(super) fn seconds(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(MAX_SECONDS).min(MAX_SECONDS))
}

/// Splits at the commas that are not within quotes. A quote begins a value, right behind `=`. Where
/// it is not closed, every comma splits, so that nothing hides behind it.
fn split(value: &[u8]) -> Vec<&[u8]> {
    let (mut quoted, mut escaped, mut may_open) = (false, false, false);
    let parts = value
        .split(|byte| {
            let is_quote = *byte == b'"' && !escaped && (quoted || may_open);
            escaped = quoted && *byte == b'\\' && !escaped;
            quoted ^= is_quote;
            may_open = *byte == b'=' || may_open && byte.is_ascii_whitespace();
            *byte == b',' && !quoted
        })
        .collect();
    if quoted {
        return value.split(|byte| *byte == b',').collect();
    }
    parts
}
