//! One request and its answer.

use reqwest::{Client, RequestBuilder};
use serde_json::Value;

/// What came of a request. Nothing, without an answer.
#[derive(Default)]
pub(super) struct Exchange {
    /// Status and slug.
    pub(super) answer: Option<String>,
    pub(super) fencing_token: Option<i64>,
    pub(super) token: Option<String>,
    pub(super) body: Value,
    pub(super) etag: Option<String>,
    pub(super) compute_token: Option<String>,
}

/// Sends a request.
pub(super) async fn exchange(http: &Client, request: RequestBuilder) -> Exchange {
    try_exchange(http, request).await.unwrap_or_default()
}

async fn try_exchange(http: &Client, request: RequestBuilder) -> reqwest::Result<Exchange> {
    let response = http.execute(request.build()?).await?;
    let status = response.status().as_u16();
    let header = |name: &str| {
        let value = response.headers().get(name)?;
        value.to_str().ok().map(str::to_owned)
    };
    let (number, etag) = (header("fencing-token"), header("etag"));
    let compute_token = header("compute-token");
    let replayed = header("idempotent-replayed").is_some();
    let body: Value = serde_json::from_slice(&response.bytes().await?).unwrap_or_default();
    let kind = body["type"].as_str().unwrap_or_default();
    let answer = match kind.strip_prefix("urn:edgelatch:") {
        Some(slug) => format!("{status} {slug}"),
        None if body["status"] == "failed" => format!("{status} failed"),
        None if replayed => format!("{status} replayed"),
        None => status.to_string(),
    };
    let number = number.and_then(|number| number.parse().ok());
    let shown = || body["fencing_token"].as_i64();
    Ok(Exchange {
        answer: Some(answer),
        fencing_token: if replayed {
            body["result"]["done"].as_i64()
        } else {
            number.or_else(shown)
        },
        token: body["token"].as_str().map(str::to_owned),
        etag,
        compute_token,
        body,
    })
}
