//! The paths in a Rust source text, read token by token.

use crate::tokens::{Token, is_name, name, text_at, tokens};

/// A path in the code that may name another module.
#[derive(Debug, PartialEq)]
pub(crate) struct CodePath {
    pub(crate) line: usize,
    pub(crate) segments: Vec<String>,
    /// The inline modules (`mod x { }`) that the path is in, outermost first.
    pub(crate) inline: Vec<String>,
}

/// Every path of two or more names in `text`, and every path of a `use`.
pub(crate) fn paths(text: &str) -> Vec<CodePath> {
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
