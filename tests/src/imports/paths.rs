//! The paths in a Rust source text, read token by token.

/// A path in the code that may name another module.
#[derive(Debug, PartialEq)]
pub(super) struct CodePath {
    pub(super) line: usize,
    pub(super) segments: Vec<String>,
    /// The inline modules (`mod x { }`) that the path is in, outermost first.
    pub(super) inline: Vec<String>,
}

/// Every path of two or more names in `text`, and every path of a `use`.
pub(super) fn paths(text: &str) -> Vec<CodePath> {
    let tokens = tokens(text);
    let mut paths = Vec::new();
    // For each open brace, the name of the inline module that it opens.
    let mut braces: Vec<Option<String>> = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let inline = || braces.iter().flatten().cloned().collect::<Vec<_>>();
        match tokens[at].text {
            "use" if at + 1 < tokens.len() && tokens[at + 1].text != "<" => {
                let mut leaves = Vec::new();
                at = use_tree(&tokens, at + 1, &[], &mut leaves);
                paths.extend(leaves.into_iter().map(|(line, segments)| CodePath {
                    line,
                    segments,
                    inline: inline(),
                }));
            }
            "mod" if text_at(&tokens, at + 2) == "{" => {
                braces.push(Some(name(tokens[at + 1].text)));
                at += 3;
            }
            "{" => {
                braces.push(None);
                at += 1;
            }
            "}" => {
                braces.pop();
                at += 1;
            }
            "in" if at >= 2 && tokens[at - 1].text == "(" && tokens[at - 2].text == "pub" => {
                at += 1;
                while at < tokens.len() && tokens[at].text != ")" {
                    at += 1;
                }
            }
            // A path goes on here that began with something else, such as `<T as Trait>::`.
            "::" => at += 2,
            first if is_name(first) => {
                let line = tokens[at].line;
                let mut segments = vec![name(first)];
                at += 1;
                while text_at(&tokens, at) == "::" && is_name(text_at(&tokens, at + 1)) {
                    segments.push(name(tokens[at + 1].text));
                    at += 2;
                }
                if segments.len() > 1 {
                    paths.push(CodePath {
                        line,
                        segments,
                        inline: inline(),
                    });
                }
            }
            _ => at += 1,
        }
    }
    paths
}

/// Reads one tree of a `use` from token `at` on; returns where it ends. A leaf has the line of its
/// own first name, which in a group over several lines is not that of the `use`.
fn use_tree(
    tokens: &[Token<'_>],
    mut at: usize,
    before: &[String],
    leaves: &mut Vec<(usize, Vec<String>)>,
) -> usize {
    let mut path = before.to_vec();
    let line = tokens.get(at).map_or(0, |token| token.line);
    loop {
        match text_at(tokens, at) {
            "{" => {
                at += 1;
                while !matches!(text_at(tokens, at), "}" | ";" | "") {
                    at = use_tree(tokens, at, &path, leaves);
                    if text_at(tokens, at) == "," {
                        at += 1;
                    }
                }
                return at + 1;
            }
            "::" => at += 1,
            "as" => at += 2,
            "," | ";" | "}" | "" => break,
            segment => {
                if segment != "*" {
                    path.push(name(segment));
                }
                at += 1;
            }
        }
    }
    leaves.push((line, path));
    at
}

fn text_at<'a>(tokens: &[Token<'a>], at: usize) -> &'a str {
    tokens.get(at).map_or("", |token| token.text)
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

fn name(token: &str) -> String {
    token.strip_prefix("r#").unwrap_or(token).to_owned()
}

/// A name, `::`, or any other single character of the code.
struct Token<'a> {
    text: &'a str,
    line: usize,
}

/// The tokens of `text` without its comments, literals and lifetimes.
fn tokens(text: &str) -> Vec<Token<'_>> {
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
