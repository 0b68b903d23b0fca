//! The console blocks of a document: commands, and the output that is shown for each.

/// A command and the output that the document shows for it.
pub(super) struct Example {
    /// With its continuation lines, if it has any.
    pub(super) command: String,
    pub(super) output: String,
}

/// The commands in the console blocks of `text`, in their order.
pub(super) fn examples(text: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    for block in text.split("```console\n").skip(1) {
        let (block, _) = block.split_once("```").unwrap();
        for line in block.lines() {
            if let Some(command) = line.strip_prefix("$ ") {
                let (command, output) = (command.to_owned(), String::new());
                examples.push(Example { command, output });
            } else if let Some(example) = examples.last_mut() {
                let continued = example.command.ends_with('\\');
                let text = if continued {
                    &mut example.command
                } else {
                    &mut example.output
                };
                text.push('\n');
                text.push_str(line);
            }
        }
    }
    examples
}

/// The first block of `text` in this language.
pub(super) fn block<'a>(text: &'a str, language: &str) -> &'a str {
    let (_, rest) = text.split_once(&format!("```{language}\n")).unwrap();
    let (block, _) = rest.split_once("```").unwrap();
    block
}

/// `text` with the values that differ from run to run replaced: the rest of a line, or a JSON
/// value, after certain words. Line ends are those of Unix.
pub(super) fn settle(text: &str) -> String {
    let lines: Vec<_> = text
        .trim()
        .lines()
        .map(|line| settle_line(line.trim_end()))
        .collect();
    lines.join("\n")
}

fn settle_line(line: &str) -> String {
    const CHANGING: [&str; 13] = [
        "x-request-id: ",
        "server-timing: ",
        "date: ",
        "fencing-token: ",
        "retry-after: ",
        "lock-wait: ",
        "max-age=",
        "ttl=",
        "\"fencing_token\":",
        "\"finished_at\":\"",
        "\"latency_ms\":",
        "\"expires_in\":",
        "\"token\":\"",
    ];
    let mut settled = line.to_owned();
    for word in CHANGING {
        if let Some(start) = settled.find(word) {
            let value = start + word.len();
            let whole_line = word.ends_with(": ");
            let end = settled[value..]
                .find([',', '"', '}', ';'])
                .filter(|_| !whole_line);
            let end = end.map_or(settled.len(), |end| value + end);
            settled.replace_range(value..end, "*");
        }
    }
    settled
}
