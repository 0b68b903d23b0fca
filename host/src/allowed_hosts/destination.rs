//! The address that a component hands over, read as Spin's `OutboundUrl` reads it.

use anyhow::{Context as _, Result};
use url::{Host, Url};

/// Where a component wants to connect to.
#[derive(Debug)]
pub(crate) struct Destination {
    pub(super) scheme: String,
    pub(super) host: Host,
    pub(super) port: Option<u16>,
}

impl Destination {
    /// Reads a URL, or an address without a scheme as one with `scheme`. Fails on what has no host.
    pub(crate) fn parse(address: &str, scheme: &str) -> Result<Self> {
        let address = encode_userinfo(address);
        let url = match Url::parse(&address) {
            Ok(url) if url.has_host() => url,
            _ => Url::parse(&format!("{scheme}://{address}"))?,
        };
        let host = url
            .host_str()
            .filter(|host| !host.is_empty())
            .context("no host")?;
        // `Url` keeps the host of a scheme it does not know as opaque text; this reads an IP address in it.
        let host = Host::parse(host)?;
        Ok(Self {
            scheme: url.scheme().to_owned(),
            host,
            port: url.port(),
        })
    }

    /// `<scheme>://<host>[:<port>]`, as it would stand in the manifest.
    pub(crate) fn pattern(&self) -> String {
        let Self { scheme, host, port } = self;
        match port {
            Some(port) => format!("{scheme}://{host}:{port}"),
            None => format!("{scheme}://{host}"),
        }
    }
}

/// Hides the user name and password, which may hold characters that make the URL unreadable. As in Spin, a `/`
/// in them makes the address one without a user name.
fn encode_userinfo(address: &str) -> String {
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
    fn what_is_not_a_destination() {
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
