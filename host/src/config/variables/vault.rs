//! Values from HashiCorp Vault's key-value store, version 2. Vault is asked at each read, so that
//! values can change while the host runs.
//!
//! The variable `a` is the key `value` of the secret `<mount>/<prefix>/a`. If Vault has no such
//! secret, the next provider is asked; any other error of Vault fails the read. Namespaces and
//! logins other than by token are left out on purpose: Spin has neither.
//!
//! Follows Spin's `crates/variables-vault`.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Uri};
use serde::Deserialize;

use crate::net::http_client::HttpClient;

/// How long Vault may take to respond.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The longest response of Vault, in bytes.
const MAX_RESPONSE_BYTES: usize = 1 << 20;

/// A Vault, and the folder of the variables in it.
pub(crate) struct Vault {
    client: HttpClient,
    /// The URL of a secret up to the name of its variable.
    base_url: String,
    token: HeaderValue,
}

/// The response to a read of a secret.
#[derive(Deserialize)]
struct SecretResponse {
    data: SecretVersion,
}

#[derive(Deserialize)]
struct SecretVersion {
    data: Secret,
}

#[derive(Deserialize)]
struct Secret {
    value: String,
}

impl Vault {
    /// A Vault at `url`, `http` or `https`. Sends no request yet.
    pub(crate) fn new(
        client: HttpClient,
        url: &str,
        token: &str,
        mount: &str,
        prefix: Option<&str>,
    ) -> Result<Self> {
        let parsed: Uri = url.parse().context("`url` of a vault is not a URL")?;
        ensure!(
            matches!(parsed.scheme_str(), Some("http" | "https")),
            "`url` of a vault must begin with http:// or https://"
        );
        // The error has no source: the value is a secret.
        let Ok(mut token) = HeaderValue::from_str(token) else {
            bail!("`token` of a vault has a character that no header can have");
        };
        token.set_sensitive(true);
        let (url, mount) = (url.trim_end_matches('/'), mount.trim_matches('/'));
        let folder = prefix.map_or_else(String::new, |prefix| {
            format!("{}/", prefix.trim_matches('/'))
        });
        Ok(Self {
            client,
            base_url: format!("{url}/v1/{mount}/data/{folder}"),
            token,
        })
    }

    /// The current value, if Vault has one.
    pub(super) async fn get(&self, name: &str) -> Result<Option<String>> {
        let request = Request::get(format!("{}{name}", self.base_url))
            .header("x-vault-token", self.token.clone())
            .header("x-vault-request", "true")
            .body(Bytes::new())?;
        let response = self
            .client
            .fetch(request, TIMEOUT, MAX_RESPONSE_BYTES)
            .await
            .context("Vault could not be asked")?;
        match response.status() {
            StatusCode::OK => {
                // The parser's message is left out: it may show the secret.
                let Ok(secret) = serde_json::from_slice::<SecretResponse>(response.body()) else {
                    bail!("Vault's secret for {name:?} has no text under the key \"value\"");
                };
                Ok(Some(secret.data.data.value))
            }
            StatusCode::NOT_FOUND => Ok(None),
            status => bail!("Vault answered {status} when asked for {name:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn the_url_of_a_variable() {
        let base = |url: &str, mount: &str, prefix| {
            let client = HttpClient::new(true);
            Vault::new(client, url, "t", mount, prefix).map(|vault| vault.base_url)
        };
        assert_eq!(
            base("http://h:8200", "secret", None).unwrap(),
            "http://h:8200/v1/secret/data/"
        );
        assert_eq!(
            base("https://h/", "/team/kv/", Some("/shop/")).unwrap(),
            "https://h/v1/team/kv/data/shop/"
        );
        assert!(base("h:8200", "secret", None).is_err());
        assert!(base("ftp://h", "secret", None).is_err());
    }

    #[test]
    fn a_token_is_never_shown() {
        let error = Vault::new(
            HttpClient::new(true),
            "http://h",
            "s3cret\n",
            "secret",
            None,
        )
        .err();
        let message = format!("{:#}", error.unwrap());
        assert!(message.contains("token") && !message.contains("s3cret"));
    }
}
