//! Which texts are hosts, origins and patterns of hosts.
//!
//! The host puts these variables into `allowed_outbound_hosts`, and refuses **every** connection if
//! one of them makes an entry that it cannot read. So nothing may pass here that Spin refuses there
//! (`crates/outbound-networking-config/src/allowed_hosts.rs`; it reads host names as browsers do,
//! <https://url.spec.whatwg.org/#host-parsing>).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest name and label of the Domain Name System (RFC 1035, section 2.3.4).
const LONGEST_NAME: usize = 253;
const LONGEST_LABEL: usize = 63;

/// A host name, an IPv4 address or an IPv6 address in brackets.
pub(super) fn is_host(text: &str) -> bool {
    let in_brackets = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    match in_brackets {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => is_name(text) || text.parse::<Ipv4Addr>().is_ok(),
    }
}

/// A name of labels, of which the last is no number: else it counts as an IPv4 address.
fn is_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let last = name.rsplit('.').next().unwrap_or(name);
    // `self` is the application itself for Spin.
    name.len() <= LONGEST_NAME
        && name.split('.').all(is_label)
        && !is_number(last)
        && name != "self"
}

fn is_label(text: &str) -> bool {
    (1..=LONGEST_LABEL).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

fn is_number(text: &str) -> bool {
    let hexadecimal = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    match hexadecimal {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => text.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

/// `http://host[:port]` or `https://host[:port]`, in lower case and without a path.
pub(super) fn is_origin(text: &str) -> bool {
    let authority = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    authority.is_some_and(|authority| match authority.rsplit_once(':') {
        // The colon may be one of an IPv6 address.
        Some((host, port)) if !port.ends_with(']') => is_host(host) && port_of(port).is_some(),
        _ => is_host(authority),
    })
}

/// From 1 to 65535.
fn port_of(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let port = digits.then(|| text.parse().ok()).flatten();
    port.filter(|port| *port > 0)
}

/// Empty, or one pattern of `allowed_outbound_hosts` for connections to Redis.
pub(super) fn is_nodes(text: &str) -> bool {
    if text.is_empty() {
        return true;
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return false;
    };
    if !["redis", "rediss"].contains(&scheme) {
        return false;
    }
    // Spin knows no port for the other scheme.
    let without_port = || scheme == "redis" && is_hosts(rest);
    let with_port = || {
        let split = rest.rsplit_once(':');
        split.is_some_and(|(hosts, ports)| is_hosts(hosts) && is_ports(ports))
    };
    without_port() || with_port()
}

/// A host, a network, `*` or `*.domain`.
fn is_hosts(text: &str) -> bool {
    let domain = text.strip_prefix("*.");
    text == "*" || domain.is_some_and(is_name) || is_network(text) || is_host(text)
}

/// A network in the notation of CIDR, of IPv6 without brackets.
fn is_network(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else {
        return false;
    };
    let Ok(address) = address.parse::<IpAddr>() else {
        return false;
    };
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let digits = length.bytes().all(|byte| byte.is_ascii_digit());
    digits && length.parse::<u8>().is_ok_and(|bits| bits <= longest)
}

/// A port, `*`, or a range without its end.
fn is_ports(text: &str) -> bool {
    match text.split_once("..") {
        Some((start, end)) => {
            let (start, end) = (port_of(start), port_of(end));
            start.is_some() && start < end
        }
        None => text == "*" || port_of(text).is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for good in [
            "x",
            "Redis.Example.com",
            "redis-1_a.example.",
            "127.0.0.1",
            "[::1]",
            "1.2.3.a",
            "x.self",
        ] {
            assert!(is_host(good), "{good}");
        }
        let long = "a".repeat(64);
        for bad in [
            "",
            ".",
            "a..b",
            ".a",
            "a b",
            "a/b",
            "a:1",
            "ä",
            "*",
            "999.999.999.999",
            "1.2.3.4.5",
            "1.2",
            "7",
            "0x7f",
            "a.0X",
            "127.0.0.1.",
            "[127.0.0.1]",
            "[::1",
            "::1",
            "self",
            &long,
        ] {
            assert!(!is_host(bad), "{bad}");
        }
    }

    #[test]
    fn origins() {
        for good in [
            "http://x",
            "https://x.example:443",
            "http://127.0.0.1:1",
            "http://[::1]",
            "http://[::1]:65535",
            "http://x:0080",
        ] {
            assert!(is_origin(good), "{good}");
        }
        for bad in [
            "",
            "x",
            "x:80",
            "ftp://x",
            "http:x",
            "http://",
            "http://:80",
            "http://x:",
            "http://x:0",
            "http://x:abc",
            "http://x:65536",
            "http://x:-1",
            "http://x:+1",
            "http://x:0x50",
            "http://127.0.0.1:9349x",
            "http://x/",
            "http://x:1/",
            "http://x/a",
            "http://x?a",
            "http://x#a",
            "http://u@x",
            "http://u:p@x",
            "http://1.2.3.4.5",
            "http://999.1.1.1",
            "http://::1",
            "http://[::1]x",
        ] {
            assert!(!is_origin(bad), "{bad}");
        }
    }

    #[test]
    fn nodes() {
        for good in [
            "",
            "redis://nodes.invalid:6379",
            "redis://10.0.7.0/24:6379",
            "rediss://*.mycluster.example:6379",
            "redis://127.0.0.1:7000..7006",
            "redis://127.0.0.1:*",
            "redis://10.0.0.0/8",
            "redis://fd00::/8:6379",
            "redis://fd00::/8",
            "redis://[fd00::1]:6379",
            "redis://x",
        ] {
            assert!(is_nodes(good), "{good}");
        }
        for bad in [
            "x",
            "*",
            "x:6379",
            "*://*:*",
            "redis://",
            "redis://:6379",
            "redis://10.0.0.0/99:1",
            "redis://10.0.0.0/:1",
            "redis://u:p@h:1",
            "redis://h:1/0",
            "redis://h:",
            "redis://h:0",
            "redis://h:7006..7000",
            "redis://h:7000..",
            "redis://a*b:1",
            "redis://*.*:1",
            "redis://a:1,redis://b:1",
            "redis://fd00::1",
            "redis://a:1 redis://b:1",
            "rediss://h",
            "http://h:1",
            "redis://{a,b}:1",
        ] {
            assert!(!is_nodes(bad), "{bad}");
        }
    }
}
