//! The sources of variables' values.
//!
//! Follows Spin's `crates/variables-env`, `crates/variables-static` and `crates/variables-vault`.

use std::collections::HashMap;
use std::env::VarError;
use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::{Result, bail};

use super::vault::Vault;

/// Prefix of the environment variables that the default provider reads.
pub(super) const ENV_PREFIX: &str = "SPIN_VARIABLE";

/// A source of values.
pub(crate) enum Provider {
    /// A fixed table: `--variable`, or `type = "static"` in the runtime configuration.
    Static(HashMap<String, String>),
    /// The environment, then a `.env` file.
    Environment {
        /// The part before the upper-case name, without the underscore.
        prefix: String,
        /// A file of `NAME=value` lines; it need not exist.
        dotenv: Option<PathBuf>,
        /// The file, read on first use.
        cache: OnceLock<HashMap<String, String>>,
    },
    /// A store whose values may change while the host runs.
    Vault(Box<Vault>),
}

impl Provider {
    /// The provider that is always present, last in order.
    pub(crate) fn default_environment() -> Self {
        Self::environment(None, Some(PathBuf::from(".env")))
    }

    /// An environment with its own prefix (`type = "env"` in the runtime configuration).
    pub(crate) fn environment(prefix: Option<String>, dotenv: Option<PathBuf>) -> Self {
        let prefix = prefix.unwrap_or_else(|| ENV_PREFIX.to_owned());
        Self::Environment {
            prefix,
            dotenv,
            cache: OnceLock::new(),
        }
    }

    /// The value, if this provider has one.
    pub(super) async fn get(&self, name: &str) -> Result<Option<String>> {
        match self {
            Self::Vault(vault) => vault.get(name).await,
            _ => self.fixed_value(name),
        }
    }

    /// Whether this provider may have a value for a required variable. Vault always may, since its
    /// values change.
    pub(super) fn may_have(&self, name: &str) -> bool {
        matches!(self, Self::Vault(_)) || matches!(self.fixed_value(name), Ok(Some(_)))
    }

    /// The value, of a provider whose values do not change while the host runs.
    fn fixed_value(&self, name: &str) -> Result<Option<String>> {
        match self {
            Self::Static(values) => Ok(values.get(name).cloned()),
            Self::Environment {
                prefix,
                dotenv,
                cache,
            } => {
                let key = format!("{prefix}_{}", name.to_ascii_uppercase());
                match std::env::var(&key) {
                    Ok(value) => return Ok(Some(value)),
                    Err(VarError::NotPresent) => {}
                    // `VarError` would show the value.
                    Err(VarError::NotUnicode(_)) => {
                        bail!("environment variable {key} is not UTF-8")
                    }
                }
                let Some(path) = dotenv else { return Ok(None) };
                let values = match cache.get() {
                    Some(values) => values,
                    None => {
                        let read = read_dotenv(path)?;
                        cache.get_or_init(|| read)
                    }
                };
                Ok(values.get(&key).cloned())
            }
            Self::Vault(_) => Ok(None),
        }
    }
}

/// A file that cannot be opened counts as empty, as in Spin. One that cannot be parsed is an error.
fn read_dotenv(path: &PathBuf) -> Result<HashMap<String, String>> {
    let Ok(lines) = dotenvy::from_path_iter(path) else {
        return Ok(HashMap::new());
    };
    lines
        .collect::<Result<_, _>>()
        // dotenvy's own message shows the line, which may hold a secret.
        .map_err(|_| anyhow::anyhow!("{} is not a valid .env file", path.display()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_dotenv_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(".env");
        std::fs::write(&file, "EDGELATCH_HOST_TEST_PASSWORD='from file'\n").unwrap();
        let prefix = || Some("EDGELATCH_HOST_TEST".to_owned());
        let provider = Provider::environment(prefix(), Some(file.clone()));
        assert_eq!(
            provider.fixed_value("password").unwrap().as_deref(),
            Some("from file")
        );
        assert_eq!(provider.fixed_value("other").unwrap(), None);
        assert_eq!(
            Provider::environment(prefix(), Some(dir.path().join("none")))
                .fixed_value("password")
                .unwrap(),
            None
        );
        std::fs::write(&file, "no equals sign secret\n").unwrap();
        let message = Provider::environment(prefix(), Some(file))
            .fixed_value("password")
            .err()
            .unwrap()
            .to_string();
        assert!(!message.contains("secret"), "{message}");
    }
}
