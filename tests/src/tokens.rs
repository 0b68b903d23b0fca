//! A Rust source text as tokens, without comments, literals and lifetimes.

/// The token at this place; nothing behind the last one.
pub(crate) fn text_at<'a>(tokens: &[Token<'a>], at: usize) -> &'a str {
    tokens.get(at).map_or("", |token| token.text)
}

/// Whether it is a name or a keyword.
pub(crate) fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// A name, without the `r#` that it may begin with.
pub(crate) fn name(token: &str) -> String {
    token.strip_prefix("r#").unwrap_or(token).to_owned()
}

/// A name, `::`, or any other single character of the code.
pub(crate) struct Token<'a> {
    pub(crate) text: &'a str,
    pub(crate) line: usize,
}

/// The tokens of `text` without its comments, literals and lifetimes.
pub(crate) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let (length, is_code) = if let Some(length) = comment(rest).or_else(|| literal(rest)) {
            (length, false)
        } else if rest.starts_with("::") {
            (2, true)
        } else if is_name(rest) {
            (name_length(rest), true)
        } else {
            // A digit is part of a number, and the letters after it are its suffix or hex digits.
            let is_number = first.is_ascii_digit();
            let length = if is_number {
                name_length(rest)
            } else {
                first.len_utf8()
            };
            (length, !is_number && !first.is_whitespace())
        };
        let token = &rest[..length];
        if is_code {
            tokens.push(Token { text: token, line });
        }
        line += token.matches('\n').count();
        rest = &rest[length..];
    }
    tokens
}

/// The length of a name, `r#` included.
fn name_length(text: &str) -> usize {
    let raw = text.strip_prefix("r#").filter(|rest| is_name(rest));
    let start = raw.map_or(0, |_| 2);
    let end = text[start..].find(|c: char| !(c.is_alphanumeric() || c == '_'));
    end.map_or(text.len(), |end| start + end)
}

/// The length of the comment that `text` starts with.
fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if !text.starts_with("/*") {
        return None;
    }
    // Block comments nest.
    let (mut depth, mut at) = (1, 2);
    while depth > 0 && at < text.len() {
        let rest = &text.as_bytes()[at..];
        let step = if rest.starts_with(b"/*") {
            depth += 1;
            2
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            2
        } else {
            1
        };
        at += step;
    }
    Some(at)
}

/// The length of the string, character or lifetime that `text` starts with.
fn literal(text: &str) -> Option<usize> {
    let start = ["br", "cr", "b", "c", "r", ""]
        .iter()
        .find(|prefix| {
            let rest = text.strip_prefix(**prefix);
            let raw = prefix.ends_with('r');
            rest.is_some_and(|rest| {
                rest.starts_with('"')
                    || (raw && rest.trim_start_matches('#').starts_with('"'))
                    || (matches!(**prefix, "" | "b") && rest.starts_with('\''))
            })
        })?
        .len();
    let rest = &text[start..];
    if text[..start].ends_with('r') {
        let hashes = rest.len() - rest.trim_start_matches('#').len();
        let end = format!("\"{}", &rest[..hashes]);
        let body = &rest[hashes + 1..];
        let close = body.find(&end).map_or(body.len(), |at| at + end.len());
        return Some(start + hashes + 1 + close);
    }
    let quote = rest.chars().next()?;
    let mut chars = rest.char_indices().skip(1);
    if quote == '\'' {
        let (_, first) = chars.next()?;
        let second = chars.next();
        if first != '\\' && second.is_none_or(|(_, c)| c != '\'') {
            // A lifetime or a label: the quote alone is skipped, and its name with it.
            return Some(start + 1 + name_length(&rest[1..]));
        }
        chars = rest.char_indices().skip(1);
    }
    while let Some((at, c)) = chars.next() {
        if c == '\\' {
            chars.next();
        } else if c == quote {
            return Some(start + at + 1);
        }
    }
    Some(text.len())
}
