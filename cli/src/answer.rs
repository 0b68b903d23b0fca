//! An answer of the service, read to its end.

use serde_json::Value;
use ureq::Body;
use ureq::http::{HeaderMap, Response};

/// What the paths begin with that we ask for, from the service's own root.
const API: &str = "/api/v1/users/";

/// What the service's problem types begin with.
const PROBLEM_TYPE: &str = "urn:edgelatch:";

pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn read(mut answer: Response<Body>) -> Result<Self, ureq::Error> {
        // The service bounds an entry with `max_body_bytes`, which may be large.
        let body = answer
            .body_mut()
            .with_config()
            .limit(u64::MAX)
            .read_to_vec()?;
        let (head, _) = answer.into_parts();
        Ok(Self {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
        })
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether it has the mark of each answer of edgelatch.
    pub(crate) fn is_marked(&self) -> bool {
        self.header("x-request-id").is_some()
    }

    /// Whether its content says that it is JSON.
    pub(crate) fn says_json(&self) -> bool {
        let kind = self.header("content-type").unwrap_or_default();
        kind.starts_with("application/json")
    }

    pub(crate) fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// Whether it is a problem of edgelatch, and not of a proxy or of another service.
    pub(crate) fn is_problem(&self) -> bool {
        let problem = self.json().unwrap_or_default();
        let kind = problem["type"].as_str().unwrap_or_default();
        kind.starts_with(PROBLEM_TYPE)
    }

    /// Whether the service failed in a way that it does not foresee.
    pub(crate) fn is_internal(&self) -> bool {
        self.json().unwrap_or_default()["type"] == format!("{PROBLEM_TYPE}internal")
    }

    /// Whether it is a failure that may pass, of the service or of a proxy before it.
    pub(crate) fn may_pass(&self) -> bool {
        self.status >= 500 || (self.status == 429 && !self.is_problem())
    }

    /// Whether a problem is about a path of the API. Otherwise the base address is wrong.
    pub(crate) fn is_of_api(&self) -> bool {
        let problem = self.json().unwrap_or_default();
        let path = problem["instance"].as_str();
        path.is_none_or(|path| path.starts_with(API))
    }

    /// What a problem says, in short.
    pub(crate) fn problem(&self) -> String {
        let mut text = self.status.to_string();
        let Some(problem) = self.json() else {
            return text;
        };
        if let Some(detail) = problem["detail"].as_str() {
            text += ", ";
            text += detail;
        }
        // A single fault is the detail.
        let faults = problem["errors"]
            .as_array()
            .filter(|faults| faults.len() > 1);
        for fault in faults.into_iter().flatten() {
            let place = fault["loc"][1].as_str().unwrap_or_default();
            let message = fault["msg"].as_str().unwrap_or_default();
            text += &format!("; {place}: {message}");
        }
        if let Some(owner) = problem["owner"].as_str() {
            text += &format!(", held by {owner}");
        }
        match problem["waiting"].as_u64() {
            Some(waiting) if waiting > 0 => text += &format!(", {waiting} waiting"),
            _ => {}
        }
        text
    }
}
