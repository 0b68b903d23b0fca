//! Calls and answers. Each answer is checked for what all answers have in common.

use std::future::IntoFuture;
use std::pin::Pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Body, Client, Method, RequestBuilder};
use serde_json::Value;

/// No answer takes longer than this.
const LIMIT: Duration = Duration::from_secs(100);

/// One request, sent when awaited.
pub struct Call {
    request: RequestBuilder,
    path: String,
    method: Method,
    /// Whether a failure may be the origin's own answer.
    passed_through: bool,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The time from sending to the last byte.
    pub took: Duration,
    path: String,
}

impl Call {
    pub(crate) fn new(address: &str, method: &str, path: &str) -> Self {
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(LIMIT)
            .build()
            .unwrap();
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        Self {
            request: client.request(method.clone(), format!("http://{address}{path}")),
            path: path.split('?').next().unwrap_or_default().to_owned(),
            method,
            passed_through: false,
        }
    }

    /// Allows a failure to be the origin's own answer.
    #[must_use]
    pub fn passed_through(mut self) -> Self {
        self.passed_through = true;
        self
    }

    /// Adds a header. A name may occur more than once.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        self.request = self.request.header(name, value);
        self
    }

    /// Sends this as `application/json`.
    #[must_use]
    pub fn json(self, body: &str) -> Self {
        self.header("content-type", "application/json")
            .body(body.to_owned())
    }

    /// Sends this body without a type.
    #[must_use]
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        self.request = self.request.body(body);
        self
    }

    /// Sends these pieces without announcing a length.
    #[must_use]
    pub fn chunks(self, pieces: Vec<Bytes>) -> Self {
        let pieces = pieces.into_iter().map(Ok::<_, std::io::Error>);
        self.body(Body::wrap_stream(futures::stream::iter(pieces)))
    }

    /// Sends the request in the background.
    pub fn spawn(self) -> tokio::task::JoinHandle<Answer> {
        tokio::spawn(self.into_future())
    }

    async fn send(self) -> Answer {
        let began = Instant::now();
        let response = self.request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await.unwrap();
        let answer = Answer {
            status,
            headers,
            body,
            took: began.elapsed(),
            path: self.path,
        };
        answer.check();
        if answer.status >= 400 && self.method != Method::HEAD && !self.passed_through {
            answer.check_problem();
        }
        answer
    }
}

impl IntoFuture for Call {
    type Output = Answer;
    type IntoFuture = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

impl Answer {
    /// Checks what every answer must have, and what none may.
    fn check(&self) {
        let id = self.header("x-request-id").unwrap_or_default();
        assert!(!id.is_empty(), "no X-Request-Id: {self:?}");
        let nosniff = self.header("x-content-type-options");
        assert_eq!(nosniff, Some("nosniff"), "{self:?}");
        for name in ["content-security-policy", "cache-control"] {
            assert!(self.header(name).is_some(), "no {name}: {self:?}");
        }
        let timing = self.header("server-timing").unwrap_or_default();
        for part in ["redis", "wait", "action"] {
            assert!(
                self.timing(part) >= 0.0,
                "no {part} in Server-Timing: {timing}"
            );
        }
        if matches!(self.status, 204 | 304) {
            assert!(self.body.is_empty(), "{self:?}");
            assert_eq!(self.header("content-length"), None, "{self:?}");
        }
    }

    fn check_problem(&self) {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json")
        );
        let problem = self.json();
        let kind = problem["type"].as_str().unwrap_or_default();
        assert!(kind.starts_with("urn:edgelatch:"), "{problem}");
        assert!(
            problem["title"]
                .as_str()
                .is_some_and(|title| !title.is_empty())
        );
        assert!(
            problem["detail"]
                .as_str()
                .is_some_and(|detail| !detail.is_empty())
        );
        assert_eq!(problem["status"], self.status, "{problem}");
        // A long path is cut.
        let path = &self.path[..self.path.len().min(2048)];
        assert_eq!(problem["instance"], path, "{problem}");
        let text = self.text();
        for leak in [
            "Error {",
            "Err(",
            "redis://",
            "127.0.0.1",
            "os error",
            "panicked",
        ] {
            assert!(!text.contains(leak), "{leak:?} in {text}");
        }
    }

    /// Asserts that this is the problem `slug` with `status`.
    #[track_caller]
    pub fn assert_problem(&self, status: u16, slug: &str) -> &Self {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.json()["type"], format!("urn:edgelatch:{slug}"));
        self
    }

    /// Asserts a success.
    #[track_caller]
    pub fn assert_success(&self) -> &Self {
        assert!((200..300).contains(&self.status), "{}", self.text());
        self
    }

    /// Asserts a success with exactly this body.
    #[track_caller]
    pub fn assert_body(&self, status: u16, body: &str) -> &Self {
        assert_eq!((self.status, self.text().as_str()), (status, body));
        self
    }

    /// The locations of a 422's faults, in their order, such as `query.user_id`.
    #[track_caller]
    pub fn faults(&self) -> Vec<String> {
        self.assert_problem(422, "invalid-request");
        let problem = self.json();
        let errors = problem["errors"].as_array().expect("a list of errors");
        let fault = |error: &Value| {
            let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
            assert!(
                !text("msg").is_empty() && !text("type").is_empty(),
                "{error}"
            );
            assert_eq!(
                error.as_object().map(serde_json::Map::len),
                Some(3),
                "{error}"
            );
            let loc = error["loc"].as_array().expect("a place");
            let loc: Vec<_> = loc.iter().map(|part| part.as_str().unwrap()).collect();
            loc.join(".")
        };
        errors.iter().map(fault).collect()
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// A header's value as a number.
    #[track_caller]
    pub fn number(&self, name: &str) -> i64 {
        let value = self.header(name);
        let value = value.unwrap_or_else(|| panic!("no {name} in {self:?}"));
        value.parse().unwrap()
    }

    /// A part of `Server-Timing`, in milliseconds.
    pub fn timing(&self, part: &str) -> f64 {
        let timing = self.header("server-timing").unwrap_or_default();
        let prefix = format!("{part};dur=");
        let mut parts = timing.split(", ");
        let value = parts.find_map(|metric| metric.strip_prefix(&prefix));
        value.map_or(-1.0, |value| value.parse().unwrap())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}
