//! `runtime-config.toml`: the operator's settings.
//!
//! Supported: variable providers of the types `static`, `env` and `vault`, the limits in
//! `[outbound_redis]` and `[outbound_http]`, and `max_instance_memory`. Other settings of Spin
//! (Azure, key-value stores, databases, client TLS, blocked networks, ...) and unknown keys are
//! refused by name. `state_dir` is accepted without effect, since this host keeps no state.
//!
//! Follows Spin's `crates/runtime-config/src/lib.rs` and `variables.rs`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Value;

use super::toml_reader;
use super::variables::{Provider, Vault};
use crate::net::http_client::HttpClient;

/// The settings.
pub(crate) struct RuntimeConfig {
    /// Variable providers in their order, the environment last.
    pub(crate) providers: Vec<Provider>,
    /// Cap on Redis connections of the whole host.
    pub(crate) max_redis_connections: Option<usize>,
    /// The HTTP client of the components.
    pub(crate) http: OutboundHttpConfig,
    /// Bytes of memory that an instance may grow to.
    pub(crate) max_instance_memory: Option<usize>,
}

/// `[outbound_http]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutboundHttpConfig {
    /// Keep idle connections for the next request to the same host.
    pub(crate) pooling: bool,
    /// Cap on connections of the whole host.
    pub(crate) max_connections: Option<usize>,
}

impl Default for RuntimeConfig {
    fn default() -> Self {
        Self {
            providers: vec![Provider::default_environment()],
            max_redis_connections: None,
            http: OutboundHttpConfig {
                pooling: true,
                max_connections: None,
            },
            max_instance_memory: None,
        }
    }
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum RawProvider {
    Static {
        values: HashMap<String, String>,
    },
    Env {
        prefix: Option<String>,
        dotenv_path: Option<PathBuf>,
    },
    Vault {
        url: String,
        token: String,
        mount: String,
        prefix: Option<String>,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRedis {
    max_connections: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHttp {
    /// With the table present, the default is off, as in Spin.
    #[serde(default)]
    connection_pooling: bool,
    max_connections: Option<usize>,
    max_concurrent_requests: Option<Value>,
}

impl RuntimeConfig {
    /// Reads the file; without a path, returns the defaults. Vaults are asked with `client`.
    pub(crate) fn load(path: Option<&Path>, client: &HttpClient) -> Result<Self> {
        let Some(path) = path else {
            return Ok(Self::default());
        };
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the runtime configuration {}", path.display()))?;
        Self::parse(&text, client).with_context(|| format!("{}", path.display()))
    }

    fn parse(text: &str, client: &HttpClient) -> Result<Self> {
        let table: toml::Table = toml_reader::parse(text)?;
        ensure!(
            !(table.contains_key("variables_provider") && table.contains_key("config_provider")),
            "`variables_provider` and `config_provider` are the same thing: use the former"
        );
        let mut config = Self::default();
        for (key, value) in table {
            match key.as_str() {
                "variables_provider" | "config_provider" => {
                    let mut providers = read_providers(&key, value, client)?;
                    providers.append(&mut config.providers);
                    config.providers = providers;
                }
                "outbound_redis" => {
                    let RawRedis { max_connections } = read(&key, value)?;
                    config.max_redis_connections = max_connections;
                }
                "outbound_http" => config.http = read_http(read(&key, value)?)?,
                "max_instance_memory" => config.max_instance_memory = Some(read(&key, value)?),
                "state_dir" => {}
                "log_dir" if value.as_str() == Some("") => {}
                _ => bail!("`{key}` is not supported by this host"),
            }
        }
        Ok(config)
    }
}

fn read<T: DeserializeOwned>(key: &str, value: Value) -> Result<T> {
    toml_reader::read_value(&format!("`{key}`"), value)
}

fn read_providers(key: &str, value: Value, client: &HttpClient) -> Result<Vec<Provider>> {
    let Value::Array(list) = value else {
        bail!("`{key}` must be written [[{key}]]")
    };
    list.into_iter()
        .map(|provider| {
            let kind = provider
                .get("type")
                .and_then(Value::as_str)
                .unwrap_or("")
                .to_owned();
            ensure!(
                matches!(kind.as_str(), "static" | "env" | "vault"),
                "[[{key}]] type {kind:?} is not supported by this host, \
                 only \"static\", \"env\" and \"vault\""
            );
            Ok(match read(key, provider)? {
                RawProvider::Static { values } => Provider::Static(values),
                RawProvider::Env {
                    prefix,
                    dotenv_path,
                } => Provider::environment(prefix, dotenv_path),
                RawProvider::Vault {
                    url,
                    token,
                    mount,
                    prefix,
                } => {
                    let prefix = prefix.as_deref();
                    let vault = Vault::new(client.clone(), &url, &token, &mount, prefix)?;
                    Provider::Vault(Box::new(vault))
                }
            })
        })
        .collect()
}

fn read_http(raw: RawHttp) -> Result<OutboundHttpConfig> {
    ensure!(
        raw.max_concurrent_requests.is_none(),
        "`max_concurrent_requests` in [outbound_http] is not supported by this host: \
         write `max_connections`"
    );
    Ok(OutboundHttpConfig {
        pooling: raw.connection_pooling,
        max_connections: raw.max_connections,
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn parse(text: &str) -> Result<RuntimeConfig> {
        RuntimeConfig::parse(text, &HttpClient::new(true))
    }

    fn refusal(text: &str) -> String {
        format!("{:#}", parse(text).err().unwrap())
    }

    #[test]
    fn every_supported_key() {
        let config = parse(
            r#"
            state_dir = "x"
            max_instance_memory = 1048576
            [outbound_redis]
            max_connections = 3
            [outbound_http]
            max_connections = 4
            [[variables_provider]]
            type = "static"
            values = { a = "b" }
            [[variables_provider]]
            type = "env"
            prefix = "X"
            [[variables_provider]]
            type = "vault"
            url = "http://127.0.0.1:8200"
            token = "t"
            mount = "secret"
            "#,
        )
        .unwrap();
        assert_eq!(config.max_redis_connections, Some(3));
        assert_eq!(
            config.http,
            OutboundHttpConfig {
                pooling: false,
                max_connections: Some(4)
            }
        );
        assert_eq!(config.max_instance_memory, Some(1 << 20));
        assert_eq!(config.providers.len(), 4);
        assert_eq!(parse("").unwrap().providers.len(), 1);
    }

    #[test]
    fn unsupported_keys_are_refused_by_name() {
        let azure = refusal("[[variables_provider]]\ntype = \"azure_key_vault\"");
        assert!(azure.contains("azure_key_vault"), "{azure}");
        let vault = refusal("[[variables_provider]]\ntype = \"vault\"\nurl = \"u\"");
        assert!(vault.contains("token"), "{vault}");
        assert!(refusal("[key_value_store.default]\ntype = \"spin\"").contains("key_value_store"));
        assert!(refusal("[outbound_redis]\nmax = 3").contains("max"));
        assert!(refusal("[client_tls]").contains("client_tls"));
        assert!(refusal("a = ").contains("line 1"));
        let message = refusal("[[variables_provider]]\ntype = \"static\"\nvalues = { a = 12345 }");
        assert!(message.contains("variables_provider"), "{message}");
    }
}
