//! `allowed_outbound_hosts`: the hosts that a component may connect to.
//!
//! An entry is `<scheme>://<host>[:<port>]`:
//! - The scheme is a word or `*`.
//! - The host is a name, an IP address, an IP network, `*`, `*.domain` or `self`.
//! - The port is a number, a half-open range `a..b` or `*`. It may be left out for schemes with a
//!   well-known port.
//!
//! Left out on purpose: service chaining (`*.spin.internal`), and schemes that this host has no
//! client for. Both are refused by name when the manifest is read.
//!
//! Follows Spin's `crates/outbound-networking-config/src/allowed_hosts.rs`.

mod destination;

use std::ops::Range;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use ip_network::IpNetwork;
use url::Host;

use super::variables::{Template, Variables};

pub(crate) use destination::Destination;

/// Schemes that this host can connect with.
const SCHEMES: [&str; 5] = ["*", "http", "https", "redis", "rediss"];

/// The list of one component.
#[derive(Debug, Default)]
pub(crate) struct AllowedHosts(Vec<Entry>);

#[derive(Debug, PartialEq)]
struct Entry {
    /// `None` is any scheme.
    scheme: Option<String>,
    host: AllowedHost,
    port: AllowedPort,
}

#[derive(Debug, PartialEq)]
enum AllowedHost {
    Any,
    /// `.domain`
    Subdomains(String),
    Exactly(Host),
    Network(IpNetwork),
    /// The application itself.
    Itself,
}

#[derive(Debug, PartialEq)]
enum AllowedPort {
    Any,
    Exactly(u16),
    Within(Range<u16>),
}

impl AllowedHosts {
    /// Checks literal entries, and templates whose variables all have defaults. Other templates
    /// need a provider's values, so they are checked when they are resolved.
    pub(crate) fn check(entries: &[String], variables: &Variables) -> Result<()> {
        for text in entries {
            let template = Template::parse(text)?;
            if template.is_literal() {
                Entry::parse(text)?;
            } else if let Some(expanded) = variables.expand_defaults(&template) {
                parse_expanded(&expanded)
                    .with_context(|| format!("{text:?} with the variables' defaults"))?;
            }
        }
        Ok(())
    }

    /// The list with the variables' current values.
    pub(crate) async fn resolve(entries: &[String], variables: &Variables) -> Result<Self> {
        let mut resolved = Vec::new();
        for text in entries {
            let template = Template::parse(text)?;
            if template.is_literal() {
                resolved.push(Entry::parse(text)?);
                continue;
            }
            let expanded = variables
                .expand(&template)
                .await
                .map_err(|error| anyhow!("{text:?}: {error}"))?;
            // Only the template is shown: the expanded text may hold a secret.
            resolved.extend(parse_expanded(&expanded).map_err(|_| {
                anyhow!("with the variables' values, {text:?} is not <scheme>://<host>[:<port>]")
            })?);
        }
        Ok(Self(resolved))
    }

    /// Whether a connection to `url` is allowed.
    pub(crate) fn allows(&self, url: &Destination) -> bool {
        self.0.iter().any(|entry| entry.allows(url))
    }

    /// Whether the application may send requests to itself.
    pub(crate) fn allows_itself(&self) -> bool {
        self.0.iter().any(|entry| {
            matches!(entry.host, AllowedHost::Any | AllowedHost::Itself)
                && entry
                    .scheme
                    .as_deref()
                    .is_none_or(|scheme| matches!(scheme, "http" | "https"))
        })
    }
}

/// An empty variable makes no entry, so that a destination can be optional.
fn parse_expanded(text: &str) -> Result<Option<Entry>> {
    match text {
        "" | "http://" | "https://" => Ok(None),
        _ => Entry::parse(text).map(Some),
    }
}

impl Entry {
    fn parse(text: &str) -> Result<Self> {
        let trimmed = text.trim();
        let (scheme, rest) = trimmed.split_once("://").with_context(|| {
            format!("{text:?} in allowed_outbound_hosts is not <scheme>://<host>[:<port>]")
        })?;
        // On purpose unlike Spin: schemes are the same in either case (RFC 3986, section 3.1).
        let scheme = scheme.to_ascii_lowercase();
        let scheme = scheme.as_str();
        ensure!(
            scheme == "*" || (!scheme.starts_with('{') && scheme.chars().all(char::is_alphabetic)),
            "{text:?} in allowed_outbound_hosts: {scheme:?} is not a scheme"
        );
        ensure!(
            SCHEMES.contains(&scheme),
            "{text:?} in allowed_outbound_hosts: this host cannot connect by {scheme:?}, \
             only by http, https, redis and rediss"
        );
        let (host, port) =
            split_port(rest).with_context(|| format!("{text:?} in allowed_outbound_hosts"))?;
        let entry = Self {
            scheme: (scheme != "*").then(|| scheme.to_owned()),
            host: AllowedHost::parse(host)
                .with_context(|| format!("{text:?} in allowed_outbound_hosts"))?,
            port: AllowedPort::parse(port, scheme)
                .with_context(|| format!("{text:?} in allowed_outbound_hosts"))?,
        };
        Ok(entry)
    }

    fn allows(&self, url: &Destination) -> bool {
        self.scheme
            .as_deref()
            .is_none_or(|scheme| scheme == url.scheme)
            && self.host.allows(&url.host)
            && self
                .port
                .allows(url.port.or_else(|| well_known_port(&url.scheme)))
    }
}

/// Splits at the last colon, unless the colons belong to an IPv6 network.
fn split_port(rest: &str) -> Result<(&str, &str)> {
    match rest.rsplit_once(':') {
        None => Ok((rest, "")),
        Some((host, "")) => Ok((host, "")),
        Some(_) if AllowedHost::parse(rest).is_ok() => Ok((rest, "")),
        Some((host, port)) => match port.split_once('/') {
            None | Some((_, "")) => Ok((host, port.trim_end_matches('/'))),
            Some(_) => bail!("must not have a path"),
        },
    }
}

impl AllowedHost {
    fn parse(host: &str) -> Result<Self> {
        let host = host.trim();
        match host {
            "*" => return Ok(Self::Any),
            "self" | "self.alt" => return Ok(Self::Itself),
            _ => {}
        }
        ensure!(!host.starts_with('{'), "lists of hosts are not supported");
        if let Ok(network) = IpNetwork::from_str_truncate(host) {
            return Ok(Self::Network(network));
        }
        let host = host.strip_suffix('/').unwrap_or(host);
        ensure!(!host.contains('/'), "must not have a path");
        ensure!(
            !host.ends_with(".spin.internal"),
            "service chaining ({host}) is not supported by this host"
        );
        if let Some(domain) = host.strip_prefix("*.") {
            return match Host::parse(domain) {
                Ok(Host::Domain(domain)) if !domain.contains('*') => {
                    Ok(Self::Subdomains(format!(".{domain}")))
                }
                _ => bail!("{domain:?} is not a domain"),
            };
        }
        ensure!(
            !host.contains('*'),
            "'*' may only stand for a whole host or for subdomains"
        );
        Ok(Self::Exactly(
            Host::parse(host).with_context(|| format!("{host:?} is not a host"))?,
        ))
    }

    fn allows(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Any, _) => true,
            (Self::Subdomains(suffix), Host::Domain(domain)) => domain.ends_with(suffix),
            (Self::Exactly(allowed), host) => allowed == host,
            (Self::Network(network), Host::Ipv4(ip)) => network.contains(*ip),
            (Self::Network(network), Host::Ipv6(ip)) => network.contains(*ip),
            (Self::Subdomains(_) | Self::Network(_) | Self::Itself, _) => false,
        }
    }
}

impl AllowedPort {
    fn parse(port: &str, scheme: &str) -> Result<Self> {
        match port {
            "" => {
                let port = well_known_port(scheme).with_context(|| {
                    format!("must have a port, since {scheme:?} has no well-known one")
                })?;
                return Ok(Self::Exactly(port));
            }
            "*" => return Ok(Self::Any),
            _ => {}
        }
        let number = |text: &str| {
            text.parse::<u16>()
                .with_context(|| format!("{port:?} is not a port"))
        };
        match port.split_once("..") {
            Some((start, end)) => Ok(Self::Within(number(start)?..number(end)?)),
            None => Ok(Self::Exactly(number(port)?)),
        }
    }

    fn allows(&self, port: Option<u16>) -> bool {
        match (self, port) {
            (Self::Any, _) => true,
            (Self::Exactly(allowed), Some(port)) => *allowed == port,
            (Self::Within(range), Some(port)) => range.contains(&port),
            (_, None) => false,
        }
    }
}

/// Spin's table. It lacks `rediss`, so an entry with that scheme must have a port.
fn well_known_port(scheme: &str) -> Option<u16> {
    match scheme {
        "redis" => Some(6379),
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn allows(entry: &str, url: &str) -> bool {
        AllowedHosts(vec![Entry::parse(entry).unwrap()])
            .allows(&Destination::parse(url, "redis").unwrap())
    }

    #[test]
    fn hosts_and_ports() {
        assert!(allows("redis://127.0.0.1:6379", "redis://127.0.0.1:6379/0"));
        assert!(allows("redis://127.0.0.1", "redis://127.0.0.1:6379"));
        assert!(allows("redis://127.0.0.1:6379", "redis://127.0.0.1"));
        assert!(allows("redis://cache", "cache"));
        assert!(!allows("redis://127.0.0.1:6379", "redis://127.0.0.1:6380"));
        assert!(!allows("redis://127.0.0.1:6379", "rediss://127.0.0.1:6379"));
        assert!(!allows("redis://127.0.0.1:6379", "redis://localhost:6379"));
        assert!(allows(
            "redis://user-free.example:1",
            "redis://u:p%40@user-free.example:1/3"
        ));
        assert!(allows("redis://h:1", "redis://u:p#?@h:1"));
        assert!(allows("redis://[::1]:7", "redis://[::1]:7/"));
    }

    #[test]
    fn wildcards_ranges_and_networks() {
        assert!(allows("*://*:*", "rediss://anything.example:9"));
        assert!(allows(
            "https://*.example.com",
            "https://a.b.example.com/path"
        ));
        assert!(!allows("https://*.example.com", "https://example.com/"));
        assert!(allows(
            "http://localhost:1000..2000",
            "http://localhost:1999"
        ));
        assert!(!allows(
            "http://localhost:1000..2000",
            "http://localhost:2000"
        ));
        assert!(allows("http://10.0.0.0/8:*", "http://10.1.2.3:99/"));
        assert!(!allows("http://10.0.0.0/8:*", "http://11.1.2.3:99/"));
        assert!(allows("http://localhost/", "http://localhost/"));
    }

    #[test]
    fn the_application_itself() {
        let itself = AllowedHosts(vec![Entry::parse("http://self").unwrap()]);
        assert!(itself.allows_itself());
        assert!(!itself.allows(&Destination::parse("http://self/", "http").unwrap()));
        assert!(!AllowedHosts(vec![Entry::parse("redis://*").unwrap()]).allows_itself());
    }

    #[test]
    fn invalid_entries_are_refused() {
        for entry in [
            "",
            "*",
            "localhost",
            "http://",
            "http://a/b",
            "http://a:1/b",
            "rediss://a",
            "http://a*b",
            "http://a:b",
            "{http}://a",
            "tcp://a:1",
            "postgres://a",
            "http://x.spin.internal",
        ] {
            assert!(Entry::parse(entry).is_err(), "{entry:?}");
        }
        assert!(parse_expanded("http://").unwrap().is_none());
    }
}
