//! The names that variables may have.

/// Checks a name: lower-case words of letters and digits, joined by single underscores. So each
/// variable has exactly one environment variable.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    let reason = if name.is_empty() {
        "must not be empty".to_owned()
    } else if let Some(bad) = name
        .chars()
        .find(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '_'))
    {
        format!("{bad:?} is not allowed, only lower-case letters, digits and underscores")
    } else if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        "must start with a lower-case letter".to_owned()
    } else if name.ends_with('_') {
        "must end with a letter or digit".to_owned()
    } else if name.contains("__") {
        "must not have two underscores in a row".to_owned()
    } else {
        return Ok(());
    };
    Err(format!("variable name {name:?}: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["a", "redis_host", "a1_2b"] {
            assert_eq!(check_name(good), Ok(()));
        }
        for bad in ["", "A", "1a", "_a", "a_", "a__b", "a-b", "ä"] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }
}
