//! The proxy that the environment names.

use crate::canned::Canned;
use crate::program::{Run, edgelatch};

#[test]
fn a_proxy_is_for_the_addresses_of_its_scheme() {
    let held = r#"{"held":false}"#;
    let nowhere = "http://127.0.0.1:1";
    // The service is asked itself.
    for (name, value) in [
        ("https_proxy", nowhere),
        ("HTTPS_PROXY", nowhere),
        ("HTTP_PROXY", nowhere),
    ] {
        let service = Canned::json("200 OK", held);
        let mut command = edgelatch(&service.url(), "status -u 42");
        let status = command.env("NO_PROXY", "").env(name, value).status();
        assert!(status.unwrap().success(), "{name}");
    }
    // The proxy is asked.
    for name in ["http_proxy", "all_proxy", "ALL_PROXY"] {
        let proxy = Canned::start("502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
        let mut command = edgelatch("http://h.example", "status -u 42");
        let output = command
            .env("NO_PROXY", "h.example.org")
            .env(name, proxy.url());
        let run = Run::from(output.output().unwrap());
        let address = proxy.url().replace("http://", "");
        assert_eq!(run.code, Some(69), "{name}");
        let named = run.stderr.contains(&format!("by the proxy {address}"));
        assert!(named, "{run:?}");
        let asked = proxy.asked();
        assert!(asked.contains("h.example"), "{asked}");
    }
}

#[test]
fn a_proxy_that_cannot_be_used_is_told() {
    let mut command = edgelatch("http://h.example", "status -u 42");
    let command = command.env("NO_PROXY", "");
    let output = command.env("ALL_PROXY", "socks5://anna:passw0rd@127.0.0.1:1");
    let run = Run::from(output.output().unwrap());
    assert_eq!(run.code, Some(64), "{run:?}");
    assert!(!run.stderr.contains("passw0rd"), "{run:?}");
}
