//! Who may do what: bearer tokens (RFC 6750, section 2.1), and requests that pages of other sites
//! send with a visitor's browser.

use http::{HeaderMap, Method, Uri, header};
use subtle::ConstantTimeEq;

use super::problem::Problem;
use super::wasi;
use crate::platform::config::Config;

/// With an `api_token`, everything under `/api` needs it, or `api_token_previous`, or
/// `admin_token`. `path` is normalized.
///
/// # Errors
/// 401.
pub(super) fn authorize(config: &Config, path: &str, headers: &HeaderMap) -> Result<(), Problem> {
    let Some(token) = config.api_token.as_deref() else {
        return Ok(());
    };
    if !is_guarded(path) {
        return Ok(());
    }
    let tokens = [
        Some(token),
        config.api_token_previous.as_deref(),
        config.admin_token.as_deref(),
    ];
    // All of them are compared, so the time does not tell which one it was.
    let right = tokens
        .into_iter()
        .flatten()
        .fold(false, |right, token| right | presents(headers, token));
    if right {
        Ok(())
    } else {
        Err(Problem::unauthorized())
    }
}

/// Whether a normalized path is one that needs a token, where there is one.
pub(super) fn is_guarded(path: &str) -> bool {
    path == "/api" || path.starts_with("/api/")
}

/// Whether a request carries the `admin_token`. Without one set, none does.
pub(in crate::http) fn is_admin(config: &Config, headers: &HeaderMap) -> bool {
    let token = config.admin_token.as_deref();
    token.is_some_and(|token| presents(headers, token))
}

/// Without an `api_token`, a page of another site could act through a visitor's browser: whoever
/// reaches the port may. What only reads is let through, since without CORS headers the page does
/// not see the answer: a GET, HEAD or OPTIONS, unless it has the parameter `decisive`.
///
/// # Errors
/// 403 `cross-site`.
pub(super) fn refuse_cross_site(
    config: &Config,
    decisive: Option<&str>,
    request: &wasi::Request,
) -> Result<(), Problem> {
    if config.api_token.is_some() {
        return Ok(());
    }
    let reads = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    ) && decisive.is_none_or(|name| !has_parameter(request.uri(), name));
    let host = || request.body().authority();
    if !reads && is_cross_site(request.headers(), host) {
        return Err(Problem::cross_site());
    }
    Ok(())
}

fn has_parameter(uri: &Uri, name: &str) -> bool {
    let query = uri.query().unwrap_or_default();
    form_urlencoded::parse(query.as_bytes()).any(|(found, _)| found == name)
}

/// Whether a browser says that a page of another site sent this. Browsers say so in
/// `Sec-Fetch-Site` (<https://www.w3.org/TR/fetch-metadata/>); older ones only send the page's
/// `Origin`.
fn is_cross_site(headers: &HeaderMap, host: impl FnOnce() -> Option<String>) -> bool {
    let mut sites = headers.get_all("sec-fetch-site").iter().peekable();
    if sites.peek().is_some() {
        return !sites.all(|site| site == "same-origin" || site == "none");
    }
    let mut origins = headers.get_all(header::ORIGIN).iter().peekable();
    if origins.peek().is_none() {
        return false;
    }
    let host = host().unwrap_or_default();
    !origins.all(|origin| {
        let origin = origin.to_str().unwrap_or_default();
        is_origin_of(origin, &host)
    })
}

/// Whether `scheme://host[:port]` is at this host. A port that is the scheme's own may be left out.
fn is_origin_of(origin: &str, host: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else {
        return false;
    };
    let port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return false,
    };
    let bare = |text: &str| text.strip_suffix(port).unwrap_or(text).to_ascii_lowercase();
    bare(authority) == bare(host)
}

fn presents(headers: &HeaderMap, token: &str) -> bool {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return false;
    };
    let Some((scheme, credentials)) = split_once_space(value.as_bytes()) else {
        return false;
    };
    // The time that this takes tells the length of the token, and nothing else of it.
    scheme.eq_ignore_ascii_case(b"bearer") && credentials.ct_eq(token.as_bytes()).into()
}

fn split_once_space(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = bytes.iter().position(|byte| *byte == b' ')?;
    Some((&bytes[..space], bytes[space..].trim_ascii_start()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn bearer(value: &'static str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
        presents(&headers, "s3cret")
    }

    #[test]
    fn only_the_whole_token_opens() {
        assert!(bearer("Bearer s3cret"));
        assert!(bearer("bearer  s3cret"));
        for value in [
            "Bearer",
            "Bearer ",
            "Bearer s3cre",
            "Bearer s3cretx",
            "Basic s3cret",
            "s3cret",
            "",
        ] {
            assert!(!bearer(value), "{value:?}");
        }
        assert!(!presents(&HeaderMap::new(), "s3cret"));
    }

    #[test]
    fn two_authorizations_are_none() {
        let mut headers = HeaderMap::new();
        headers.append(
            header::AUTHORIZATION,
            HeaderValue::from_static("Bearer s3cret"),
        );
        headers.append(
            header::AUTHORIZATION,
            HeaderValue::from_static("Bearer other"),
        );
        assert!(!presents(&headers, "s3cret"));
    }

    #[test]
    fn a_browser_tells_which_site_a_request_is_from() {
        let is_cross = |name: &'static str, values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(name, HeaderValue::from_static(value));
            }
            is_cross_site(&headers, || Some("Locks.example:9001".to_owned()))
        };
        for (site, cross) in [
            ("same-origin", false),
            ("none", false),
            ("same-site", true),
            ("cross-site", true),
            ("", true),
        ] {
            assert_eq!(is_cross("sec-fetch-site", &[site]), cross, "{site}");
        }
        assert!(is_cross("sec-fetch-site", &["none", "cross-site"]));
        for (origin, cross) in [
            ("http://locks.example:9001", false),
            ("https://locks.example:9001", false),
            ("http://locks.example", true),
            ("https://evil.example", true),
            ("http://locks.example:9001.evil.example", true),
            ("null", true),
            ("", true),
        ] {
            assert_eq!(is_cross("origin", &[origin]), cross, "{origin}");
        }
        assert!(!is_cross("origin", &[]));
        assert!(is_origin_of("http://a", "a:80"));
        assert!(is_origin_of("https://a:443", "A"));
        assert!(!is_origin_of("https://a", "a:80"));
    }
}
