//! Writes lines of the log: one object of JSON each, on stderr.

use std::io::Write as _;
use std::time::SystemTime;

use serde::Serialize;

use crate::types::request_id::RequestId;

/// A failure behind the answer of a request.
#[derive(Serialize)]
struct BackgroundFailure<'a> {
    time: String,
    request_id: &'a str,
    outcome: &'static str,
    cause: String,
}

/// Writes a line for a failure behind the answer of this request, whether or not requests are
/// logged.
pub(crate) fn background_failure(id: &RequestId, outcome: &'static str, cause: &str) {
    write(&BackgroundFailure {
        time: now(),
        request_id: id.as_str(),
        outcome,
        cause: one_line(cause),
    });
}

/// What an operator should know of the settings.
#[derive(Serialize)]
struct Warning<'a> {
    time: String,
    warning: &'a str,
}

/// Writes a line for something that an operator should know of the settings.
pub(crate) fn warning(warning: &str) {
    write(&Warning {
        time: now(),
        warning,
    });
}

/// Writes a line.
pub(crate) fn write(line: &impl Serialize) {
    if let Ok(mut line) = serde_json::to_vec(line) {
        line.push(b'\n');
        // In one piece: each write is a call of the host. A closed stderr can't be reported.
        let _ = std::io::stderr().write_all(&line);
    }
}

/// The time of a line (RFC 3339).
pub(crate) fn now() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}

/// A text from elsewhere, in one line: the parser of Redis' replies, for one, writes several.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_one_line() {
        let cause = "Parse error at 1\nExpected integer\r\n";
        assert_eq!(one_line(cause), "Parse error at 1 Expected integer");
    }
}
