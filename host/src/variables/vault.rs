//! Values from HashiCorp Vault's key-value store, version 2: each asked for anew each time, so that it can change while the
//! application runs.
//!
//! The variable `a` is the key `value` of the secret `<mount>/<prefix>/a`. What Vault does not have, the next provider may; any
//! other answer of Vault is a failure. Namespaces and other logins than a token are left out on purpose: Spin has neither.
//!
//! Follows Spin's `crates/variables-vault`.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Uri};
use serde::Deserialize;

use crate::outbound_http::HostClient;

/// How long Vault may take to answer.
const LIMIT: Duration = Duration::from_secs(10);

/// The longest answer that is read, in bytes.
const LONGEST: usize = 1 << 20;

/// A Vault, and where in it the variables are.
pub(crate) struct Vault {
    client: HostClient,
    /// Up to the name of the variable.
    base: String,
    token: HeaderValue,
}

#[derive(Deserialize)]
struct Answer {
    data: Version,
}

#[derive(Deserialize)]
struct Version {
    data: Secret,
}

#[derive(Deserialize)]
struct Secret {
    value: String,
}

impl Vault {
    /// A Vault at `url`, `http` or `https`; asked for nothing yet.
    pub(crate) fn new(url: &str, token: &str, mount: &str, prefix: Option<&str>) -> Result<Self> {
        let parsed: Uri = url.parse().context("`url` of a vault is not a URL")?;
        ensure!(
            matches!(parsed.scheme_str(), Some("http" | "https")),
            "`url` of a vault must begin with http:// or https://"
        );
        // Its own message would be fine, but the value is a secret.
        let Ok(mut token) = HeaderValue::from_str(token) else {
            bail!("`token` of a vault has a character that no header can have");
        };
        token.set_sensitive(true);
        let (url, mount) = (url.trim_end_matches('/'), mount.trim_matches('/'));
        let folder = prefix.map_or_else(String::new, |prefix| {
            format!("{}/", prefix.trim_matches('/'))
        });
        Ok(Self {
            client: HostClient::default(),
            base: format!("{url}/v1/{mount}/data/{folder}"),
            token,
        })
    }

    /// The value of now, if Vault has one.
    pub(super) async fn get(&self, name: &str) -> Result<Option<String>> {
        let request = Request::get(format!("{}{name}", self.base))
            .header("x-vault-token", self.token.clone())
            .header("x-vault-request", "true")
            .body(Bytes::new())?;
        let (status, body) = self
            .client
            .send(request, LIMIT, LONGEST)
            .await
            .context("Vault could not be asked")?;
        match status {
            StatusCode::OK => {
                // The parser's message is left out: it may show the secret.
                let Ok(answer) = serde_json::from_slice::<Answer>(&body) else {
                    bail!("Vault's secret for {name:?} has no text under the key \"value\"");
                };
                Ok(Some(answer.data.data.value))
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
    fn where_a_variable_is() {
        let base = |url: &str, mount: &str, prefix| {
            Vault::new(url, "t", mount, prefix).map(|vault| vault.base)
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
        let error = Vault::new("http://h", "s3cret\n", "secret", None).err();
        let message = format!("{:#}", error.unwrap());
        assert!(message.contains("token") && !message.contains("s3cret"));
    }
}
