//! A request as a component gets it: with its full URI, and with the `spin-*` headers about its
//! route.
//!
//! Follows Spin's `crates/trigger-http/src/headers.rs`, `prepare_request` in `wasi.rs` and
//! `set_req_uri` in `server.rs`.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail, ensure};
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, header};

use super::routes::RouteMatch;
use crate::log::quoted;

/// Removes the header of the connection, and a host name that is internal to an application.
pub(crate) fn strip_headers<B>(request: &mut Request<B>) {
    let headers = request.headers_mut();
    let internal = |host: &str| {
        let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
        host.split_once('.')
            .is_some_and(|(_, rest)| rest == "spin.internal")
    };
    if headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .is_some_and(internal)
    {
        headers.remove(header::HOST);
    }
    headers.remove(header::CONNECTION);
}

/// Completes the URI from the `Host` header. Fails without an authority, or with two that differ.
pub(crate) fn set_full_uri<B>(request: &mut Request<B>) -> Result<()> {
    let host = match request.headers().get(header::HOST) {
        Some(host) => {
            let host = host.to_str().context("the Host header is not text")?;
            Some(
                host.parse::<Authority>()
                    .context("the Host header is not an authority")?,
            )
        }
        None => None,
    };
    let mut parts = request.uri().clone().into_parts();
    let authority = match (host, parts.authority) {
        (Some(host), Some(authority)) => {
            ensure!(
                host == authority,
                "the Host header and the URI name different authorities"
            );
            host
        }
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => bail!("the request has no Host header"),
    };
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(authority);
    // `OPTIONS *` and `CONNECT` have no path.
    parts
        .path_and_query
        .get_or_insert_with(|| http::uri::PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from_parts(parts)?;
    Ok(())
}

/// Adds the `spin-*` headers. As in Spin, headers of the same names from the client stay, before
/// these.
pub(crate) fn add_headers<B>(
    request: &mut Request<B>,
    route: &RouteMatch<'_, '_>,
    client: SocketAddr,
) -> Result<()> {
    for (name, value) in request.headers() {
        ensure!(
            std::str::from_utf8(value.as_bytes()).is_ok(),
            "the value of header {} is not UTF-8",
            quoted(name.as_str())
        );
    }
    let host = match request.headers().get(header::HOST) {
        Some(host) => std::str::from_utf8(host.as_bytes())?.to_owned(),
        None => "localhost".to_owned(),
    };
    let uri = request.uri();
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let full_url = format!("{}://{host}{path}", uri.scheme_str().unwrap_or("http"));

    let headers = request.headers_mut();
    append(headers, "spin-path-info", &route.trailing());
    append(headers, "spin-full-url", &full_url);
    append(headers, "spin-matched-route", route.based_route());
    append(headers, "spin-base-path", "/");
    append(headers, "spin-raw-component-route", route.raw_route());
    append(headers, "spin-component-route", route.raw_prefix());
    append(headers, "spin-client-addr", &client.to_string());
    for (name, value) in route.named() {
        append(
            headers,
            &format!(
                "spin-path-match-{}",
                name.replace('_', "-").to_ascii_lowercase()
            ),
            value,
        );
    }
    Ok(())
}

/// Adds a header. Names and values that are not valid are skipped.
fn append(headers: &mut HeaderMap, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (
        name.parse::<HeaderName>(),
        HeaderValue::from_bytes(value.as_bytes()),
    ) {
        headers.append(name, value);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::config::manifest::{Target, Trigger};
    use crate::server::routes::Routes;

    fn request(uri: &str, headers: &[(&str, &str)]) -> Request<()> {
        let mut builder = Request::get(uri);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap()
    }

    #[test]
    fn the_full_uri() {
        let mut good = request("/a?b", &[("host", "h:1")]);
        set_full_uri(&mut good).unwrap();
        assert_eq!(good.uri(), "http://h:1/a?b");
        let mut absolute = request("http://h/a", &[("host", "h")]);
        set_full_uri(&mut absolute).unwrap();
        assert_eq!(absolute.uri(), "http://h/a");
        assert!(set_full_uri(&mut request("/", &[])).is_err());
        assert!(set_full_uri(&mut request("http://a/", &[("host", "b")])).is_err());
        assert!(set_full_uri(&mut request("/", &[("host", "a b")])).is_err());
    }

    #[test]
    fn stripped_headers() {
        let mut inside = request(
            "/",
            &[("host", "a.spin.internal:1"), ("connection", "close")],
        );
        strip_headers(&mut inside);
        assert!(inside.headers().is_empty());
        let mut outside = request("/", &[("host", "a.example"), ("accept", "*/*")]);
        strip_headers(&mut outside);
        assert_eq!(outside.headers().len(), 2);
    }

    #[test]
    fn the_headers_of_the_route() {
        let trigger = Trigger {
            route: Some("/u/:user_id/...".into()),
            target: Target::Component("a".into()),
        };
        let routes = Routes::new(&[trigger]).unwrap();
        let mut request = request("http://h:1/u/7/x/?q", &[("host", "h:1")]);
        add_headers(
            &mut request,
            &routes.find("/u/7/x/").unwrap(),
            "127.0.0.1:9".parse().unwrap(),
        )
        .unwrap();
        let header = |name: &str| request.headers()[name].to_str().unwrap();
        assert_eq!(header("spin-path-info"), "/x/");
        assert_eq!(header("spin-full-url"), "http://h:1/u/7/x/?q");
        assert_eq!(header("spin-matched-route"), "/u/:user_id/...");
        assert_eq!(header("spin-raw-component-route"), "/u/:user_id/...");
        assert_eq!(header("spin-component-route"), "/u/:user_id");
        assert_eq!(header("spin-base-path"), "/");
        assert_eq!(header("spin-client-addr"), "127.0.0.1:9");
        assert_eq!(header("spin-path-match-user-id"), "7");
    }
}
