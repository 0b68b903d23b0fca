//! Queries as long as a request line may be. They cost what their length costs, and no more.

use std::collections::BTreeSet;

use edgelatch_tests::{App, raw};

/// A query of 65 KB with as many names as it can have.
pub(super) fn names() -> String {
    let mut query = String::new();
    for name in 0..16_000_u32 {
        query.push_str(&format!("{name:x}&"));
    }
    query.truncate(65_000);
    query
}

/// The longest answer to a request that is refused, in bytes.
const LONGEST: usize = 64 << 10;

#[tokio::test]
async fn twenty_faults_are_listed_and_all_are_counted() {
    let app = App::start().await;
    let query = names();
    let distinct: BTreeSet<_> = query.split('&').filter(|name| !name.is_empty()).collect();
    for path in [
        "/healthz",
        "/readyz",
        "/docs",
        "/openapi.json",
        "/api/v1/users/7/lock",
    ] {
        let answer = app.get(&format!("{path}?{query}")).await;
        answer.assert_problem(422, "invalid-request");
        assert_eq!(answer.faults().len(), 20, "{path}");
        let detail = answer.json()["detail"].to_string();
        assert!(detail.contains(&distinct.len().to_string()), "{detail}");
        assert!(answer.body.len() < LONGEST, "{}", answer.body.len());
    }
}

#[tokio::test]
async fn no_answer_to_a_refused_request_is_long() {
    let app = App::start().await;
    let long = "a".repeat(65_000);
    let escaped = "%01".repeat(3_000);
    for path in [
        format!("/healthz?{long}"),
        format!("/healthz?{}", format!("{escaped}a&{escaped}b&").repeat(3)),
        format!("/api/v1/users/{long}/lock"),
        format!("/docs/{long}"),
    ] {
        let answer = app.get(&path).await;
        assert!((400..500).contains(&answer.status), "{}", answer.status);
        assert!(answer.body.len() < LONGEST, "{}", answer.body.len());
    }
    let quotes = "\"".repeat(60_000);
    let request = format!("GET /{quotes} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let answer = raw(app.address(), request.as_bytes()).await;
    assert!(answer.body.len() < LONGEST, "{}", answer.body.len());
}
