//! The proxy that the environment names, by the variables that curl reads.

use ureq::{Proxy, ProxyProtocol};
use url::Url;

use crate::exit::{Code, Failure};
use crate::service::has_broken_login;

/// The proxy for this address, if any.
pub(crate) fn of_environment(url: &Url) -> Result<Option<Proxy>, Failure> {
    // A CGI program has the header `Proxy` of its request in `HTTP_PROXY`, so curl does not
    // read it.
    let names = match url.scheme() {
        "https" => ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"].as_slice(),
        _ => ["http_proxy", "all_proxy", "ALL_PROXY"].as_slice(),
    };
    let exceptions = variable("no_proxy").or_else(|| variable("NO_PROXY"));
    if is_excepted(
        url.host_str().unwrap_or_default(),
        &exceptions.unwrap_or_default(),
    ) {
        return Ok(None);
    }
    let Some((name, value)) = names.iter().find_map(|name| Some((name, variable(name)?))) else {
        return Ok(None);
    };
    match Proxy::new(&value) {
        Ok(proxy)
            if matches!(proxy.protocol(), ProxyProtocol::Http | ProxyProtocol::Https)
                && !has_broken_login(&value) =>
        {
            Ok(Some(proxy))
        }
        // The value may have a password.
        _ => {
            let why = format!("{name} must be the address of a proxy, with http:// or https://");
            Err(Failure::new(Code::Usage, why))
        }
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether the list has the host, or a domain that it is in.
fn is_excepted(host: &str, exceptions: &str) -> bool {
    // An address has brackets around an IPv6 host, and a list may have them or not.
    let brackets = ['[', ']'];
    let host = host.trim_matches(brackets);
    exceptions.split(',').map(str::trim).any(|exception| {
        let domain = exception.trim_matches(brackets);
        let domain = domain.trim_start_matches('.').to_ascii_lowercase();
        exception == "*"
            || host == domain
            || (!domain.is_empty() && host.ends_with(&format!(".{domain}")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_domains_are_excepted() {
        let list = "127.0.0.1, Example.com,.local";
        for host in ["127.0.0.1", "example.com", "a.example.com", "locks.local"] {
            assert!(is_excepted(host, list), "{host}");
        }
        for host in ["27.0.0.1", "badexample.com", "example.org"] {
            assert!(!is_excepted(host, list), "{host}");
        }
        assert!(is_excepted("any.where", "*") && !is_excepted("any.where", ""));
        for list in ["::1", "[::1]", "localhost, ::1"] {
            assert!(is_excepted("[::1]", list), "{list}");
        }
        assert!(!is_excepted("[::11]", "::1") && !is_excepted("[1::1]", "::1"));
    }
}
