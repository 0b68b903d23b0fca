//! TOML files, with errors of one line that name the place of the mistake.

use anyhow::{Result, anyhow};
use serde::de::DeserializeOwned;
use toml::Value;

/// Parses a whole file.
pub(super) fn parse<T: DeserializeOwned>(text: &str) -> Result<T> {
    toml::from_str(text).map_err(|error| one_line(text, &error))
}

/// Reads the value of one key. The error starts with `key` and shows no value, which may be a
/// secret.
pub(super) fn read_value<T: DeserializeOwned>(key: &str, value: Value) -> Result<T> {
    value
        .try_into()
        .map_err(|error: toml::de::Error| anyhow!("{key}: {}", error.message()))
}

/// The error's own text shows the source over several lines.
fn one_line(text: &str, error: &toml::de::Error) -> anyhow::Error {
    let message = error.message().trim_end().replace('\n', ", ");
    match error.span() {
        Some(span) => {
            let before = text.get(..span.start).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            anyhow!("line {line}: {message}")
        }
        None => anyhow!("{message}"),
    }
}
