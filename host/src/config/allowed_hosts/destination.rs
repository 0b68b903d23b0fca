//! The address that a component connects to, parsed like Spin's `OutboundUrl`.

use anyhow::{Context as _, Result};
use url::{Host, Url};

/// The scheme, host and port that a component connects to.
#[derive(Debug)]
pub(crate) struct Destination {
    pub(super) scheme: String,
    pub(super) host: Host,
    pub(super) port: Option<u16>,
}

impl Destination {
    /// Parses a URL, or an address without a scheme, which then is `scheme`. Fails without a host.
    pub(crate) fn parse(address: &str, scheme: &str) -> Result<Self> {
        let address = replace_userinfo(address);
        let url = match Url::parse(&address) {
            Ok(url) if url.has_host() => url,
            _ => Url::parse(&format!("{scheme}://{address}"))?,
        };
        let host = url
            .host_str()
            .filter(|host| !host.is_empty())
            .context("no host")?;
        // `Url` keeps the host of an unknown scheme as text. This parses an IP address in it.
        let host = Host::parse(host)?;
        Ok(Self {
            scheme: url.scheme().to_owned(),
            host,
            port: url.port(),
        })
    }

    /// `<scheme>://<host>[:<port>]`, as in the manifest.
    pub(crate) fn pattern(&self) -> String {
        let Self { scheme, host, port } = self;
        match port {
            Some(port) => format!("{scheme}://{host}:{port}"),
            None => format!("{scheme}://{host}"),
        }
    }
}

/// Replaces the user name and password, which may have characters that are not valid in a URL. As
/// in Spin, with a `/` in them the address counts as one without a user name.
fn replace_userinfo(address: &str) -> String {
    let start = address.find("://").map_or(0, |at| at + 3);
    let end = address[start..]
        .find('/')
        .map_or(address.len(), |at| at + start);
    match address.find('@') {
        Some(at) if start <= at && at < end => format!("{}x{}", &address[..start], &address[at..]),
        _ => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn invalid_addresses_are_refused() {
        for address in ["", ":::", "a b"] {
            assert!(Destination::parse(address, "redis").is_err(), "{address:?}");
        }
        assert_eq!(
            Destination::parse("redis://u:p@h:1/2", "redis")
                .unwrap()
                .pattern(),
            "redis://h:1"
        );
    }
}
